//! `webhook`: posts each message to an address, signed as Standard Webhooks (version 1, symmetric) says.
//!
//! The body is `{"type":"message","data":{...}}`, where `data` is the message. No redirect is followed.

mod signature;

use provost_sdk::reqwest::{Client, Url, header};
use provost_sdk::{
    ConfigError, Context, DeliveryError, Message, Provider, Receipt, SHOWN, Secret, excerpt, http, serde_json,
};
use signature::Key;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

/// The provider's configuration.
#[provost_sdk::config]
#[cfg_attr(test, derive(Debug))]
struct Config {
    /// Where messages are posted to, `https://` or `http://`.
    url: String,
    /// `whsec_` and the key in base64. Several, separated by spaces, while keys are rotated: each one signs.
    secret: Option<Secret>,
    /// A file that holds what `secret` would.
    secret_file: Option<PathBuf>,
}

struct Webhook {
    url: Url,
    keys: Vec<Key>,
    client: Client,
}

impl Provider for Webhook {
    type Config = Config;

    fn new(config: Config, context: Context) -> Result<Self, ConfigError> {
        let file = config.secret_file.map(|path| context.path(path));
        let (url, keys) = ConfigError::both(parse_url(&config.url), keys(config.secret, file))?;
        Ok(Self { url, keys, client: context.http()? })
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
        let response = http::check(request.send().await?)?;
        Ok(Receipt::with_reference(response.status().to_string()))
    }
}

fn parse_url(text: &str) -> Result<Url, ConfigError> {
    // The address itself is not repeated: it may hold a token.
    let url = Url::parse(text).map_err(|error| ConfigError::new("url", format!("this is not a URL: {error}")))?;
    match url.scheme() {
        "http" | "https" if url.port() == Some(0) => Err(ConfigError::new("url", "nothing can listen on port 0")),
        "http" | "https" => Ok(url),
        other => Err(ConfigError::new("url", format!("`{}` is neither https nor http", excerpt(other, SHOWN)))),
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
mod tests {
    use super::*;
    use provost_sdk::tokio;
    use provost_test::{Answer, HttpServer, message, provider};

    const KEY: &str = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    async fn config() -> (String, HttpServer) {
        let server = HttpServer::start().await;
        (format!("url = \"{}/hook\"\nsecret = \"whsec_{KEY}\"", server.url()), server)
    }

    provost_test::conformance!(Webhook, config().await, secrets = [KEY]);

    #[tokio::test(flavor = "multi_thread", crate = "provost_sdk::tokio")]
    async fn what_refuses_the_host_is_no_refusal_of_the_message() {
        let (config, server) = config().await;
        let webhook = provider::<Webhook>(&config).expect("a valid configuration");
        for status in [401, 403, 407] {
            server.answer(Answer::new(status));
            let error = webhook.deliver(&message("hello")).await.expect_err("it is refused");
            assert!(matches!(error, DeliveryError::Unauthorized { .. }), "{status}: {error:?}");
        }
    }

    #[tokio::test(flavor = "multi_thread", crate = "provost_sdk::tokio")]
    async fn settings_that_cannot_work_are_errors() {
        for (config, expected) in [
            ("url = \"https://example.org\"\nsecret = \"  \"", "secret: the secret is empty"),
            (&format!("url = \"https://example.org:0\"\nsecret = \"{KEY}\""), "url: nothing can listen on port 0"),
            (&format!("url = \"https://\"\nsecret = \"{KEY}\""), "url: this is not a URL: empty host"),
        ] {
            assert_eq!(provider::<Webhook>(config).err().map(|error| error.to_string()).as_deref(), Some(expected));
        }
    }

    #[tokio::test(flavor = "multi_thread", crate = "provost_sdk::tokio")]
    async fn a_message_is_posted_and_signed() {
        let (config, server) = config().await;
        let webhook = provider::<Webhook>(&config).expect("a valid configuration");
        let receipt = webhook.deliver(&message("hello")).await.expect("it is delivered");
        assert_eq!(receipt, Receipt::with_reference("200 OK"));
        let request = server.requests().pop().expect("a request");
        assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/hook"));
        let body = String::from_utf8(request.body).expect("JSON is text");
        let key = Key::parse(KEY).expect("a valid key");
        let timestamp = request.headers["webhook-timestamp"].parse().expect("seconds");
        assert_eq!(request.headers["webhook-signature"], signature::sign(&[key], "test-1", timestamp, &body));

        server.answer(Answer::new(503).header("retry-after", "7"));
        let error = webhook.deliver(&message("hello")).await.expect_err("it is refused");
        let expected = std::time::Duration::from_secs(7);
        assert!(
            matches!(&error, DeliveryError::Temporary { retry_after: Some(after), .. } if *after == expected),
            "{error:?}"
        );
    }
}
