//! What ntfy's answers mean. Knows nothing of what was asked.

use provost_sdk::reqwest::Response;
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

/// What became of the message. The status says it, and the body what ntfy calls the message, or why there is none.
pub(crate) async fn read(mut response: Response) -> Result<Receipt, DeliveryError> {
    let body = http::body(&mut response).await?;
    let answer = serde_json::from_slice(&body).unwrap_or(Answer { id: None, error: None });
    match (http::check(response), answer) {
        (Ok(_), Answer { id: Some(id), .. }) => Ok(Receipt::with_reference(id)),
        // Something that stands before ntfy answered, such as a proxy.
        (Ok(response), _) => {
            let status = response.status();
            Err(DeliveryError::temporary(format!("the server answered {status}, but not as ntfy does")))
        }
        (Err(error), Answer { error: Some(detail), .. }) => Err(error.with_detail(&excerpt(&detail, ERROR))),
        (Err(error), _) => Err(error),
    }
}
