//! `slack`: posts each message to a channel of Slack, by an incoming webhook or as a bot.
//!
//! A message is one request, and has at most one recipient: a channel, for a bot. The subject is a bold first line; the text is mrkdwn in
//! which `&`, `<` and `>` stand for themselves. Metadata is not sent, and attachments are refused.
//!
//! Sources: <https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks>,
//! <https://docs.slack.dev/reference/methods/chat.postMessage>.

mod answer;
#[cfg(test)]
mod tests;
mod text;

use provost_sdk::reqwest::{Client, Response, Url, header, header::HeaderValue};
use provost_sdk::serde_json::{Value, json};
use provost_sdk::{ConfigError, Context, DeliveryError, KeyError, Message, Provider, Receipt, Secret, http};

/// The provider's configuration.
#[provost_sdk::config]
#[cfg_attr(test, derive(Debug))]
struct Config {
    /// The address of an incoming webhook, `https://hooks.slack.com/services/...`: whoever knows it can post. It has a channel of its own.
    webhook: Option<Secret>,
    /// The token of a bot that may `chat:write`, in place of `webhook`.
    token: Option<Secret>,
    /// With `token`: the channel of messages without a recipient, by its id, such as `C0123456789`.
    channel: Option<String>,
    /// With `token`: where Slack's Web API is. Without it `https://slack.com/api`.
    url: Option<String>,
}

const API: &str = "https://slack.com/api";

/// How messages are posted.
enum Way {
    Webhook(Url),
    Bot { url: Url, authorization: HeaderValue, channel: Option<String> },
}

struct Slack {
    way: Way,
    client: Client,
}

impl Provider for Slack {
    type Config = Config;

    fn new(config: Config, context: Context) -> Result<Self, ConfigError> {
        let (way, client) = ConfigError::both(Way::new(config), context.http())?;
        Ok(Self { way, client })
    }

    async fn deliver(&self, message: &Message) -> Result<Receipt, DeliveryError> {
        let text = text::compose(message)?;
        match &self.way {
            Way::Webhook(url) => {
                if !message.to.is_empty() {
                    let reason = "an incoming webhook posts to its own channel: leave `to` empty";
                    return Err(DeliveryError::permanent(reason));
                }
                answer::of_webhook(self.post(url, None, &json!({ "text": text })).await?).await
            }
            Way::Bot { url, authorization, channel } => {
                let channel = message.recipient(channel.as_deref())?;
                let body = json!({ "channel": channel, "text": text });
                answer::of_api(self.post(url, Some(authorization), &body).await?, message.recipient_error()).await
            }
        }
    }
}

impl Slack {
    async fn post(&self, url: &Url, login: Option<&HeaderValue>, body: &Value) -> Result<Response, DeliveryError> {
        let request = self.client.post(url.clone()).header(header::CONTENT_TYPE, "application/json; charset=utf-8");
        let request = login.into_iter().fold(request, |request, value| request.header(header::AUTHORIZATION, value));
        Ok(request.body(body.to_string()).send().await?)
    }
}

impl Way {
    fn new(config: Config) -> Result<Self, ConfigError> {
        match (config.webhook, config.token) {
            (Some(webhook), None) => {
                let of_a_bot = [("channel", config.channel.is_some()), ("url", config.url.is_some())];
                let errors = of_a_bot.into_iter().filter(|(_, is_there)| *is_there).map(|(key, _)| KeyError {
                    key: key.to_owned(),
                    message: "an incoming webhook has its own: remove this".to_owned(),
                });
                let (url, ()) = ConfigError::both(webhook_url(&webhook), ConfigError::all(errors.collect()))?;
                Ok(Self::Webhook(url))
            }
            (None, Some(token)) => {
                let url = http::endpoint("url", config.url.as_deref().unwrap_or(API), &["chat.postMessage"]);
                let login = ConfigError::both(url, http::bearer("token", &token));
                let ((url, authorization), ()) = ConfigError::both(login, check_channel(config.channel.as_deref()))?;
                Ok(Self::Bot { url, authorization, channel: config.channel })
            }
            (Some(_), Some(_)) => Err(ConfigError::new("token", "`webhook` is there too: keep one of them")),
            (None, None) => Err(ConfigError::new("webhook", "missing: set it, or `token`")),
        }
    }
}

/// Names of channels have other letters, too, but no colon: `env:NAME` is for secrets.
fn check_channel(channel: Option<&str>) -> Result<(), ConfigError> {
    let wrong = |letter: char| letter.is_whitespace() || letter.is_control() || letter == ':';
    match channel {
        Some(channel) if channel.is_empty() || channel.contains(wrong) => {
            Err(ConfigError::new("channel", "not a channel such as `C0123456789`: copy its id from Slack"))
        }
        _ => Ok(()),
    }
}

/// Nothing of what is wrong is repeated: all of it is secret.
fn webhook_url(webhook: &Secret) -> Result<Url, ConfigError> {
    http::endpoint("webhook", webhook.expose(), &[]).map_err(|error| {
        error.map_messages(|_| "not an address such as `https://hooks.slack.com/services/...`".to_owned())
    })
}

provost_sdk::export!(Slack);
