//! What Slack's answers mean. Knows nothing of what was asked.

use provost_sdk::reqwest::Response;
use provost_sdk::serde::Deserialize;
use provost_sdk::{DeliveryError, Receipt, SHOWN, http, serde_json};

/// The token or the webhook is not, or no longer, good for posting.
const REFUSES_THE_HOST: [&str; 25] = [
    "access_denied",
    "accesslimited",
    "account_inactive",
    "action_prohibited",
    "deprecated_endpoint",
    "ekm_access_denied",
    "enterprise_is_restricted",
    "invalid_auth",
    "invalid_token",
    "method_deprecated",
    "missing_scope",
    "no_active_hooks",
    "no_permission",
    "no_service",
    "no_service_id",
    "no_team",
    "not_allowed_token_type",
    "not_authed",
    "org_login_required",
    "team_access_not_granted",
    "team_disabled",
    "team_not_found",
    "token_expired",
    "token_revoked",
    "two_factor_setup_required",
];

/// Nothing can be posted to the channel, or to the user in its place.
const REFUSES_THE_CHANNEL: [&str; 12] = [
    "channel_is_archived",
    "channel_not_found",
    "is_archived",
    "is_inactive",
    "messages_tab_disabled",
    "not_in_channel",
    "posting_to_general_channel_denied",
    "restricted_action",
    "restricted_action_non_threadable_channel",
    "restricted_action_read_only_channel",
    "restricted_action_thread_only_channel",
    "user_not_found",
];

/// With status 200, too: the same may be accepted later.
const LATER: [&str; 8] = [
    "fatal_error",
    "internal_error",
    "message_limit_exceeded",
    "rate_limited",
    "ratelimited",
    "request_timeout",
    "service_unavailable",
    "team_added_to_org",
];

#[derive(Deserialize)]
#[serde(crate = "provost_sdk::serde")]
struct Answer {
    ok: bool,
    error: Option<String>,
    channel: Option<String>,
    ts: Option<String>,
}

/// An incoming webhook answers `ok`, or a word and a status that is an error. It has the channel that the operator gave it.
pub(crate) async fn of_webhook(mut response: Response) -> Result<Receipt, DeliveryError> {
    let body = http::body(&mut response).await?;
    match word(&body) {
        Some("ok") if response.status().is_success() => Ok(Receipt::with_reference("ok")),
        Some(word) => Err(refusal(response, word, DeliveryError::unauthorized)),
        None => Err(unknown(response)),
    }
}

/// The Web API answers JSON, mostly with status 200. `refused_channel` makes the error of a channel that the bot cannot post to.
pub(crate) async fn of_api(
    mut response: Response,
    refused_channel: fn(String) -> DeliveryError,
) -> Result<Receipt, DeliveryError> {
    let body = http::body(&mut response).await?;
    let Ok(answer) = serde_json::from_slice::<Answer>(&body) else { return Err(unknown(response)) };
    if answer.ok && response.status().is_success() {
        let place = answer.ts.zip(answer.channel);
        return Ok(Receipt { reference: place.map(|(ts, channel)| format!("message {ts} in channel {channel}")) });
    }
    match answer.error.as_ref().and_then(|error| word(error.as_bytes())) {
        Some(word) => Err(refusal(response, word, refused_channel)),
        None => Err(unknown(response)),
    }
}

/// A word that Slack uses for an error. Nothing else is repeated.
fn word(text: &[u8]) -> Option<&str> {
    let text = str::from_utf8(text).ok()?.trim();
    let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    (!text.is_empty() && text.len() <= SHOWN && text.bytes().all(letter)).then_some(text)
}

fn refusal(response: Response, word: &str, refused_channel: fn(String) -> DeliveryError) -> DeliveryError {
    let reason = format!("Slack answered `{word}`");
    if REFUSES_THE_HOST.contains(&word) {
        return DeliveryError::unauthorized(reason);
    }
    if REFUSES_THE_CHANNEL.contains(&word) {
        return refused_channel(reason);
    }
    if LATER.contains(&word) {
        return DeliveryError::Temporary { reason, retry_after: http::retry_after(response.headers()) };
    }
    match http::check(response) {
        Ok(_) => DeliveryError::permanent(reason),
        Err(error) => error.with_detail(word),
    }
}

/// Something that stands before Slack answered, such as a proxy.
fn unknown(response: Response) -> DeliveryError {
    match http::check(response) {
        Ok(response) => {
            DeliveryError::temporary(format!("the server answered {}, but not as Slack does", response.status()))
        }
        Err(error) => error,
    }
}
