//! `telegram`: sends each message as a bot of Telegram.
//!
//! A message is one request, and has at most one recipient: a chat, by its id or as `@name`. The subject is a bold first line. A message of
//! more than 4096 characters is refused, since several requests could not be one delivery. Metadata is not sent, and attachments are refused.
//!
//! Source: <https://core.telegram.org/bots/api#sendmessage>.

mod answer;
#[cfg(test)]
mod tests;
mod text;

use provost_sdk::reqwest::{Client, Url, header};
use provost_sdk::{ConfigError, Context, DeliveryError, Message, Provider, Receipt, Secret, http};

/// The provider's configuration.
#[provost_sdk::config]
#[cfg_attr(test, derive(Debug))]
struct Config {
    /// The bot's token, as BotFather gave it: `123456:ABC-DEF...`.
    token: Secret,
    /// The chat of messages without a recipient: its id, such as `-1001234567890`, or `@name` of a public one.
    chat: Option<String>,
    /// Where the Bot API is.
    #[serde(default = "default_url")]
    url: String,
}

fn default_url() -> String {
    "https://api.telegram.org".to_owned()
}

struct Telegram {
    /// With the token in it.
    url: Url,
    token: Secret,
    chat: Option<String>,
    client: Client,
}

impl Provider for Telegram {
    type Config = Config;

    fn new(config: Config, context: Context) -> Result<Self, ConfigError> {
        let bot = format!("bot{}", config.token.expose());
        let url = http::endpoint("url", &config.url, &[&bot, "sendMessage"]);
        let checked = ConfigError::both(check_token(&config.token), check_chat(config.chat.as_deref()));
        let (_, url) = ConfigError::both(checked, url)?;
        Ok(Self { url, token: config.token, chat: config.chat, client: context.http()? })
    }

    async fn deliver(&self, message: &Message) -> Result<Receipt, DeliveryError> {
        let body = text::compose(message.recipient(self.chat.as_deref())?, message)?;
        let request = self.client.post(self.url.clone()).header(header::CONTENT_TYPE, "application/json");
        let response = request.body(body.to_string()).send().await?;
        answer::read(response, &self.token, message.recipient_error()).await
    }
}

/// The token is a part of the path: with other characters, another method would be called.
fn check_token(token: &Secret) -> Result<(), ConfigError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    match token.expose().split_once(':') {
        Some((id, key)) if [id, key].iter().all(|part| !part.is_empty() && part.bytes().all(allowed)) => Ok(()),
        _ => Err(ConfigError::new("token", "not a bot's token such as `123456:ABC-DEF`: copy what BotFather gave you")),
    }
}

/// An id, or the name of a public chat.
fn check_chat(chat: Option<&str>) -> Result<(), ConfigError> {
    let is_name =
        |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    match chat {
        Some(chat) if chat.parse::<i64>().is_err() && !chat.strip_prefix('@').is_some_and(is_name) => {
            Err(ConfigError::new("chat", "not a chat such as `-1001234567890` or `@name`"))
        }
        _ => Ok(()),
    }
}

provost_sdk::export!(Telegram);
