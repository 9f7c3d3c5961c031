//! Who may ask for what: callers by their token (RFC 6750), and how often.

use crate::config::{Anonymous, Client, Config, sha256};
use crate::ground::rate::Rate;
use crate::http::problem::Problem;
use axum::http::{Request, StatusCode, header};
use provost_sdk::{SHOWN, excerpt};
use std::sync::{Arc, OnceLock};
use std::time::Instant;
use subtle::ConstantTimeEq;
use uuid::Uuid;

/// Everybody who may ask.
pub struct Access {
    anonymous: Anonymous,
    callers: Vec<Arc<Caller>>,
}

/// Who asks.
pub struct Caller {
    client: Client,
    /// How often it may send, if that is limited.
    rate: Option<Rate>,
}

impl Access {
    /// As `config` says. Without clients and without a word about anonymous callers, the rest of the world needs a token that is made
    /// at the first need, and printed on stdout.
    pub fn new(config: &Config) -> Self {
        let mut clients = config.clients.clone();
        let default = if clients.is_empty() { Anonymous::Loopback } else { Anonymous::Nobody };
        let anonymous = config.anonymous.unwrap_or(default);
        if clients.is_empty() && config.anonymous.is_none() && !config.doors.api.is_local() {
            clients.push(Client::unnamed(token_of_this_start()));
        }
        Self { anonymous, callers: clients.into_iter().map(Caller::new).collect() }
    }

    /// Who sends this request; `None` for somebody without a name who needs none. `here`: from this machine.
    ///
    /// # Errors
    ///
    /// When a token is missing, or unknown.
    pub fn check<B>(&self, request: &Request<B>, here: bool) -> Result<Option<Arc<Caller>>, Problem> {
        // Whoever asks for the health of a container has no secrets, and the description of the API shows none.
        if is_health(request) || is_description(request) {
            return Ok(None);
        }
        let unknown =
            |detail| Problem::new(StatusCode::UNAUTHORIZED, "unauthenticated", "authentication required", detail);
        let Some(header) = request.headers().get(header::AUTHORIZATION) else {
            return match self.anonymous {
                Anonymous::Everyone => Ok(None),
                Anonymous::Loopback if here => Ok(None),
                _ => Err(unknown("send the header `authorization: Bearer TOKEN`")),
            };
        };
        let token = header.to_str().ok().and_then(|text| text.split_once(' '));
        let token = token.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, token)| token.trim());
        let digest = sha256(token.ok_or_else(|| unknown("the header `authorization` is not `Bearer TOKEN`"))?);
        // All of them each time: how long it takes says nothing of any.
        let is = |caller: &Caller| {
            caller.client.tokens.iter().fold(false, |is, known| is | bool::from(known.ct_eq(&digest)))
        };
        let found = self.callers.iter().fold(None, |found, caller| if is(caller) { Some(caller) } else { found });
        found.cloned().map(Some).ok_or_else(|| unknown("no client has this token"))
    }
}

impl Caller {
    fn new(client: Client) -> Arc<Self> {
        let rate = client.rate_limit.map(Rate::in_bursts);
        Arc::new(Self { client, rate })
    }

    /// Its name in the configuration.
    pub fn name(&self) -> &str {
        &self.client.name
    }

    /// Whether it may use the provider `name`.
    pub fn may_use(&self, name: &str) -> bool {
        self.client.providers.as_ref().is_none_or(|providers| providers.iter().any(|provider| provider == name))
    }

    /// Whether it may send a message now that goes through one of these providers.
    ///
    /// # Errors
    ///
    /// When it may not.
    pub fn may_send(&self, providers: &[String]) -> Result<(), Problem> {
        if let Some(name) = providers.iter().find(|name| !self.may_use(name)) {
            let (client, name) = (&self.client.name, excerpt(name, SHOWN));
            let detail = format!("the client `{client}` may not use the provider `{name}`");
            return Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", "not allowed", detail));
        }
        let Some(rate) = &self.rate else { return Ok(()) };
        rate.take(Instant::now()).map_err(|wait| {
            let (client, rate) = (&self.client.name, rate.per_second());
            let detail = format!("the client `{client}` has sent {rate} messages in a second, its `rate_limit`");
            Problem::new(StatusCode::TOO_MANY_REQUESTS, "rate-limited", "too many messages", detail).retry_after(wait)
        })
    }
}

