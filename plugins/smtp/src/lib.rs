//! `smtp`: sends each message as mail through one SMTP server.
//!
//! `to` are mail addresses. The message's metadata is not sent.

mod exchange;
mod mail;
mod names;
mod pool;
mod server;
mod stream;

use lettre::message::Mailbox;
use pool::Pool;
use provost_sdk::serde::Serialize;
use provost_sdk::tokio::task::block_in_place;
use provost_sdk::{ConfigError, Context, DeliveryError, Message, Provider, Receipt, SHOWN, Secret, excerpt};
use server::Server;
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::sync::Arc;

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
    user: Option<String>,
    /// The password that goes with `user`.
    password: Option<Secret>,
    /// A file that holds the password.
    password_file: Option<PathBuf>,
    /// Whom the mail is from: `Alerts <alerts@example.org>`.
    from: String,
    /// Whether recipients are not told of each other.
    #[serde(default)]
    undisclosed: bool,
    /// How many connections are kept open at most.
    #[serde(default = "default_pool")]
    pool: u32,
}

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

/// More than a moment's work: a mail with such a text, in bytes, or so many recipients.
const LARGE: usize = 64 * 1024;
const MANY: usize = 100;

struct Smtp {
    from: Mailbox,
    undisclosed: bool,
    pool: Arc<Pool>,
}

impl Provider for Smtp {
    type Config = Config;

    fn new(config: Config, context: Context) -> Result<Self, ConfigError> {
        let from = config.from.parse::<Mailbox>().map_err(|error| {
            let from = excerpt(&config.from, SHOWN);
            let message = format!("`{from}` is not a mail address such as `Alerts <alerts@example.org>`: {error}");
            ConfigError::new("from", message)
        });
        let (most, undisclosed) = (config.pool as usize, config.undisclosed);
        let (from, server) = ConfigError::both(from, Server::new(config, &context))?;
        Ok(Self { from, undisclosed, pool: Pool::new(server, most, context) })
    }

    async fn deliver(&self, message: &Message) -> Result<Receipt, DeliveryError> {
        let compose = || {
            mail::compose(&self.from, message, self.undisclosed).map(|mail| (mail.envelope().clone(), mail.formatted()))
        };
        // Of a large mail the provider's other deliveries do not wait for the end.
        let (envelope, mail) =
            if message.text.len() > LARGE || message.to.len() > MANY { block_in_place(compose) } else { compose() }?;
        let response = self.pool.send(&envelope, &mail).await?;
        Ok(Receipt::with_reference(exchange::line(&response)))
    }
}

provost_sdk::export!(Smtp);

#[cfg(test)]
mod tests {
    use super::*;

    // Nothing listens there. Servers that answer are the host's tests.
    provost_test::conformance!(
        Smtp,
        "host = \"127.0.0.1\"\nport = 9\nfrom = \"a@example.org\"\nuser = \"a\"\npassword = \"hunter2\"",
        secrets = ["hunter2"],
    );
}
