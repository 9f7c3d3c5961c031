//! The body of `POST /v1/messages`, its headers, and what they may have.

use crate::config::{Limits, MESSAGE_MEMORY};
use crate::ground::random;
use crate::http::attachments;
use crate::http::body::Weighed;
use crate::http::bounded::{self, Bounded};
use crate::http::object::Object;
use crate::http::problem::Problem;
use axum::http::{HeaderMap, HeaderName, StatusCode};
use provost_sdk::schemars::JsonSchema;
use provost_sdk::{Attachment, Message};
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};
use uuid::Builder;

/// The id that a caller gives a request, to find it in logs.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The header by which a caller sends a request again.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The header of the trace that a request belongs to.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The most bytes of an id or a key in a header.
const LONGEST: usize = 255;

/// The most providers of a route.
pub const LONGEST_ROUTE: usize = 16;

/// A message, and the provider or the route that delivers it.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(crate = "provost_sdk::schemars")]
#[schemars(extend("oneOf" = [{ "required": ["provider"] }, { "required": ["route"] }]))]
pub struct SendMessage {
    /// The provider that delivers it.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub provider: Option<String>,
    /// Providers that are tried in this order, until one delivers it: in place of `provider`.
    #[serde(default, deserialize_with = "route", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<String>", length(min = 1, max = LONGEST_ROUTE), extend("uniqueItems" = true))]
    pub route: Option<Bounded<Vec<String>>>,
    /// What you call it: 1 to 64 letters, digits, `-` or `_`. The host generates a UUID if it is missing.
    #[schemars(regex(pattern = "^[A-Za-z0-9_-]{1,64}$"))]
    pub id: Option<String>,
    /// The recipients, in the form that the plugin expects. Each has as many bytes of UTF-8 as `server.field_limit` allows, at most:
    /// `maxLength` can only count characters, so a text with as many of them may be too long.
    #[serde(default, deserialize_with = "recipients")]
    #[schemars(with = "Vec<String>")]
    to: Bounded<Vec<String>>,
    /// One line, without control characters. It has as many bytes of UTF-8 as `server.field_limit` allows, at most: `maxLength` can
    /// only count characters, so a text with as many of them may be too long.
    #[serde(default)]
    #[schemars(regex(pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$"))]
    subject: String,
    /// The message.
    text: String,
    /// The same in HTML. A plugin that has no use for it leaves it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    html: Option<String>,
    /// Files that go with it. A plugin that cannot deliver them refuses the message.
    #[serde(default, deserialize_with = "files")]
    #[schemars(with = "Vec<Attachment>")]
    attachments: Bounded<Vec<Attachment>>,
    /// Key and value pairs for the plugin. Each key and each value has as many bytes of UTF-8 as `server.field_limit` allows, at
    /// most: `maxLength` can only count characters, so a text with as many of them may be too long.
    #[serde(default, deserialize_with = "metadata")]
    #[schemars(with = "BTreeMap<String, String>")]
    metadata: Bounded<BTreeMap<String, String>>,
}

/// What is there, and not null.
fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

fn route<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Bounded<Vec<String>>>, D::Error> {
    bounded::list(deserializer, |_| LONGEST_ROUTE).map(Some)
}

fn recipients<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bounded<Vec<String>>, D::Error> {
    bounded::list(deserializer, |limits| limits.recipients)
}

fn files<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bounded<Vec<Attachment>>, D::Error> {
    let Bounded { kept, count } = bounded::list(deserializer, |limits| limits.attachments)?;
    Ok(Bounded { kept: kept.into_iter().map(|Object(file)| file).collect(), count })
}