/// Whether a request asks for the health of the host.
pub fn is_health<B>(request: &Request<B>) -> bool {
    matches!(request.uri().path(), "/healthz" | "/readyz")
}

/// Whether a request asks how the API is used.
fn is_description<B>(request: &Request<B>) -> bool {
    matches!(request.uri().path(), "/openapi.json" | "/docs")
}

/// A token that lasts as long as the process. Only who sees its stdout knows it.
fn token_of_this_start() -> &'static str {
    static TOKEN: OnceLock<String> = OnceLock::new();
    TOKEN.get_or_init(|| {
        let token = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        let text = format!("no client is configured: until the next start, requests need the token {token}\n");
        // Where nobody reads it, nobody can use it.
        let _ = std::io::Write::write_all(&mut std::io::stdout(), text.as_bytes());
        token
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(name: &str, token: &str, providers: Option<&[&str]>) -> Arc<Caller> {
        let providers = providers.map(|names| names.iter().map(ToString::to_string).collect());
        let client =
            Client { name: name.to_owned(), tokens: vec![sha256("old"), sha256(token)], providers, rate_limit: None };
        Caller::new(client)
    }

    #[test]
    fn tokens_say_who_asks() {
        const MISSING: &str = "send the header `authorization: Bearer TOKEN`";
        let check = |anonymous, here, path: &str, header: Option<&str>, expected: Result<Option<&str>, &str>| {
            let access = Access { anonymous, callers: vec![caller("one", "1", None), caller("two", "2", None)] };
            let mut request = Request::builder().uri(path);
            if let Some(header) = header {
                request = request.header(header::AUTHORIZATION, header);
            }
            let found = access.check(&request.body(()).expect("a request"), here);
            let found = found.map_err(|problem| serde_json::to_value(problem).expect("a problem")["detail"].clone());
            let name = |caller: &Option<Arc<Caller>>| caller.as_ref().map(|caller| caller.client.name.clone());
            let expected = expected.map(|name| name.map(str::to_owned)).map_err(Into::into);
            assert_eq!(
                found.as_ref().map(name).map_err(Clone::clone),
                expected,
                "{anonymous:?} {here} {path} {header:?}"
            );
        };
        use Anonymous::{Everyone, Loopback, Nobody};
        check(Nobody, true, "/", None, Err(MISSING));
        check(Nobody, false, "/healthz", None, Ok(None));
        check(Nobody, false, "/openapi.json", None, Ok(None));
        check(Nobody, false, "/docs", None, Ok(None));
        check(Loopback, true, "/", None, Ok(None));
        check(Loopback, false, "/", None, Err(MISSING));
        check(Everyone, false, "/", None, Ok(None));
        check(Nobody, false, "/", Some("Bearer 1"), Ok(Some("one")));
        check(Nobody, false, "/", Some("bearer  2"), Ok(Some("two")));
        for anonymous in [Nobody, Loopback, Everyone] {
            check(anonymous, true, "/", Some("Bearer 3"), Err("no client has this token"));
            check(anonymous, true, "/", Some("Basic MTox"), Err("the header `authorization` is not `Bearer TOKEN`"));
        }
    }

    #[test]
    fn a_client_has_its_providers() {
        let caller = caller("one", "1", Some(&["mail"]));
        let may_send = |names: &[&str]| caller.may_send(&names.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert!(may_send(&["mail"]).is_ok());
        let problem = may_send(&["mail", "file"]).expect_err("not allowed");
        let problem = serde_json::to_value(problem).expect("a problem");
        assert_eq!(problem["detail"], "the client `one` may not use the provider `file`");
    }
}
