//! The body of `POST /v1/messages`, its headers, and what they may have.

use crate::config::Limits;
use crate::http::problem::Problem;
use axum::http::{HeaderMap, HeaderName, StatusCode};
use provost_sdk::Message;
use serde::Deserialize;
use std::collections::BTreeMap;
use uuid::Uuid;

/// The id that a caller gives a request, to find it in logs.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The most bytes of an id or a key in a header.
const LONGEST: usize = 255;

/// The body.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SendMessage {
    /// Who delivers it.
    pub provider: String,
    /// What the caller calls it.
    pub id: Option<String>,
    #[serde(default)]
    to: Vec<String>,
    #[serde(default)]
    subject: String,
    text: String,
    #[serde(default)]
    metadata: BTreeMap<String, String>,
}

impl SendMessage {
    /// The message, with an id.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn message(self, headers: &HeaderMap, limits: Limits) -> Result<Message, Problem> {
        self.check(limits).map_err(invalid)?;
        let is_id = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let id = match self.id {
            None => Uuid::now_v7().to_string(),
            Some(id) if (1..=64).contains(&id.len()) && id.chars().all(is_id) => id,
            Some(_) => return Err(invalid("`id` must have 1 to 64 letters, digits, `-` or `_`")),
        };
        if self.subject.contains(char::is_control) {
            return Err(invalid("`subject` must be one line, without control characters"));
        }
        let (request_id, traceparent) = (visible(headers, &REQUEST_ID), traceparent(headers));
        let (request_id, traceparent) = (request_id.map(str::to_owned), traceparent.map(str::to_owned));
        let Self { to, subject, text, metadata, .. } = self;
        Ok(Message { id, to, subject, text, metadata, request_id, traceparent })
    }

    /// What is too much for `limits`, if anything is.
    fn check(&self, limits: Limits) -> Result<(), String> {
        let number = |what: &str, have: usize, key: &str, most: usize| {
            let error = || format!("{what}: {have}, and `server.{key}` allows {most}");
            (have <= most).then_some(()).ok_or_else(error)
        };
        number("recipients in `to`", self.to.len(), "recipients_limit", limits.recipients)?;
        number("pairs in `metadata`", self.metadata.len(), "metadata_limit", limits.metadata)?;
        let size = |what: &str, text: &str| number(what, text.len(), "field_limit", limits.field);
        size("bytes in `subject`", &self.subject)?;
        self.to.iter().try_for_each(|to| size("bytes of a recipient", to))?;
        self.metadata
            .iter()
            .flat_map(|(key, value)| [key, value])
            .try_for_each(|text| size("bytes of a key or value in `metadata`", text))
    }
}

/// The key by which the caller sends the same request again.
///
/// # Errors
///
/// When there is more than one, or it cannot be one.
pub fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    if !headers.contains_key(&IDEMPOTENCY_KEY) {
        return Ok(None);
    }
    let key = visible(headers, &IDEMPOTENCY_KEY).map(|key| {
        // A string of structured fields (RFC 9651); many send it bare.
        key.strip_prefix('"').and_then(|key| key.strip_suffix('"')).unwrap_or(key)
    });
    let error =
        || invalid(format!("the header `idempotency-key` must be one, of 1 to {LONGEST} visible characters of ASCII"));
    key.filter(|key| !key.is_empty()).map(|key| Some(key.to_owned())).ok_or_else(error)
}

/// The value of a header that is there once.
pub fn visible<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let (value, other) = (values.next()?, values.next());
    let text = value.to_str().ok()?;
    let is_visible = (1..=LONGEST).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    (other.is_none() && is_visible).then_some(text)
}

/// A trace that the request belongs to; one that cannot be read is as none (W3C Trace Context, section 3.2).
fn traceparent(headers: &HeaderMap) -> Option<&str> {
    let text = visible(headers, &TRACEPARENT)?;
    let parts: Vec<&str> = text.split('-').collect();
    let [version, trace, parent, flags] = parts[..] else { return None };
    let is_hex =
        |text: &str, length| text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let is_set = |text: &str| text.bytes().any(|byte| byte != b'0');
    let is_whole = is_hex(version, 2) && is_hex(trace, 32) && is_hex(parent, 16) && is_hex(flags, 2);
    (is_whole && version != "ff" && is_set(trace) && is_set(parent)).then_some(text)
}

/// A message that is none.
pub fn invalid(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "invalid-message", "invalid message", detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: HeaderName, values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (name.clone(), value.parse().expect("a header"))).collect()
    }

    #[test]
    fn keys_are_visible_and_one() {
        let long = "a".repeat(256);
        for (values, expected) in [
            (&[][..], Ok(None)),
            (&["a"], Ok(Some("a"))),
            (&["\"8e03978e-40d5\""], Ok(Some("8e03978e-40d5"))),
            (&["\""], Ok(Some("\""))),
            (&["\"\""], Err(())),
            (&[""], Err(())),
            (&["a b"], Err(())),
            (&["a", "a"], Err(())),
            (&[&long], Err(())),
        ] {
            let found = idempotency_key(&headers(IDEMPOTENCY_KEY, values)).map_err(drop);
            assert_eq!(found, expected.map(|key| key.map(str::to_owned)), "{values:?}");
        }
    }

    #[test]
    fn a_trace_is_whole() {
        const WHOLE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let zeros = WHOLE.replace("00f067aa0ba902b7", &"0".repeat(16));
        for (text, expected) in [
            (WHOLE, true),
            (&zeros, false),
            (&WHOLE.to_uppercase(), false),
            (&WHOLE.replacen("00-", "ff-", 1), false),
            (&WHOLE[..54], false),
            ("a", false),
        ] {
            assert_eq!(traceparent(&headers(TRACEPARENT, &[text])).is_some(), expected, "{text}");
        }
    }
}
