//! The tests that every plugin should pass: [`conformance!`](crate::conformance!) writes them into a plugin.

use crate::{TIMEOUT, TestProvider, make, message, provider, table, tokio};
use provost_sdk::{DeliveryError, Provider, Receipt, toml};
use std::any::Any;
use std::env;
use std::fmt::Debug;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::process::Command;
use std::task::Poll;

/// A key that no configuration has.
const UNKNOWN: &str = "a_key_that_nobody_knows";
/// In a process without network: the configuration to validate.
const OFFLINE: &str = "PROVOST_TEST_OFFLINE";
/// A delivery that is polled more often is taken for an endless one.
const MOST_POLLS: usize = 1000;

/// Writes the tests that every plugin should pass, in a module `conformance`:
///
/// - An unknown key is an error that names the key.
/// - `validate` needs no network. It runs in a network namespace of its own, where this machine allows to make one.
/// - A delivery that is cancelled, at any of its `await`s, leaves the provider usable.
/// - Two deliveries at a time end as one does.
/// - With `secrets = ["..."]`: no secret is in the `Debug` form of the configuration, in an error, or in a receipt.
///
/// The configuration is TOML text, or a tuple of TOML text and what must live as long as the provider, such as a server. It is
/// evaluated in an `async fn`, once for each test:
///
/// ```ignore
/// provost_test::conformance!(Log, "greeting = \"hello\"");
/// provost_test::conformance!(
///     Hook,
///     {
///         let server = HttpServer::start().await;
///         (format!("url = \"{}\"\ntoken = \"t0ken\"", server.url()), server)
///     },
///     secrets = ["t0ken"],
/// );
/// ```
#[macro_export]
macro_rules! conformance {
    ($provider:ty, $config:expr $(, secrets = [$($secret:expr),+ $(,)?])? $(,)?) => {
        mod conformance {
            #[allow(unused_imports, reason = "the provider may be named by its whole path")]
            use super::*;

            #[$crate::tokio::test(flavor = "multi_thread", crate = "::provost_test::tokio")]
            async fn an_unknown_key_is_an_error_that_names_it() {
                $crate::conformance::unknown_key::<$provider>(&$crate::conformance::Setup::from($config));
            }

            #[$crate::tokio::test(flavor = "multi_thread", crate = "::provost_test::tokio")]
            async fn validate_needs_no_network() {
                let setup = async || $crate::conformance::Setup::from($config);
                $crate::conformance::offline::<$provider>(concat!(module_path!(), "::validate_needs_no_network"), setup).await;
            }

            #[$crate::tokio::test(flavor = "multi_thread", crate = "::provost_test::tokio")]
            async fn a_cancelled_delivery_leaves_the_provider_usable() {
                $crate::conformance::cancelled::<$provider>(&$crate::conformance::Setup::from($config)).await;
            }

            #[$crate::tokio::test(flavor = "multi_thread", crate = "::provost_test::tokio")]
            async fn two_deliveries_at_a_time() {
                $crate::conformance::two_at_a_time::<$provider>(&$crate::conformance::Setup::from($config)).await;
            }

            $(
                #[$crate::tokio::test(flavor = "multi_thread", crate = "::provost_test::tokio")]
                async fn secrets_are_never_shown() {
                    let setup = $crate::conformance::Setup::from($config);
                    $crate::conformance::secrets::<$provider>(&setup, &[$($secret),+]).await;
                }
            )?
        }
    };
}

/// A configuration, and what lives as long as its provider.
pub struct Setup {
    config: String,
    _kept: Box<dyn Any + Send + Sync>,
}

impl From<&str> for Setup {
    fn from(config: &str) -> Self {
        Self::from(config.to_owned())
    }
}

impl From<String> for Setup {
    fn from(config: String) -> Self {
        Self::from((config, ()))
    }
}

impl<T: Send + Sync + 'static> From<(String, T)> for Setup {
    fn from((config, kept): (String, T)) -> Self {
        Self { config, _kept: Box::new(kept) }
    }
}

impl Setup {
    fn provider<P: Provider>(&self) -> TestProvider {
        provider::<P>(&self.config).unwrap_or_else(|error| panic!("the configuration of the test is refused: {error}"))
    }
}

