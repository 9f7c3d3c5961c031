//! `ntfy`: publishes each message on a topic of ntfy.sh, or of a server of your own.
//!
//! A message is one request, and has at most one recipient: a topic. The subject is the title. Of the metadata, `priority`, `tags` and
//! `click` are sent. Attachments are refused.
//!
//! Source: <https://docs.ntfy.sh/publish/#publish-as-json>.

mod answer;
mod publish;
#[cfg(test)]
mod tests;

use provost_sdk::reqwest::{Client, Url, header, header::HeaderValue};
use provost_sdk::{ConfigError, Context, DeliveryError, Message, Provider, Receipt, Secret, http, serde_json};

/// The provider's configuration.
#[provost_sdk::config]
#[cfg_attr(test, derive(Debug))]
struct Config {
    /// The server, without a path: ntfy takes messages only at its root.
    #[serde(default = "default_url")]
    url: String,
    /// The topic of messages without a recipient. On a public server whoever knows it can read and publish.
    topic: Option<Secret>,
    /// The access token to log in with: `tk_...`.
    token: Option<Secret>,
    /// The name to log in with, in place of `token`.
    user: Option<Secret>,
    /// The password that goes with `user`.
    password: Option<Secret>,
}

fn default_url() -> String {
    "https://ntfy.sh".to_owned()
}

struct Ntfy {
    url: Url,
    topic: Option<String>,
    /// The header by which the host logs in, if it does.
    login: Option<HeaderValue>,
    client: Client,
}

impl Provider for Ntfy {
    type Config = Config;

    fn new(config: Config, context: Context) -> Result<Self, ConfigError> {
        let url = http::parse_url("url", &config.url).and_then(check_url);
        let login = login(config.token, config.user, config.password);
        let topic = config.topic.as_ref().map(check_topic).transpose();
        let ((url, login), topic) = ConfigError::both(ConfigError::both(url, login), topic)?;
        Ok(Self { url, topic, login, client: context.http()? })
    }

    async fn deliver(&self, message: &Message) -> Result<Receipt, DeliveryError> {
        let publication = publish::compose(message.recipient(self.topic.as_deref())?, message)?;
        let body = serde_json::to_vec(&publication)
            .map_err(|error| DeliveryError::permanent(format!("writing the message as JSON: {error}")))?;
        let request = self.client.post(self.url.clone()).header(header::CONTENT_TYPE, "application/json");
        let request = match &self.login {
            None => request,
            Some(login) => request.header(header::AUTHORIZATION, login),
        };
        answer::read(request.body(body).send().await?, message.recipient_error(), self.login.is_some()).await
    }
}

/// At another path ntfy publishes the JSON itself as a text. Nothing of the URL is repeated: it may hold a password.
fn check_url(url: Url) -> Result<Url, ConfigError> {
    if !url.username().is_empty() || url.password().is_some() {
        return Err(ConfigError::new("url", "it has a login: set `token`, or `user` and `password`, instead"));
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        let message =
            "ntfy takes messages only at its root: remove path, query and fragment, and put the topic into `topic`";
        return Err(ConfigError::new("url", message));
    }
    Ok(url)
}

/// The header `authorization`, if the host logs in.
fn login(
    token: Option<Secret>,
    user: Option<Secret>,
    password: Option<Secret>,
) -> Result<Option<HeaderValue>, ConfigError> {
    match (token, user, password) {
        (None, None, None) => Ok(None),
        (Some(token), None, None) => http::bearer("token", &token).map(Some),
        (None, Some(user), Some(password)) => http::basic(["user", "password"], &user, &password).map(Some),
        (None, Some(_), None) => Err(ConfigError::new("user", "missing password: set `password`")),
        (None, None, Some(_)) => Err(ConfigError::new("password", "missing user: set `user`")),
        (Some(_), ..) => Err(ConfigError::new("token", "`user` or `password` is there too: keep one way to log in")),
    }
}

/// As ntfy wants it. Nothing of it is repeated: it may be all that keeps others away.
fn check_topic(topic: &Secret) -> Result<String, ConfigError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    match topic.expose() {
        topic if topic.len() <= 64 && topic.bytes().all(allowed) => Ok(topic.to_owned()),
        _ => Err(ConfigError::new("topic", "not 1 to 64 letters, digits, `-` or `_`")),
    }
}

provost_sdk::export!(Ntfy);
