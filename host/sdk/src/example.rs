use provost_sdk::{ConfigError, Context, DeliveryError, Message, Provider, Receipt, tracing};

#[provost_sdk::config]
pub struct Config {
    greeting: String,
}

pub struct Log {
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