/// An unknown key is an error that names the key.
pub fn unknown_key<P: Provider>(setup: &Setup) {
    let _valid = setup.provider::<P>();
    let mut table = table(&setup.config);
    table.insert(UNKNOWN.to_owned(), toml::Value::Boolean(true));
    match make::<P>(table) {
        Ok(_) => panic!("the configuration has the unknown key `{UNKNOWN}` and is accepted"),
        Err(error) => assert!(error.errors().iter().any(|error| error.key == UNKNOWN), "no error names it: {error}"),
    }
}

/// `validate` succeeds without network. `test` is the path of the test that calls this: it is run again in another process.
pub async fn offline<P: Provider>(test: &str, setup: impl AsyncFnOnce() -> Setup) {
    if let Ok(config) = env::var(OFFLINE) {
        drop(Setup::from(config).provider::<P>());
        return;
    }
    let setup = setup().await;
    let _valid = setup.provider::<P>();
    let (_, test) = test.split_once("::").expect("a module is in a crate");
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--net", "--"]).arg(env::current_exe().expect("the test's program"));
    match command.args(["--exact", test, "--nocapture"]).env(OFFLINE, &setup.config).output() {
        Ok(output) if output.status.success() => {}
        Ok(output) if !output.stderr.starts_with(b"unshare: ") => {
            panic!("without network the configuration is refused:\n{}", String::from_utf8_lossy(&output.stderr))
        }
        // It was validated above, with the network of this machine.
        _ => eprintln!("validated with network: `unshare --user --net` does not work here"),
    }
}

/// A delivery that is cancelled leaves the provider usable, at whichever `await` it is.
pub async fn cancelled<P: Provider>(setup: &Setup) {
    let (provider, message) = (setup.provider::<P>(), message("cancelled"));
    let expected = Outcome::of(&provider.deliver(&message).await);
    for polls in 1..=MOST_POLLS {
        let ended = tokio::time::timeout(TIMEOUT, polled(provider.deliver(&message), polls)).await;
        let outcome = Outcome::of(&provider.deliver(&message).await);
        assert_eq!(
            outcome, expected,
            "the delivery after one that was cancelled when it had been polled {polls} times"
        );
        if ended == Ok(true) {
            return;
        }
    }
    panic!("a delivery did not end after {MOST_POLLS} polls");
}

/// Two deliveries at a time end as one does.
pub async fn two_at_a_time<P: Provider>(setup: &Setup) {
    let (provider, message) = (setup.provider::<P>(), message("two at a time"));
    let expected = Outcome::of(&provider.deliver(&message).await);
    let (one, other) = tokio::join!(provider.deliver(&message), provider.deliver(&message));
    assert_eq!([Outcome::of(&one), Outcome::of(&other)], [expected, expected]);
}

/// No secret is in the `Debug` form of the configuration, in an error, or in a receipt.
pub async fn secrets<P: Provider<Config: Debug>>(setup: &Setup, secrets: &[&str]) {
    let hidden = |place: &str, text: String| {
        for secret in secrets {
            assert!(!text.contains(secret), "a secret is shown in {place}: {text}");
        }
    };
    for secret in secrets {
        assert!(setup.config.contains(secret), "the secret `{secret}` is not in the configuration of the test");
    }
    let config = crate::config::<P>(&setup.config).unwrap_or_else(|error| panic!("the test's configuration: {error}"));
    hidden("the Debug form of the configuration", format!("{config:?}"));
    hidden("the result of a delivery", format!("{:?}", setup.provider::<P>().deliver(&message("secrets")).await));
    for key in table(&setup.config).keys() {
        // The wrong key makes the provider report what it has read of the others.
        let mut table = table(&setup.config);
        table.insert(key.clone(), toml::Value::Array(Vec::new()));
        hidden(
            "an error of the configuration",
            make::<P>(table).err().map(|error| error.to_string()).unwrap_or_default(),
        );
    }
}

/// How a delivery ended, without the words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Delivered,
    Temporary,
    Permanent,
}

impl Outcome {
    fn of(result: &Result<Receipt, DeliveryError>) -> Self {
        match result {
            Ok(_) => Self::Delivered,
            Err(DeliveryError::Permanent { .. }) => Self::Permanent,
            Err(_) => Self::Temporary,
        }
    }
}

/// Polls `future` this often, and then drops it. Whether it ended before.
async fn polled(future: impl Future, most: usize) -> bool {
    let mut future = pin!(future);
    let mut polls = 0;
    poll_fn(|context| {
        polls += 1;
        match future.as_mut().poll(context) {
            Poll::Ready(_) => Poll::Ready(true),
            Poll::Pending if polls == most => Poll::Ready(false),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

#[cfg(test)]
mod tests;
