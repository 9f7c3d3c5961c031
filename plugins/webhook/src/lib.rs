//! `webhook`: posts each message to an address, signed as Standard Webhooks (version 1, symmetric) says.
//!
//! The body is `{"type":"message","data":{...}}`, where `data` is the message. No redirect is followed, and nothing is sent to an address
//! that is not on the internet, unless the configuration allows it.

mod addresses;
mod headers;
mod resolver;
mod signature;

use addresses::Whitelist;
use headers::Basic;
use provost_sdk::reqwest::{self, Client, Url, header};
use provost_sdk::{ConfigError, Context, DeliveryError, Message, Provider, Receipt, Secret, http, serde_json};
use resolver::Resolver;
use signature::Key;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

/// The provider's configuration.
#[provost_sdk::config]
#[cfg_attr(test, derive(Debug))]
struct Config {
    /// Where messages are posted to, `https://` or `http://`.
    url: Secret,
    /// `whsec_` and the key in base64. Several, separated by spaces, while keys are rotated: each one signs.
    secret: Option<Secret>,
    /// A file that holds what `secret` would.
    secret_file: Option<PathBuf>,
    /// Networks that messages may be sent to beside the internet: `["10.0.0.0/8", "::1"]`. Without it no address is allowed that is
    /// private, loopback, link-local or special in another way, also if the URL's name resolves to it. `["0.0.0.0/0", "::/0"]` allows all.
    #[serde(default)]
    whitelist_subnets: Vec<String>,
    /// More headers of each request, by name. A value may be `env:NAME` or `file:/PATH`.
    #[serde(default)]
    headers: BTreeMap<String, Secret>,
    /// The login of HTTP's basic authentication: `{ user = "provost", password = "env:NAME" }`.
    basic: Option<Basic>,
    /// The token to log in with (`authorization: Bearer`).
    bearer: Option<Secret>,
}

struct Webhook {
    url: Url,
    keys: Vec<Key>,
    client: Client,
}

impl Provider for Webhook {
    type Config = Config;
    const ATTACHMENTS: bool = true;

    fn new(config: Config, context: Context) -> Result<Self, ConfigError> {
        let file = config.secret_file.map(|path| context.path(path));
        let url = http::parse_url("url", config.url.expose());
        let headers = headers::all(&config.headers, config.basic.as_ref(), config.bearer.as_ref(), url.as_ref().ok());
        let receiver = ConfigError::both(url, Whitelist::parse(&config.whitelist_subnets)).and_then(allowed);
        let signed = ConfigError::both(receiver, keys(config.secret, file));
        let (((url, whitelist), keys), headers) = ConfigError::both(signed, headers)?;
        let resolver = Resolver::new(&url, whitelist);
        let client = http::client(|builder| {
            builder.dns_resolver(resolver).default_headers(headers).connect_timeout(context.connect_timeout())
        })?;
        Ok(Self { url, keys, client })
    }

    async fn deliver(&self, message: &Message) -> Result<Receipt, DeliveryError> {
        let body = serde_json::json!({ "type": "message", "data": message }).to_string();
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_err(|_| DeliveryError::temporary("this machine's clock is set before 1970"))?.as_secs();
        let request = self
            .client
            .post(self.url.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .header("webhook-id", &message.id)
            .header("webhook-timestamp", now)
            .header("webhook-signature", signature::sign(&self.keys, &message.id, now, &body))
            .body(body);
        let passed_on = [("x-request-id", &message.request_id), ("traceparent", &message.traceparent)];
        let request = passed_on.into_iter().fold(request, |request, (name, value)| match value {
            Some(value) => request.header(name, value),
            None => request,
        });
        let response = http::check(request.send().await.map_err(failure)?)?;
        Ok(Receipt::with_reference(response.status().to_string()))
    }
}

/// The receiver, if messages may be sent to the address that its URL has, if it has one.
fn allowed((url, whitelist): (Url, Whitelist)) -> Result<(Url, Whitelist), ConfigError> {
    match resolver::refused_literal(&url, &whitelist) {
        Some(refused) => Err(ConfigError::new("url", format!("its host is {refused}"))),
        None => Ok((url, whitelist)),
    }
}

/// What a request without an answer means. A name's address may be another one soon, and the message is not to blame.
fn failure(error: reqwest::Error) -> DeliveryError {
    match resolver::refused(&error) {
        Some(refused) => DeliveryError::temporary(format!("the URL's host resolves to {refused}")),
        None => error.into(),
    }
}

fn keys(secret: Option<Secret>, file: Option<PathBuf>) -> Result<Vec<Key>, ConfigError> {
    let (name, secret) = match (secret, file) {
        (Some(secret), None) => ("secret", secret),
        (None, Some(path)) => ("secret_file", Secret::read("secret_file", &path)?),
        (Some(_), Some(_)) => return Err(ConfigError::new("secret", "`secret_file` is there too: keep one of them")),
        (None, None) => {
            let message = "missing: set it, or `secret_file`, to the receiver's `whsec_...`";
            return Err(ConfigError::new("secret", message));
        }
    };
    secret.expose().split_whitespace().map(|text| Key::parse(text).map_err(|why| ConfigError::new(name, why))).collect()
}

provost_sdk::export!(Webhook);

#[cfg(test)]
mod tests;
