//! HTTP for plugins: the client's settings, which URLs there can be, and what an answer means for a delivery.

use crate::tls::TlsRoots;
use crate::{ConfigError, DeliveryError, SHOWN, Secret, excerpt, names, with_causes};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Client, ClientBuilder, Response, StatusCode, Url, header, redirect};
use std::env;
use std::time::{Duration, SystemTime};

/// A client with the settings of [`Context::http`](crate::Context::http), and what `change` makes of them: for a provider that resolves
/// names by itself, or sends a header with every request. The provider keeps the client, which keeps connections.
///
/// It has no limit on the time of a request: the host's ends a delivery, and two at one moment would make chance decide what the caller is
/// told. Set that of [`Context::connect_timeout`](crate::Context::connect_timeout).
///
/// # Errors
///
/// When the trusted certificates cannot be read, or the environment names a proxy that cannot be used.
pub fn client(change: impl FnOnce(ClientBuilder) -> ClientBuilder) -> Result<Client, ConfigError> {
    check_proxies()?;
    let roots = TlsRoots::load()?;
    let builder = Client::builder()
        .tls_backend_preconfigured(roots.client_config()?)
        .user_agent(concat!("provost/", env!("CARGO_PKG_VERSION")))
        // A message goes where the operator said and nowhere else.
        .redirect(redirect::Policy::none());
    change(builder).build().map_err(|error| ConfigError::new("", format!("making the HTTP client: {error}")))
}

/// Else requests would go out without the proxy, or fail one by one. Its address is not repeated: it may hold a password.
fn check_proxies() -> Result<(), ConfigError> {
    // The first that is set counts, and the last two where another is missing.
    let first = |names: [&'static str; 2]| names.into_iter().find_map(|name| Some((name, env::var(name).ok()?)));
    let (http, https) = (first(["HTTP_PROXY", "http_proxy"]), first(["HTTPS_PROXY", "https_proxy"]));
    let all = if http.is_some() && https.is_some() { None } else { first(["ALL_PROXY", "all_proxy"]) };
    match [http, https, all].into_iter().flatten().find(|(_, value)| !value.is_empty() && !is_proxy(value)) {
        None => Ok(()),
        Some((name, _)) => {
            let example = "no proxy such as `http://proxy.example.org:3128`; it must be http or https";
            Err(ConfigError::new("", format!("the environment variable {name} names {example}")))
        }
    }
}

/// Whether the HTTP client can ask it.
fn is_proxy(value: &str) -> bool {
    let (scheme, rest) = value.split_once("://").unwrap_or(("http", value));
    let known = ["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
    // A name without a scheme is taken alone, and not with a path.
    let whole = value.contains("://") || !rest.contains('/');
    known && whole && !value.contains(char::is_whitespace) && Url::parse(&format!("http://{rest}")).is_ok()
}

/// The URL that stands under `key` of a configuration: `https://` or `http://`, the name of a host that there can be, or an address, and
/// a port that something can listen on. It is looked at only; nobody is asked.
///
/// # Errors
///
/// What is wrong with it. It is not repeated, since it may hold a token.
pub fn parse_url(key: &str, text: &str) -> Result<Url, ConfigError> {
    read_url(text).map_err(|why| ConfigError::new(key, why))
}

fn read_url(text: &str) -> Result<Url, String> {
    // URLs drop or replace them: the host would be another than the one that is read in the configuration.
    if text.contains(|letter: char| letter.is_whitespace() || letter.is_control()) {
        return Err("it has a space or a control character: remove it, or write `%20` in a path".to_owned());
    }
    let url = Url::parse(text).map_err(|error| format!("this is not a URL: {error}"))?;
    let scheme = url.scheme();
    if !matches!(scheme, "http" | "https") {
        return Err(format!("`{}` is neither https nor http", excerpt(scheme, SHOWN)));
    }
    // URLs forgive other numbers of slashes, and backslashes.
    let rest = text.get(scheme.len()..).and_then(|rest| rest.strip_prefix("://"));
    if rest.is_none_or(|rest| rest.starts_with(['/', '\\'])) {
        return Err(format!("this is not a URL: write `{scheme}://` and the host after it"));
    }
    if url.port() == Some(0) {
        return Err("nothing can listen on port 0".to_owned());
    }
    match url.domain().and_then(names::fault) {
        Some(fault) => Err(format!("no host can have this name: {fault}")),
        None => Ok(url),
    }
}

/// What an answer means: 2xx is delivered; 408, 425, 429 and 5xx may be tried again, later if `Retry-After` says so; 401, 403 and
/// 407 refuse the host's own token or password; 3xx, 404, 405 and 410 say that its URL is wrong, for which no message is to blame; all else
/// is for good. Where a message makes a part of the URL, look at the status first.
///
/// # Errors
///
/// The answer's status as a [`DeliveryError`].
pub fn check(response: Response) -> Result<Response, DeliveryError> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let reason = format!("the server answered {status}");
    match status {
        StatusCode::UNAUTHORIZED
        | StatusCode::FORBIDDEN
        | StatusCode::PROXY_AUTHENTICATION_REQUIRED
        | StatusCode::NOT_FOUND
        | StatusCode::METHOD_NOT_ALLOWED
        | StatusCode::GONE => return Err(DeliveryError::unauthorized(reason)),
        _ if status.is_redirection() => return Err(DeliveryError::unauthorized(reason)),
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => {}
        _ if status.is_server_error() => {}
        _ => return Err(DeliveryError::permanent(reason)),
    }
    Err(DeliveryError::Temporary { reason, retry_after: retry_after(response.headers()) })
}

/// How long to wait, as the header `Retry-After` of an answer says: in seconds, or until a date (RFC 9110 section 10.2.3). The date is
/// compared with that of the answer, since the other side's clock is not ours.
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name)?.to_str().ok();
    let date = |name| httpdate::parse_http_date(text(name)?).ok();
    if let Ok(seconds) = text(header::RETRY_AFTER)?.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let now = date(header::DATE).unwrap_or_else(SystemTime::now);
    // Whoever names a time that is over need not be waited for.
    Some(date(header::RETRY_AFTER)?.duration_since(now).unwrap_or_default())
}

