//! `smtp`: sends each message as mail through one SMTP server.
//!
//! `to` are mail addresses. The message's metadata is not sent, unless a template of the configuration says so.

mod address;
mod exchange;
mod mail;
mod parts;
mod pool;
mod server;
mod stream;
mod template;

use lettre::message::Mailbox;
use pool::Pool;
use provost_sdk::serde::Serialize;
use provost_sdk::tokio::task::block_in_place;
use provost_sdk::{ConfigError, Context, DeliveryError, Message, Provider, Receipt, SHOWN, Secret, excerpt};
use server::Server;
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::sync::Arc;
use template::{Sources, Templates};

/// The provider's configuration.
#[provost_sdk::config]
#[cfg_attr(test, derive(Debug))]
struct Config {
    /// The server's name, which its certificate must be for.
    host: String,
    /// The server's port: without it 587 for STARTTLS, 465 for TLS, 25 for none.
    port: Option<NonZeroU16>,
    /// How the connection is protected.
    #[serde(default)]
    tls: Protection,
    /// The name to log in with; without it nobody logs in.
    user: Option<Secret>,
    /// The password that goes with `user`.
    password: Option<Secret>,
    /// A file that holds the password.
    password_file: Option<PathBuf>,
    /// Whom the mail is from: `Alerts <alerts@example.org>`.
    from: String,
    /// Whether recipients are not told of each other.
    #[serde(default)]
    undisclosed: bool,
    /// Templates of subject, text and HTML. Without them a mail says what its message does.
    template: Option<Sources>,
    /// How many connections are kept open at most.
    #[serde(default = "default_pool")]
    #[schemars(range(max = MOST_KEPT))]
    pool: u32,
}

/// More than a provider can use at a time.
const MOST_KEPT: u32 = 10_000;

fn default_pool() -> u32 {
    4
}

/// How a connection is protected.
#[provost_sdk::config]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Protection {
    /// It begins in the clear and is protected before anything else is said; a server that cannot is refused.
    #[default]
    Starttls,
    /// It is protected from its first byte.
    Tls,
    /// It is not protected, for a server on this machine.
    None,
}

/// More than a moment's work: a mail with so much in it, in bytes, or so many recipients.
const LARGE: usize = 64 * 1024;
const MANY: usize = 100;

struct Smtp {
    from: Mailbox,
    undisclosed: bool,
    templates: Templates,
    pool: Arc<Pool>,
}

impl Smtp {
    /// Whether the mail of a message is more than a moment's work.
    fn is_large(&self, message: &Message) -> bool {
        let html = message.html.as_ref().map_or(0, String::len);
        let files: usize = message.attachments.iter().map(|file| file.content.len()).sum();
        !self.templates.is_empty() || message.text.len() + html + files > LARGE || message.to.len() > MANY
    }
}

impl Provider for Smtp {
    type Config = Config;
    const ATTACHMENTS: bool = true;

    fn new(mut config: Config, context: Context) -> Result<Self, ConfigError> {
        let from = address::mailbox(&config.from).map_err(|why| {
            let from = excerpt(&config.from, SHOWN);
            let message = format!("`{from}` is not a mail address such as `Alerts <alerts@example.org>`: {why}");
            ConfigError::new("from", message)
        });
        let pool = match config.pool {
            most if most > MOST_KEPT => Err(ConfigError::new("pool", format!("must be at most {MOST_KEPT}"))),
            most => Ok(most as usize),
        };
        let (undisclosed, templates) = (config.undisclosed, Templates::new(config.template.take().unwrap_or_default()));
        let parts = ConfigError::both(ConfigError::both(from, pool), templates);
        let (((from, most), templates), server) = ConfigError::both(parts, Server::new(config, &context))?;
        Ok(Self { from, undisclosed, templates, pool: Pool::new(server, most, context) })
    }

    async fn deliver(&self, message: &Message) -> Result<Receipt, DeliveryError> {
        let compose = || {
            let content = self.templates.render(message)?;
            let mail = mail::compose(&self.from, message, &content, self.undisclosed)?;
            Ok::<_, DeliveryError>((mail.envelope().clone(), mail.formatted()))
        };
        // Of a large mail the provider's other deliveries do not wait for the end.
        let (envelope, mail) = if self.is_large(message) { block_in_place(compose) } else { compose() }?;
        let response = self.pool.send(&envelope, &mail).await?;
        Ok(Receipt::with_reference(exchange::line(&response)))
    }
}

provost_sdk::export!(Smtp);

#[cfg(test)]
mod tests {
    use super::*;
    use provost_sdk::tokio;
    use provost_test::provider;

    // Nothing listens there. Servers that answer are the host's tests.
    provost_test::conformance!(
        Smtp,
        "host = \"127.0.0.1\"\nport = 9\nfrom = \"a@example.org\"\nuser = \"a\"\npassword = \"hunter2\"",
        secrets = ["hunter2"],
    );

    /// Each key, and the text of its errors; more of them come together.
    #[tokio::test(flavor = "multi_thread", crate = "provost_sdk::tokio")]
    async fn settings_that_cannot_work_are_errors() {
        const HOST: &str = "host = \"mail.example.org\"\n";
        const FROM: &str = "from = \"a@example.org\"\n";
        let long = "b".repeat(64);
        for (config, expected) in [
            (format!("{FROM}host = \"{long}.example\""), format!("host: `{long}...` is not a server's name such as `mail.example.org`, or an address")),
            (format!("{FROM}host = \"\""), "host: empty: set it to the server's name".to_owned()),
            (format!("{HOST}from = \"{long}b@example.org\""), format!(
                "from: `{long}...` is not a mail address such as `Alerts <alerts@example.org>`: what stands before the `@` has more \
                than 64 bytes, or characters that need quotes"
            )),
            (format!("{HOST}{FROM}user = \"\"\npassword = \"hunter2\""), "user: empty: set it, say where it is by `env:NAME` or `file:/PATH`, or remove it".to_owned()),
            (format!("{HOST}{FROM}user = \"a\\u0000b\"\npassword = \"hunter2\""), "user: has control characters, which no server takes".to_owned()),
            (format!("{HOST}{FROM}user = \"a\"\npassword = \"a\\u0000b\""), "password: has a NUL, which no server takes".to_owned()),
            (format!("{HOST}{FROM}pool = 10001"), "pool: must be at most 10000".to_owned()),
            (
                "host = \"a b\"\nfrom = \"a\"\ntls = \"none\"\nuser = \"a\"\npassword = \"hunter2\"\npool = 10001\n\
                template.subject = \"{{\"".to_owned(),
                "from: `a` is not a mail address such as `Alerts <alerts@example.org>`: Invalid input; pool: must be at most 10000; \
                template.subject: line 1: syntax error: unexpected end of input, expected expression; \
                host: `a b` is not a server's name such as `mail.example.org`, or an address; \
                tls: `none` would send the password unencrypted: use `starttls` or `tls`, or remove `user`".to_owned(),
            ),
        ] {
            let error = provider::<Smtp>(&config).err().map(|error| error.to_string());
            assert_eq!(error, Some(expected), "{config}");
        }
    }
}
