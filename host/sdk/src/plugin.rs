//! What a plugin exports and the host loads: one static, and behind it providers without their types.

use crate::{ConfigError, Context, DeliveryError, Message, Provider, Receipt, config, schema};
use schemars::{Schema, SchemaGenerator};
use std::future::{Future, ready};
use std::pin::Pin;

/// The name of the static that every plugin exports.
pub const SYMBOL: &str = "PROVOST_PLUGIN";

/// What [`export!`](crate::export) exports.
pub struct Plugin {
    construct: fn(toml::Table, Context) -> Result<Box<dyn AnyProvider>, ConfigError>,
    schema: fn(&mut SchemaGenerator) -> Schema,
}

impl Plugin {
    /// The plugin whose providers are of type `P`.
    pub const fn new<P: Provider>() -> Self {
        Self {
            construct: |table, context| {
                let config = config::parse::<P::Config>(table, config::COMMON_KEYS)?;
                Ok(Box::new(P::new(config, context)?))
            },
            schema: schema::of::<P::Config>,
        }
    }

    /// Makes a provider from its table of the configuration, without the keys that the host reads itself.
    ///
    /// # Errors
    ///
    /// What is wrong with the table, every error that can be seen at once.
    pub fn construct(&self, table: toml::Table, context: Context) -> Result<Box<dyn AnyProvider>, ConfigError> {
        (self.construct)(table, context)
    }

    /// The JSON Schema of that table, for [`schema::finish`].
    pub fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        (self.schema)(generator)
    }
}

/// The delivery of one message under way.
pub type Delivery<'a> = Pin<Box<dyn Future<Output = Result<Receipt, DeliveryError>> + Send + 'a>>;

/// A [`Provider`] of any type. Implemented for all of them, never by hand.
pub trait AnyProvider: Send + Sync {
    /// [`Provider::validate`].
    fn validate(&self) -> Result<(), ConfigError>;

    /// [`Provider::deliver`].
    fn deliver<'a>(&'a self, message: &'a Message) -> Delivery<'a>;
}

impl<P: Provider> AnyProvider for P {
    fn validate(&self) -> Result<(), ConfigError> {
        Provider::validate(self)
    }

    fn deliver<'a>(&'a self, message: &'a Message) -> Delivery<'a> {
        if !P::ATTACHMENTS && !message.attachments.is_empty() {
            let reason = "its plugin cannot deliver attachments: send the message without, or to another provider";
            return Box::pin(ready(Err(DeliveryError::permanent(reason))));
        }
        Box::pin(Provider::deliver(self, message))
    }
}

/// Exports a type that implements [`Provider`] as this crate's plugin. Once in a crate, at the top level.
#[macro_export]
macro_rules! export {
    ($provider:ty $(,)?) => {
        $crate::record!();

        const _: () = {
            assert!(cfg!(panic = "unwind"), "the host catches a plugin's panic, so it must unwind");

            #[unsafe(no_mangle)]
            static PROVOST_PLUGIN: $crate::plugin::Plugin = $crate::plugin::Plugin::new::<$provider>();
        };
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Attachment;
    use crate::example::Log;
    use std::time::Duration;
    use tokio::runtime::Handle;

    /// The example of the documentation, as the host would use it.
    #[tokio::test]
    async fn the_example_delivers() {
        let plugin = Plugin::new::<Log>();
        let context = || Context::new("log", Duration::from_secs(1), "assets/log", "", Handle::current());
        let table = |text: &str| text.parse().expect("the test's TOML is valid");
        let provider = plugin.construct(table("greeting = \"hello\""), context()).expect("a valid table");
        assert_eq!(provider.validate(), Ok(()));
        assert_eq!(provider.deliver(&Message::default()).await, Ok(Receipt::default()));
        let with = Message { attachments: vec![Attachment::default()], ..Message::default() };
        let error = provider.deliver(&with).await.expect_err("the log has no place for files");
        let expected = "its plugin cannot deliver attachments: send the message without, or to another provider";
        assert_eq!(error, DeliveryError::permanent(expected));

        let error = plugin.construct(table("greting = 1\ntimout = 2"), context()).err().expect("errors");
        let expected = "greting: unknown key; did you mean `greeting`?; timout: unknown key; did you mean `timeout`?; \
            missing field `greeting`";
        assert_eq!(error.to_string(), expected);
    }
}