/// Most bytes that [`body`] reads.
const LARGEST_ANSWER: usize = 1 << 20;

/// The body of an answer, at most its first mebibyte: the other side does not decide how much memory an answer takes.
///
/// # Errors
///
/// When the connection ends within it.
pub async fn body(response: &mut Response) -> Result<Vec<u8>, DeliveryError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        let room = LARGEST_ANSWER - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() > room {
            break;
        }
    }
    Ok(body)
}

/// The address of an API's method: the segments of a path below the address `base`, which is the value of the key `key`.
///
/// # Errors
///
/// When `base` is no address that a request can go to.
pub fn endpoint(key: &str, base: &str, path: &[&str]) -> Result<Url, ConfigError> {
    let mut url = parse_url(key, base)?;
    if !path.is_empty()
        && let Ok(mut segments) = url.path_segments_mut()
    {
        segments.pop_if_empty().extend(path);
    }
    Ok(url)
}

/// The header `authorization` with a token, which is the value of the key `key`.
///
/// # Errors
///
/// When it has characters that no token has (RFC 6750).
pub fn bearer(key: &str, token: &Secret) -> Result<HeaderValue, ConfigError> {
    let wrong = "a token has visible ASCII characters only, no space and no line feed: copy the token alone";
    if !token.expose().bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(ConfigError::new(key, wrong));
    }
    let value = HeaderValue::try_from(format!("Bearer {}", token.expose()));
    let mut value = value.map_err(|_| ConfigError::new(key, wrong))?;
    value.set_sensitive(true);
    Ok(value)
}

