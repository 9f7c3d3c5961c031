//! A good provider passes, a bad one fails each test.

use super::*;
use crate::HttpServer;
use provost_sdk::{ConfigError, Context, Message, Secret, reqwest};
use std::net::UdpSocket;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::task::yield_now;

#[provost_sdk::config]
#[derive(Debug)]
struct Config {
    url: String,
    token: Secret,
}

/// Does all of it well.
struct Good {
    config: Config,
    http: reqwest::Client,
}

impl Provider for Good {
    type Config = Config;

    fn new(config: Config, context: Context) -> Result<Self, ConfigError> {
        Ok(Self { config, http: context.http()? })
    }

    async fn deliver(&self, message: &Message) -> Result<Receipt, DeliveryError> {
        let request =
            self.http.post(&self.config.url).bearer_auth(self.config.token.expose()).body(message.text.clone());
        let answer = request.send().await.map_err(|error| DeliveryError::temporary(error.to_string()))?;
        Ok(Receipt::with_reference(answer.status().as_str()))
    }
}

async fn good() -> (String, HttpServer) {
    let server = HttpServer::start().await;
    (format!("url = \"{}\"\ntoken = \"t0ken\"\ntimeout = \"1s\"", server.url()), server)
}

mod good {
    use super::*;

    crate::conformance!(Good, good().await, secrets = ["t0ken"]);
}

/// Does all of it badly.
struct Bad {
    config: BadConfig,
    busy: AtomicBool,
}

#[provost_sdk::config]
#[derive(Debug, Clone)]
struct BadConfig {
    #[serde(default)]
    online: bool,
    #[serde(default)]
    token: String,
    #[serde(flatten)]
    #[schemars(with = "std::collections::BTreeMap<String, provost_sdk::serde_json::Value>")]
    _rest: toml::Table,
}

impl Provider for Bad {
    type Config = BadConfig;

    fn new(config: BadConfig, _context: Context) -> Result<Self, ConfigError> {
        Ok(Self { config, busy: AtomicBool::new(false) })
    }

    fn validate(&self) -> Result<(), ConfigError> {
        // Connects, in the sense of UDP: it needs a way to the address, and nobody who answers.
        let online = UdpSocket::bind("0.0.0.0:0").and_then(|socket| socket.connect("192.0.2.1:9"));
        match online {
            Err(error) if self.config.online => Err(ConfigError::new("online", error.to_string())),
            _ => Ok(()),
        }
    }

    async fn deliver(&self, _message: &Message) -> Result<Receipt, DeliveryError> {
        if self.busy.swap(true, Ordering::SeqCst) {
            return Err(DeliveryError::temporary(format!("busy, with {}", self.config.token)));
        }
        yield_now().await;
        self.busy.store(false, Ordering::SeqCst);
        Ok(Receipt::default())
    }
}

/// What the check panics with.
async fn panic_of(check: impl Future<Output = ()>) -> String {
    let mut check = pin!(check);
    let polled = poll_fn(|context| {
        let poll = std::panic::catch_unwind(AssertUnwindSafe(|| check.as_mut().poll(context)));
        match poll {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(())) => Poll::Ready(None),
            Err(panic) => Poll::Ready(Some(panic)),
        }
    });
    let panic = polled.await.expect("the bad provider passes");
    *panic.downcast::<String>().expect("a message")
}

#[tokio::test]
async fn a_bad_provider_fails_each_test() {
    let setup = Setup::from("token = \"t0ken\"");
    let found = panic_of(async { unknown_key::<Bad>(&setup) }).await;
    assert_eq!(found, format!("the configuration has the unknown key `{UNKNOWN}` and is accepted"));
    let found = panic_of(cancelled::<Bad>(&setup)).await;
    assert!(found.contains("when it had been polled 1 times\n  left: Temporary\n right: Delivered"), "{found}");
    let found = panic_of(two_at_a_time::<Bad>(&setup)).await;
    assert!(found.contains("left: [Delivered, Temporary]"), "{found}");
    let found = panic_of(secrets::<Bad>(&setup, &["t0ken"])).await;
    assert!(found.starts_with("a secret is shown in the Debug form of the configuration: "), "{found}");
    let found = panic_of(secrets::<Bad>(&setup, &["other"])).await;
    assert_eq!(found, "the secret `other` is not in the configuration of the test");
}

#[tokio::test]
async fn a_provider_that_needs_the_network_is_found_where_it_can_be_taken_away() {
    let test = concat!(module_path!(), "::a_provider_that_needs_the_network_is_found_where_it_can_be_taken_away");
    let check = offline::<Bad>(test, async || Setup::from("online = true"));
    if env::var_os(OFFLINE).is_some() {
        return check.await;
    }
    let unshare = Command::new("unshare").args(["--user", "--map-root-user", "--net", "--", "true"]).output();
    if unshare.is_ok_and(|output| output.status.success()) {
        let found = panic_of(check).await;
        assert!(found.contains("refused: online: Network is unreachable"), "{found}");
    } else {
        check.await;
    }
}
