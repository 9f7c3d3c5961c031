//! `log`: writes each message to the host's log.

use provost_sdk::{ConfigError, Context, DeliveryError, Message, Provider, Receipt, tracing};

#[provost_sdk::config]
struct Config {
    greeting: String,
}

struct Log {
    config: Config,
}

impl Provider for Log {
    type Config = Config;

    fn new(config: Config, _context: Context) -> Result<Self, ConfigError> {
        Ok(Self { config })
    }

    async fn deliver(&self, message: &Message) -> Result<Receipt, DeliveryError> {
        tracing::info!(greeting = self.config.greeting, subject = message.subject, "message");
        Ok(Receipt::default())
    }
}

provost_sdk::export!(Log);

#[cfg(test)]
mod tests {
    use super::*;
    use provost_test::{message, provider, tokio};

    provost_test::conformance!(Log, "greeting = \"hello\"");

    #[tokio::test(flavor = "multi_thread", crate = "provost_test::tokio")]
    async fn a_message_is_delivered() {
        let provider = provider::<Log>("greeting = \"hello\"").expect("a valid configuration");
        assert_eq!(provider.deliver(&message("the text")).await, Ok(Receipt::default()));
    }
}