/// The header `authorization` with a name and a password, which are the values of these keys.
///
/// # Errors
///
/// When one of them has characters that none has (RFC 7617 section 2).
pub fn basic(keys: [&str; 2], user: &Secret, password: &Secret) -> Result<HeaderValue, ConfigError> {
    let user = user.expose();
    let named = if user.contains(|letter: char| letter == ':' || letter.is_control()) {
        let wrong = "a user's name has no `:` and no control character";
        Err(ConfigError::new(keys[0], wrong))
    } else {
        Ok(())
    };
    let known = if password.expose().contains(char::is_control) {
        Err(ConfigError::new(keys[1], "a password has no control character, such as a line feed"))
    } else {
        Ok(())
    };
    ConfigError::both(named, known)?;
    let login = STANDARD.encode(format!("{user}:{}", password.expose()));
    let mut value = HeaderValue::try_from(format!("Basic {login}")).expect("base64 is ASCII");
    value.set_sensitive(true);
    Ok(value)
}

/// What a proxy that wants a login is called, when it is asked for a connection: the library has no type for it.
const NO_LOGIN: &str = "proxy authorization required";

/// A request that cannot be built is wrong for good, and a proxy that wants a login refuses the host; everything else about a connection may
/// work later.
impl From<reqwest::Error> for DeliveryError {
    fn from(error: reqwest::Error) -> Self {
        let permanent = error.is_builder();
        // An address may hold a token, as those of chat services do.
        let reason = with_causes(&error.without_url());
        match reason {
            reason if permanent => Self::permanent(reason),
            reason if reason.ends_with(NO_LOGIN) => Self::unauthorized(reason),
            reason => Self::temporary(reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_that_cannot_be_reached() {
        for url in
            ["https://example.org", "http://my_host:8080/a%20b?c#d", "HTTPS://a@[2001:db8::1]/", "http://127.0.0.1"]
        {
            assert_eq!(parse_url("url", url).map(|_| ()), Ok(()), "{url}");
        }
        let label = "a".repeat(64);
        let (label, name) = (format!("https://{label}.org/"), format!("https://{}org/", "abc.".repeat(63)));
        for (url, expected) in [
            ("", "this is not a URL: relative URL without a base"),
            ("example.org", "this is not a URL: relative URL without a base"),
            ("http://", "this is not a URL: empty host"),
            ("http:example.org", "this is not a URL: write `http://` and the host after it"),
            ("http:///example.org", "this is not a URL: write `http://` and the host after it"),
            ("https:\\\\example.org", "this is not a URL: write `https://` and the host after it"),
            ("ftp://example.org", "`ftp` is neither https nor http"),
            ("https://example.org ", "it has a space or a control character: remove it, or write `%20` in a path"),
            ("https://exam\nple.org", "it has a space or a control character: remove it, or write `%20` in a path"),
            ("https://example.org:0", "nothing can listen on port 0"),
            ("https://example.org:65536", "this is not a URL: invalid port number"),
            ("https://1.2.3.256", "this is not a URL: invalid IPv4 address"),
            ("https://exa<mple.org", "this is not a URL: invalid international domain name"),
            ("https://example.org.", "no host can have this name: it ends with a dot"),
            ("https://example..org", "no host can have this name: it begins with a dot, or has two side by side"),
            ("https://.example.org", "no host can have this name: it begins with a dot, or has two side by side"),
            (
                "https://*.example.org",
                "no host can have this name: it has a character other than letters, digits, `-` and `_`",
            ),
            ("https://a,b", "no host can have this name: it has a character other than letters, digits, `-` and `_`"),
            (&label, "no host can have this name: a part between its dots is longer than 63 characters"),
            (&name, "no host can have this name: it is longer than 253 characters"),
        ] {
            let found = parse_url("url", url).map(|_| ()).map_err(|error| error.to_string());
            assert_eq!(found, Err(format!("url: {expected}")), "{url}");
        }
    }

    #[test]
    fn proxies_that_can_be_asked() {
        for (value, expected) in [
            ("http://proxy.example.org:3128", true),
            ("HTTPS://user:hunter2@proxy.example.org/", true),
            ("proxy.example.org:3128", true),
            ("proxy.example.org:3128/", false),
            ("http://proxy example.org", false),
            ("http://", false),
            ("socks5://proxy.example.org", false),
        ] {
            assert_eq!(is_proxy(value), expected, "{value}");
        }
    }

    #[test]
    fn methods_are_below_the_address_of_their_api() {
        for (base, path, expected) in [
            ("https://example.org", &[][..], Ok("https://example.org/")),
            ("https://example.org/hook?a=1", &[], Ok("https://example.org/hook?a=1")),
            ("https://example.org", &["a:1", "b.c"], Ok("https://example.org/a:1/b.c")),
            ("https://example.org/api/", &["b"], Ok("https://example.org/api/b")),
            ("https://example.org/api?a=1", &["b"], Ok("https://example.org/api/b?a=1")),
            ("example.org", &["b"], Err("url: this is not a URL: relative URL without a base")),
            ("ftp://example.org", &["b"], Err("url: `ftp` is neither https nor http")),
            ("http://example.org:0", &["b"], Err("url: nothing can listen on port 0")),
        ] {
            let found = endpoint("url", base, path).map(String::from).map_err(|error| error.to_string());
            assert_eq!(found.as_deref().map_err(String::as_str), expected, "{base}");
        }
    }

    #[test]
    fn a_wait_is_a_number_or_a_date() {
        const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
        for (answer, expected) in [
            (&[("retry-after", "7")][..], Some(7)),
            (&[("retry-after", DATE), ("date", "Sun, 06 Nov 1994 08:49:07 GMT")], Some(30)),
            (&[("retry-after", "Sunday, 06-Nov-94 08:49:37 GMT"), ("date", "Sun, 06 Nov 1994 08:49:07 GMT")], Some(30)),
            (&[("retry-after", DATE), ("date", "Sun, 06 Nov 1994 08:50:00 GMT")], Some(0)),
            (&[("retry-after", DATE)], Some(0)),
            (&[("retry-after", "soon")], None),
            (&[("retry-after", "-1")], None),
            (&[("date", DATE)], None),
        ] {
            let headers = answer.iter().map(|(name, value)| {
                let name = header::HeaderName::from_static(name);
                (name, HeaderValue::from_static(value))
            });
            assert_eq!(retry_after(&headers.collect()), expected.map(Duration::from_secs), "{answer:?}");
        }
    }

    #[test]
    fn a_login_is_not_shown() {
        let keys = ["user", "password"];
        let value = basic(keys, &Secret::new("Aladdin"), &Secret::new("open sesame")).expect("a header");
        assert_eq!(
            (value.as_bytes(), format!("{value:?}").as_str()),
            (&b"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="[..], "Sensitive")
        );
        let user = "user: a user's name has no `:` and no control character";
        let password = "password: a password has no control character, such as a line feed";
        for (name, secret, expected) in [
            ("a:b", "hunter2", user.to_owned()),
            ("a\n", "hunter2", user.to_owned()),
            ("a", "hunter2\n", password.to_owned()),
            ("a\0", "\u{85}", format!("{user}; {password}")),
        ] {
            let error = basic(keys, &Secret::new(name), &Secret::new(secret)).expect_err("no header");
            assert_eq!(error.to_string(), expected, "{name:?}");
        }
    }

    #[test]
    fn a_token_is_not_shown() {
        let value = bearer("token", &Secret::new("hunter2")).expect("a header");
        assert_eq!((value.as_bytes(), format!("{value:?}").as_str()), (&b"Bearer hunter2"[..], "Sensitive"));
        let expected =
            "token: a token has visible ASCII characters only, no space and no line feed: copy the token alone";
        for token in ["hunter2\n", "hunter 2", "h\u{fc}nter2"] {
            let error = bearer("token", &Secret::new(token)).expect_err("no header");
            assert_eq!(error.to_string(), expected, "{token}");
        }
    }
}
