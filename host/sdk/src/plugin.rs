//! What a plugin exports and the host loads: one static, and behind it providers without their types.

use crate::{ConfigError, Context, DeliveryError, Message, Provider, Receipt, config};
use std::future::Future;
use std::pin::Pin;

/// The name of the static that every plugin exports.
pub const SYMBOL: &str = "PROVOST_PLUGIN";

/// What [`export!`](crate::export) exports.
pub struct Plugin {
    construct: fn(toml::Table, Context) -> Result<Box<dyn AnyProvider>, ConfigError>,
}

impl Plugin {
    /// The plugin whose providers are of type `P`.
    pub const fn of<P: Provider>() -> Self {
        Self {
            construct: |table, context| {
                let config = config::parse::<P::Config>(table, config::COMMON_KEYS)?;
                Ok(Box::new(P::new(config, context)?))
            },
        }
    }

    /// Makes a provider from its table of the configuration, without the keys that the host reads itself.
    ///
    /// # Errors
    ///
    /// What is wrong with the table, every fault that can be seen at once.
    pub fn construct(&self, table: toml::Table, context: Context) -> Result<Box<dyn AnyProvider>, ConfigError> {
        (self.construct)(table, context)
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
            static PROVOST_PLUGIN: $crate::plugin::Plugin = $crate::plugin::Plugin::of::<$provider>();
        };
    };
}