fn metadata<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bounded<BTreeMap<String, String>>, D::Error> {
    bounded::map(deserializer, |limits| limits.metadata)
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
            None => new_id(),
            Some(id) if (1..=64).contains(&id.len()) && id.chars().all(is_id) => id,
            Some(_) => return Err(invalid("`id` must have 1 to 64 letters, digits, `-` or `_`")),
        };
        if self.subject.contains(char::is_control) {
            return Err(invalid("`subject` must be one line, without control characters"));
        }
        let (request_id, traceparent) = (visible(headers, &REQUEST_ID), traceparent(headers));
        let (request_id, traceparent) = (request_id.map(str::to_owned), traceparent.map(str::to_owned));
        let Self { to, subject, text, html, attachments, metadata, .. } = self;
        let (to, attachments, metadata) = (to.kept, attachments.kept, metadata.kept);
        Ok(Message { id, to, subject, text, html, attachments, metadata, request_id, traceparent })
    }

    /// What is too much for `limits`, if anything is.
    fn check(&self, limits: Limits) -> Result<(), String> {
        let number = |what: &str, have: usize, key: &str, most: usize| {
            let error = || format!("{what}: {have}, and `server.{key}` allows {most}");
            (have <= most).then_some(()).ok_or_else(error)
        };
        number("recipients in `to`", self.to.count, "recipients_limit", limits.recipients)?;
        number("files in `attachments`", self.attachments.count, "attachments_limit", limits.attachments)?;
        self.attachments.kept.iter().try_for_each(attachments::check)?;
        number("pairs in `metadata`", self.metadata.count, "metadata_limit", limits.metadata)?;
        let size = |what: &str, text: &str| number(what, text.len(), "field_limit", limits.field);
        size("bytes in `subject`", &self.subject)?;
        self.to.kept.iter().try_for_each(|to| size("bytes of a recipient", to))?;
        self.metadata
            .kept
            .iter()
            .flat_map(|(key, value)| [key, value])
            .try_for_each(|text| size("bytes of a key or value in `metadata`", text))
    }
}

impl Weighed for SendMessage {
    fn weight(&self) -> usize {
        MESSAGE_MEMORY + self.texts()
    }
}

impl SendMessage {
    /// About how many bytes of memory its texts take.
    pub fn texts(&self) -> usize {
        // Lists and maps keep places for as many again.
        const TEXT: usize = 2 * size_of::<String>();
        let text = |text: &String| text.len() + TEXT;
        let optional = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let files = self.attachments.kept.iter().map(|file| {
            let Attachment { name, content_type, content } = file;
            name.len() + content_type.len() + content.len() + 2 * size_of::<Attachment>()
        });
        let route = self.route.iter().flat_map(|route| &route.kept).map(text);
        let pairs = self.metadata.kept.iter().flat_map(|(key, value)| [text(key), text(value)]);
        let lists: usize = self.to.kept.iter().map(text).chain(route).chain(pairs).chain(files).sum();
        let texts = optional(&self.provider) + optional(&self.id) + optional(&self.html);
        lists + texts + self.subject.len() + self.text.len()
    }
}

/// A UUID that begins with the time: version 7 of RFC 9562, section 5.7.
fn new_id() -> String {
    // A clock before 1970 has no time for it.
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let milliseconds = u64::try_from(since.as_millis()).unwrap_or_default();
    let bits = u128::from(random::bits()) << 64 | u128::from(random::bits());
    let [bytes @ .., _, _, _, _, _, _] = bits.to_be_bytes();
    Builder::from_unix_timestamp_millis(milliseconds, &bytes).into_uuid().to_string()
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

/// A trace that the request belongs to; one that cannot be read is as none (W3C Trace Context, section 3.2). Later versions may have more
/// fields behind these four.
pub fn traceparent(headers: &HeaderMap) -> Option<&str> {
    let text = visible(headers, &TRACEPARENT)?;
    let parts: Vec<&str> = text.splitn(5, '-').collect();
    let (&[version, trace, parent, flags] | &[version, trace, parent, flags, _]) = &parts[..] else { return None };
    let is_known = parts.len() == 4 || version != "00";
    let is_hex =
        |text: &str, length| text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let is_set = |text: &str| text.bytes().any(|byte| byte != b'0');
    let is_whole = is_hex(version, 2) && is_hex(trace, 32) && is_hex(parent, 16) && is_hex(flags, 2);
    (is_known && is_whole && version != "ff" && is_set(trace) && is_set(parent)).then_some(text)
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
            (&format!("{WHOLE}-later"), false),
            (&(WHOLE.replacen("00-", "01-", 1) + "-later-and-more"), true),
            (&(WHOLE.replacen("00-", "01-", 1) + "later"), false),
            (&WHOLE.to_uppercase(), false),
            (&WHOLE.replacen("00-", "ff-", 1), false),
            (&WHOLE[..54], false),
            ("a", false),
        ] {
            assert_eq!(traceparent(&headers(TRACEPARENT, &[text])).is_some(), expected, "{text}");
        }
    }
}
