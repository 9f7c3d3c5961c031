//! What ntfy's answers mean. Knows nothing of what was asked.

use provost_sdk::reqwest::{Response, StatusCode};
use provost_sdk::serde::Deserialize;
use provost_sdk::{DeliveryError, Receipt, excerpt, http, serde_json};

/// How much of an error is repeated, in characters.
const ERROR: usize = 200;

#[derive(Deserialize)]
#[serde(crate = "provost_sdk::serde")]
struct Answer {
    id: Option<String>,
    error: Option<String>,
}

/// What became of the message. The status says it, and the body what ntfy calls the message, or why there is none. `refused_topic` makes
/// the error of a topic that the host may not publish on; `has_login` says whether it has logged in.
pub(crate) async fn read(
    mut response: Response,
    refused_topic: fn(String) -> DeliveryError,
    has_login: bool,
) -> Result<Receipt, DeliveryError> {
    let body = http::body(&mut response).await?;
    let status = response.status();
    let answer = serde_json::from_slice(&body).unwrap_or(Answer { id: None, error: None });
    match (http::check(response), answer) {
        (Ok(_), Answer { id: Some(id), .. }) => Ok(Receipt::with_reference(id)),
        // Something that stands before ntfy answered, such as a proxy.
        (Ok(_), _) => Err(DeliveryError::temporary(format!("the server answered {status}, but not as ntfy does"))),
        (Err(error), Answer { error: Some(detail), .. }) => {
            let error = error.with_detail(&excerpt(&detail, ERROR));
            // ntfy's own is about the topic: a login that is wrong gets 401.
            Err(match status {
                StatusCode::FORBIDDEN if has_login => refused_topic(error.to_string()),
                StatusCode::FORBIDDEN => refused_topic(format!("{error}; the host has no login")),
                _ => error,
            })
        }
        (Err(error), _) => Err(error),
    }
}
