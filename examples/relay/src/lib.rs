//! `relay`: posts each message to a topic of an ntfy server, or of another with the same API.
//!
//! Source: <https://docs.ntfy.sh/publish/#publish-as-json>.

use provost_sdk::reqwest::{Client, Url, header};
use provost_sdk::{ConfigError, Context, DeliveryError, Message, Provider, Receipt, Secret, http, serde_json};

/// The provider's configuration.
#[provost_sdk::config]
#[cfg_attr(test, derive(Debug))]
struct Config {
    /// The server: `https://ntfy.example.org`.
    url: String,
    /// The topic that messages are posted to.
    topic: String,
    /// The token to log in with.
    token: Option<Secret>,
}

struct Relay {
    url: Url,
    topic: String,
    token: Option<Secret>,
    client: Client,
}

impl Provider for Relay {
    type Config = Config;

    fn new(config: Config, context: Context) -> Result<Self, ConfigError> {
        let url = http::parse_url("url", &config.url)?;
        Ok(Self { url, topic: config.topic, token: config.token, client: context.http()? })
    }

    async fn deliver(&self, message: &Message) -> Result<Receipt, DeliveryError> {
        let body = serde_json::json!({ "topic": self.topic, "title": message.subject, "message": message.text });
        let mut request = self.client.post(self.url.clone()).header(header::CONTENT_TYPE, "application/json");
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.expose());
        }
        // A refusal that may pass is a temporary error, any other a permanent one.
        let response = http::check(request.body(body.to_string()).send().await?)?;
        Ok(Receipt::with_reference(response.status().to_string()))
    }
}

provost_sdk::export!(Relay);

#[cfg(test)]
mod tests {
    use super::*;
    use provost_test::{Answer, HttpServer, message, provider, tokio};

    async fn config() -> (String, HttpServer) {
        let server = HttpServer::start().await;
        (format!("url = \"{}\"\ntopic = \"alerts\"\ntoken = \"tk_1234\"", server.url()), server)
    }

    provost_test::conformance!(Relay, config().await, secrets = ["tk_1234"]);

    #[tokio::test(flavor = "multi_thread", crate = "provost_test::tokio")]
    async fn a_message_is_posted() {
        let (config, server) = config().await;
        let provider = provider::<Relay>(&config).expect("a valid configuration");
        provider.deliver(&message("the text")).await.expect("it is delivered");
        let request = server.requests().pop().expect("a request");
        assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/"));
        assert_eq!(request.headers["authorization"], "Bearer tk_1234");
        let body: serde_json::Value = serde_json::from_slice(&request.body).expect("JSON");
        assert_eq!(body, serde_json::json!({ "topic": "alerts", "title": "Test", "message": "the text" }));
    }

    #[tokio::test(flavor = "multi_thread", crate = "provost_test::tokio")]
    async fn a_refusal_is_permanent_and_a_failure_is_not() {
        let (config, server) = config().await;
        let provider = provider::<Relay>(&config).expect("a valid configuration");
        for (status, permanent) in [(400, true), (403, false), (503, false)] {
            server.answer(Answer::new(status));
            let error = provider.deliver(&message("the text")).await.expect_err("it is refused");
            assert_eq!(matches!(error, DeliveryError::Permanent { .. }), permanent, "{error:?}");
        }
    }
}
