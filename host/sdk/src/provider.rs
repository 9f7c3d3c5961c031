//! The trait that a plugin implements.

use crate::{ConfigError, Context, DeliveryError, Message, Receipt};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use std::future::Future;

/// Delivers messages. One value for each configured provider, used for many messages at a time.
///
/// Implement [`deliver`](Self::deliver) as an `async fn`.
pub trait Provider: Send + Sync + Sized + 'static {
    /// What stands in the provider's table of the configuration. A key that is not a field of it is refused.
    /// [`#[provost_sdk::config]`](macro@crate::config) makes a type fit.
    type Config: DeserializeOwned + JsonSchema;

    /// Whether [`deliver`](Self::deliver) delivers the message's [attachments](Message::attachments), too. Where it does not, a message that
    /// has some is refused and never gets there: nobody would notice that they are lost.
    const ATTACHMENTS: bool = false;

    /// Makes the provider. Reads secrets, checks values; sends nothing and waits for nobody.
    ///
    /// # Errors
    ///
    /// The errors of the configuration, each with its key.
    fn new(config: Self::Config, context: Context) -> Result<Self, ConfigError>;

    /// Checks what can be checked without sending: called after [`new`](Self::new), before the host serves, and by
    /// `--check`. Must not need the network, and leaves nothing behind.
    ///
    /// # Errors
    ///
    /// The errors of the configuration, each with its key.
    fn validate(&self) -> Result<(), ConfigError> {
        Ok(())
    }

    /// Delivers one message. `Ok` means delivered: whatever happens afterwards, the message is not lost.
    ///
    /// Runs on the provider's own runtime. The host gives up after the provider's `timeout` and then drops the future,
    /// at whatever `await` it has come to; nothing behind that point runs. So:
    ///
    /// - What is shared between deliveries must be whole at each `await`.
    /// - A connection whose exchange was cut off must never be used again: the answer that comes late would be taken for the
    ///   next message's. Own the connection while an exchange runs, and give it back only after the last answer. A pool
    ///   that takes connections back on `Drop` does not do that; the [HTTP client](crate::Context::http) does.
    /// - What must go on is started by [`Context::spawn`], and has to be bounded by itself.
    ///
    /// # Errors
    ///
    /// Why the message is not delivered, and whether trying again can help.
    fn deliver(&self, message: &Message) -> impl Future<Output = Result<Receipt, DeliveryError>> + Send;
}
