//! What the Bot API's answers mean. Knows nothing of what was asked.

use provost_sdk::reqwest::Response;
use provost_sdk::serde::Deserialize;
use provost_sdk::{DeliveryError, Receipt, Secret, excerpt, http, serde_json};
use std::time::Duration;

/// How much of a description is repeated, in characters.
const DESCRIPTION: usize = 200;

/// How descriptions with the code 400 speak of the chat, in small letters. 403 is always about the chat.
const ABOUT_THE_CHAT: [&str; 13] = [
    "channel_invalid",
    "channel_private",
    "chat not found",
    "chat_admin_required",
    "chat_id is empty",
    "chat_restricted",
    "chat_write_forbidden",
    "group chat was",
    "need administrator rights",
    "peer_id_invalid",
    "rights to send",
    "topic_closed",
    "user not found",
];

#[derive(Deserialize)]
#[serde(crate = "provost_sdk::serde")]
struct Answer {
    ok: bool,
    result: Option<Sent>,
    error_code: Option<u16>,
    description: Option<String>,
    parameters: Option<Parameters>,
}

#[derive(Deserialize)]
#[serde(crate = "provost_sdk::serde")]
struct Sent {
    message_id: i64,
    chat: Chat,
}

#[derive(Deserialize)]
#[serde(crate = "provost_sdk::serde")]
struct Chat {
    id: i64,
}

#[derive(Deserialize)]
#[serde(crate = "provost_sdk::serde")]
struct Parameters {
    retry_after: Option<u64>,
    migrate_to_chat_id: Option<i64>,
}

/// What became of the message. The token is never repeated, even if the other side does. `refused_chat` makes the error of a chat that the
/// bot cannot write to.
pub(crate) async fn read(
    mut response: Response,
    token: &Secret,
    refused_chat: fn(String) -> DeliveryError,
) -> Result<Receipt, DeliveryError> {
    let body = http::body(&mut response).await?;
    match serde_json::from_slice::<Answer>(&body) {
        Ok(Answer { ok: true, result: Some(Sent { message_id, chat }), .. }) if response.status().is_success() => {
            Ok(Receipt::with_reference(format!("message {message_id} in chat {}", chat.id)))
        }
        Ok(Answer { ok: false, error_code: Some(code), description, parameters, .. }) => {
            let description = description.unwrap_or_default().replace(token.expose(), "***");
            let retry_after = http::retry_after(response.headers());
            Err(refusal(code, &description, parameters, retry_after, refused_chat))
        }
        // Something that stands before Telegram answered, such as a proxy.
        _ => {
            let status = http::check(response)?.status();
            Err(DeliveryError::temporary(format!("the server answered {status}, but not as Telegram does")))
        }
    }
}

fn refusal(
    code: u16,
    description: &str,
    parameters: Option<Parameters>,
    retry_after: Option<Duration>,
    refused_chat: fn(String) -> DeliveryError,
) -> DeliveryError {
    let mut reason = format!("Telegram answered {code}: {}", excerpt(description, DESCRIPTION));
    let parameters = parameters.unwrap_or(Parameters { retry_after: None, migrate_to_chat_id: None });
    if let Some(chat) = parameters.migrate_to_chat_id {
        reason += &format!("; the chat's id is now {chat}");
    }
    match code {
        // There is no other way to this method: 404 is a token that nobody has.
        401 | 404 => DeliveryError::unauthorized(reason),
        429 | 500.. => {
            let retry_after = parameters.retry_after.map(Duration::from_secs).or(retry_after);
            DeliveryError::Temporary { reason, retry_after }
        }
        // A chat that does not want the bot.
        403 => refused_chat(reason),
        400 if is_about_the_chat(description) => refused_chat(reason),
        _ => DeliveryError::permanent(reason),
    }
}

fn is_about_the_chat(description: &str) -> bool {
    let description = description.to_ascii_lowercase();
    ABOUT_THE_CHAT.iter().any(|text| description.contains(text))
}
