//! The headers that a configuration adds to each request, with the login. Knows nothing of messages.

use provost_sdk::reqwest::Url;
use provost_sdk::reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use provost_sdk::{ConfigError, KeyError, SHOWN, Secret, excerpt, http};
use std::collections::BTreeMap;

/// What this plugin sets itself, and what says how a request is transmitted.
const TAKEN: [&str; 16] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "te",
    "traceparent",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "webhook-id",
    "webhook-signature",
    "webhook-timestamp",
    "x-request-id",
];

/// A user and a password.
#[provost_sdk::config]
#[cfg_attr(test, derive(Debug))]
pub(crate) struct Basic {
    /// The name to log in with.
    pub(crate) user: Secret,
    /// The password that goes with it.
    pub(crate) password: Secret,
}

/// The headers of each request to `url`, which is known if it is right.
///
/// # Errors
///
/// Every header that cannot be sent or that something else sets, and logins that exclude each other.
pub(crate) fn all(
    headers: &BTreeMap<String, Secret>,
    basic: Option<&Basic>,
    bearer: Option<&Secret>,
    url: Option<&Url>,
) -> Result<HeaderMap, ConfigError> {
    let (mut map, mut errors) = (HeaderMap::new(), Vec::new());
    for (name, value) in headers {
        match header(name, value, &map) {
            Ok((name, value)) => drop(map.insert(name, value)),
            Err(message) => errors.push(KeyError { key: format!("headers.{}", excerpt(name, SHOWN)), message }),
        }
    }
    let in_url = url.is_some_and(|url| !url.username().is_empty() || url.password().is_some());
    let logins = [
        ("basic", basic.is_some()),
        ("bearer", bearer.is_some()),
        ("headers.authorization", map.contains_key(AUTHORIZATION)),
        ("url", in_url),
    ];
    let mut logins = logins.into_iter().filter(|(_, is_there)| *is_there).map(|(key, _)| key);
    if let Some(first) = logins.next() {
        let message = format!("logs in, as `{first}` does: keep one of them");
        errors.extend(logins.map(|key| KeyError { key: key.to_owned(), message: message.clone() }));
    }
    let (mut map, login) = ConfigError::both(ConfigError::all(errors).map(|()| map), login(basic, bearer))?;
    if let Some(value) = login {
        map.insert(AUTHORIZATION, value);
    }
    Ok(map)
}

fn header(name: &str, value: &Secret, others: &HeaderMap) -> Result<(HeaderName, HeaderValue), String> {
    let name = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| "no header has such a name: use letters, digits and `-`".to_owned())?;
    if TAKEN.contains(&name.as_str()) {
        return Err("this header is set by the plugin: remove it".to_owned());
    }
    if others.contains_key(&name) {
        return Err("the same header is there in other letters: keep one of them".to_owned());
    }
    Ok((name, sensitive(value.expose())?))
}

/// The value of a header, which is shown nowhere.
fn sensitive(text: &str) -> Result<HeaderValue, String> {
    match HeaderValue::from_str(text) {
        Ok(mut value) if text.is_ascii() => {
            value.set_sensitive(true);
            Ok(value)
        }
        _ => Err("no header has such a value: it may have ASCII characters only, and no line feed".to_owned()),
    }
}

/// The value of `authorization` (RFC 7617 and RFC 6750).
fn login(basic: Option<&Basic>, bearer: Option<&Secret>) -> Result<Option<HeaderValue>, ConfigError> {
    match (basic, bearer) {
        (Some(Basic { user, password }), _) => http::basic(["basic.user", "basic.password"], user, password).map(Some),
        (None, Some(token)) => http::bearer("bearer", token).map(Some),
        (None, None) => Ok(None),
    }
}
