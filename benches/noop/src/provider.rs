//! A provider that does nothing. The benchmark compiles it once more into itself, for the calls that cross no boundary.

use provost_sdk::{ConfigError, Context, DeliveryError, Message, Provider, Receipt};

#[provost_sdk::config]
pub struct Config {}

pub struct Noop;

impl Provider for Noop {
    type Config = Config;

    fn new(_config: Config, _context: Context) -> Result<Self, ConfigError> {
        Ok(Self)
    }

    async fn deliver(&self, _message: &Message) -> Result<Receipt, DeliveryError> {
        Ok(Receipt::default())
    }
}
