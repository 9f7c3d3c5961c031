//! The dispatcher with providers that panic, block or never answer.

use super::*;
use crate::config::{Circuit as Limits, Retry};
use crate::providers::failure::Full;
use provost_sdk::{ConfigError, DeliveryError, Provider};
use std::future::pending;
use std::pin::pin;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use tokio::runtime::{Builder, Handle};

/// Does what the message's text says.
struct Obedient {
    /// Blocks until the other end is dropped.
    release: Mutex<Option<Receiver<()>>>,
}

impl Provider for Obedient {
    type Config = ();

    fn new((): (), _context: Context) -> Result<Self, ConfigError> {
        Ok(Self { release: Mutex::new(None) })
    }

    async fn deliver(&self, message: &Message) -> Result<Receipt, DeliveryError> {
        match message.text.as_str() {
            "panic" => panic!("as told"),
            "pend" => pending().await,
            "block" => {
                let release = self.release.lock().expect("taken once").take().expect("blocks once");
                let _ = release.recv();
                Ok(Receipt::default())
            }
            "fail" => Err(DeliveryError::temporary("as told")),
            "refuse" => Err(DeliveryError::permanent("as told")),
            _ => Ok(Receipt::with_reference("delivered")),
        }
    }
}

/// One place, and nobody waits for it.
const ONE_PLACE: Delivering = Delivering {
    concurrency: 1,
    queue: 0,
    rate: None,
    retry: Retry { attempts: 1, first_delay: SHORT, longest_delay: SHORT },
    circuit: Limits { failures: 0, open_for: SHORT },
};
const BUSY: Failure = Failure::Busy(Full::Places { concurrency: 1, queue: 0 });

/// A dispatcher for an obedient provider with one place, and what ends its blocking.
fn dispatcher(timeout: Duration) -> (Dispatcher, Sender<()>) {
    dispatcher_with(timeout, ONE_PLACE)
}

/// The same, which delivers like this.
fn dispatcher_with(timeout: Duration, delivering: Delivering) -> (Dispatcher, Sender<()>) {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let (release, blocked) = channel();
    let provider = Obedient { release: Mutex::new(Some(blocked)) };
    let context = Context::new("obedient", timeout, "assets/obedient", "", runtime.handle().clone());
    let counters = Arc::new(Counters::new("obedient", "obedient"));
    (Dispatcher::new(Started { provider: Box::new(provider), context, runtime, counters }, delivering), release)
}

fn message(text: &str) -> Box<Message> {
    Box::new(Message { text: text.to_owned(), ..Message::default() })
}

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(50);

#[tokio::test]
async fn answers_come_back() {
    let (dispatcher, _release) = dispatcher(LONG);
    assert_eq!(dispatcher.deliver(message("a"), ()).await, Ok(Receipt::with_reference("delivered")));
    let refused = Failure::Provider(DeliveryError::permanent("as told"));
    assert_eq!(dispatcher.deliver(message("refuse"), ()).await, Err(refused));
}

#[tokio::test]
async fn a_panic_ends_one_delivery() {
    let (dispatcher, _release) = dispatcher(LONG);
    assert_eq!(dispatcher.deliver(message("panic"), ()).await, Err(Failure::Panicked));
    assert!(dispatcher.deliver(message("a"), ()).await.is_ok(), "and its place is free again");
}

#[tokio::test]
async fn a_panic_says_nothing_of_the_other_side() {
    let circuit = Limits { failures: 1, open_for: LONG };
    let (dispatcher, _release) = dispatcher_with(LONG, Delivering { circuit, ..ONE_PLACE });
    for _ in 0..2 {
        assert_eq!(dispatcher.deliver(message("panic"), ()).await, Err(Failure::Panicked));
    }
    let failed = Failure::Provider(DeliveryError::temporary("as told"));
    assert_eq!(dispatcher.deliver(message("fail"), ()).await, Err(failed));
    let refused = dispatcher.deliver(message("a"), ()).await;
    assert!(matches!(refused, Err(Failure::CircuitOpen(_))), "{refused:?}");
}

#[tokio::test]
async fn who_never_answers_is_given_up() {
    let (dispatcher, _release) = dispatcher(SHORT);
    assert_eq!(dispatcher.deliver(message("pend"), ()).await, Err(Failure::TimedOut(SHORT)));
    dispatcher.idle().await;
    assert_eq!(dispatcher.deliver(message("a"), ()).await, Err(Failure::NotBegun), "none begins after the wait");
}

#[tokio::test]
async fn who_blocks_is_given_up_and_keeps_its_place() {
    let (dispatcher, release) = dispatcher(SHORT);
    assert_eq!(dispatcher.deliver(message("block"), ()).await, Err(Failure::TimedOut(SHORT)));
    assert_eq!(dispatcher.deliver(message("a"), ()).await, Err(BUSY));
    drop(release);
    dispatcher.idle().await;
}

#[tokio::test]
async fn a_caller_who_goes_away_ends_nothing() {
    let (dispatcher, release) = dispatcher(LONG);
    let (dispatcher, held) = (Arc::new(dispatcher), Arc::new(()));
    let waiting = Handle::current().spawn({
        let (dispatcher, held) = (Arc::clone(&dispatcher), Arc::clone(&held));
        async move { dispatcher.deliver(message("block"), held).await }
    });
    while dispatcher.shared().queue.taken() == 0 {
        tokio::task::yield_now().await;
    }
    waiting.abort();
    assert!(waiting.await.is_err_and(|error| error.is_cancelled()));
    assert_eq!(dispatcher.deliver(message("a"), ()).await, Err(BUSY), "it is still under way");
    assert_eq!(Arc::strong_count(&held), 2, "and what is held for it stays");
    drop(release);
    dispatcher.idle().await;
    while Arc::strong_count(&held) > 1 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn who_waits_is_told_that_the_delivery_is_given_up() {
    let (dispatcher, _release) = dispatcher(LONG);
    let mut delivery = pin!(dispatcher.deliver(message("pend"), ()));
    tokio::select! {
        biased;
        result = &mut delivery => panic!("{result:?}"),
        () = std::future::ready(()) => {}
    }
    assert_eq!(dispatcher.give_up(), 1);
    assert_eq!(delivery.await, Err(Failure::Ending));
    assert_eq!(dispatcher.give_up(), 0, "nobody waits any more");
}
