//! The test kit for plugins. A test makes a provider from TOML text, as the host does, and delivers messages through it:
//!
//! ```ignore
//! use provost_test::{message, provider, tokio};
//!
//! #[tokio::test(flavor = "multi_thread")]
//! async fn it_delivers() {
//!     let log = provider::<Log>("greeting = \"hello\"").expect("a valid configuration");
//!     log.deliver(&message("the text")).await.expect("it is delivered");
//! }
//! ```
//!
//! [`conformance!`] adds the tests that every plugin should pass. [`HttpServer`] stands in for the other side.

// So that `conformance!`, which names the crate from outside, also works in here.
extern crate self as provost_test;

pub mod conformance;
mod server;

pub use provost_sdk::tokio;
pub use server::{Answer, HttpRequest, HttpServer};

use provost_sdk::config::{self, COMMON_KEYS};
use provost_sdk::plugin::{AnyProvider, Plugin};
use provost_sdk::{ConfigError, Context, DeliveryError, Message, Provider, Receipt, toml};
use std::time::Duration;
use tokio::runtime::Handle;

/// How long a delivery may take in a test.
pub const TIMEOUT: Duration = Duration::from_secs(10);

/// A provider as the host holds it, on the runtime of the test.
pub struct TestProvider(Box<dyn AnyProvider>);

/// Makes the provider of the table `config`, and validates it, as the host does at its start. The keys that the host reads itself
/// (`plugin`, `timeout`, `concurrency`) are allowed and have no effect. Needs a tokio runtime.
///
/// # Errors
///
/// What is wrong with the configuration, each error with its key.
///
/// # Panics
///
/// If `config` is not TOML.
pub fn provider<P: Provider>(config: &str) -> Result<TestProvider, ConfigError> {
    make::<P>(table(config))
}

fn make<P: Provider>(table: toml::Table) -> Result<TestProvider, ConfigError> {
    let assets = concat!(env!("CARGO_MANIFEST_DIR"), "/no-assets");
    let context = Context::new("test", TIMEOUT, assets, "", Handle::current());
    let provider = Plugin::new::<P>().construct(table, context)?;
    provider.validate()?;
    Ok(TestProvider(provider))
}

/// Reads the table `text` as the configuration of `P`.
///
/// # Errors
///
/// What is wrong with it, each error with its key.
///
/// # Panics
///
/// If `text` is not TOML.
pub fn config<P: Provider>(text: &str) -> Result<P::Config, ConfigError> {
    config::parse(table(text), COMMON_KEYS)
}

/// Without the keys that the host reads.
fn table(text: &str) -> toml::Table {
    let table: Result<toml::Table, _> = text.parse();
    let mut table = table.unwrap_or_else(|error| panic!("the test's configuration is not TOML: {error}"));
    table.retain(|key, _| !COMMON_KEYS.contains(&key));
    table
}

/// A message with this text, to `test@example.org`, with an id and a subject.
pub fn message(text: &str) -> Message {
    Message {
        id: "test-1".to_owned(),
        to: vec!["test@example.org".to_owned()],
        subject: "Test".to_owned(),
        text: text.to_owned(),
        ..Message::default()
    }
}

impl TestProvider {
    /// Delivers a message.
    ///
    /// # Errors
    ///
    /// The provider's.
    ///
    /// # Panics
    ///
    /// If it takes longer than [`TIMEOUT`].
    pub async fn deliver(&self, message: &Message) -> Result<Receipt, DeliveryError> {
        let delivery = tokio::time::timeout(TIMEOUT, self.0.deliver(message)).await;
        delivery.unwrap_or_else(|_| panic!("the provider did not answer within {} s", TIMEOUT.as_secs()))
    }
}
