//! The hop from the API's runtime to a provider's: timeout and concurrency limit sit on this side of it, and the plugin's
//! code stays on the other, with all that it leaves.
//!
//! On the other side a stuck call would stop the clock that is to end it; on this side it would stop the API.

use crate::config::Delivering;
use crate::ground::channel::{Reports, reports};
use crate::ground::finished::Finished;
use crate::ground::threads::spawned;
use crate::providers::circuit::{Circuit, Entry};
use crate::providers::delivery::Delivery;
use crate::providers::failure::Failure;
use crate::providers::queue::Queue;
use crate::providers::startup::Started;
use crate::telemetry::counters::Counters;
use crate::telemetry::panics;
use provost_sdk::panics::{Caught, catch};
use provost_sdk::plugin::AnyProvider;
use provost_sdk::{Context, Message, Receipt};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::sync::{OwnedSemaphorePermit, SetOnce, oneshot};

/// The way into one provider.
pub struct Dispatcher {
    shared: Arc<Shared>,
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
}

/// What each delivery needs of it.
pub struct Shared {
    /// `None` once it is closed.
    provider: Mutex<Option<Arc<dyn AnyProvider>>>,
    context: Context,
    /// How messages are delivered.
    pub delivering: Delivering,
    /// The places, and who waits for one.
    pub queue: Queue,
    /// Whether the provider is spared.
    pub circuit: Circuit,
    /// What was counted.
    pub counters: Arc<Counters>,
    /// How many guard a delivery under way, or one that waits.
    pub guards: AtomicUsize,
    /// How many messages that nobody waited for were not tried, or not again, since the host ends.
    pub lost: AtomicUsize,
    given_up: SetOnce<()>,
}

impl Dispatcher {
    /// The way into the provider that was started.
    pub fn new(started: Started, delivering: Delivering) -> Self {
        let shared = Arc::new(Shared {
            provider: Mutex::new(Some(started.provider.into())),
            context: started.context,
            delivering,
            queue: Queue::new(delivering),
            circuit: Circuit::new(delivering.circuit),
            counters: started.counters,
            guards: AtomicUsize::new(0),
            lost: AtomicUsize::new(0),
            given_up: SetOnce::new(),
        });
        Self { shared, runtime: Some(started.runtime) }
    }

    /// What each delivery needs of it.
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// What was counted.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.shared.counters
    }

    /// How long a message may take.
    pub fn timeout(&self) -> Duration {
        self.shared.timeout()
    }

    /// Delivers `message`, and drops what is `held` for it when that has ended.
    ///
    /// Goes on when the caller no longer waits: a message that is half delivered is worse than an answer unread. One that waits for its
    /// first attempt is forgotten then.
    ///
    /// # Errors
    ///
    /// Why there is no receipt.
    pub async fn deliver(&self, message: Box<Message>, held: impl Send + 'static) -> Result<Receipt, Failure> {
        let delivery = Delivery::new(&message, &self.shared);
        match self.shared.enter(delivery.deadline()).await {
            Ok((place, entry)) => {
                Finished::new(async move {
                    // Until here, whoever waits for it.
                    let _held = held;
                    let result = delivery.tried(message, place, entry).await;
                    delivery.ended(result)
                })
                .await
            }
            Err(failure) => delivery.ended(Err(failure)),
        }
    }

    /// Lets no message wait: who does is told that the host ends.
    pub fn end_waiting(&self) {
        self.shared.queue.end_waiting();
    }

    /// Gives up the deliveries that somebody waits for: who does is told that the host ends. Returns how many there are.
    pub fn give_up(&self) -> usize {
        let count = self.shared.guards.load(Ordering::Relaxed);
        // A configuration that came into force meanwhile was not told before.
        self.end_waiting();
        // An error would say that they were given up before.
        let _ = self.shared.given_up.set(());
        count
    }

    /// How many messages that nobody waited for were not tried, or not again, since the host ends.
    pub fn lost(&self) -> usize {
        self.shared.lost.load(Ordering::Relaxed)
    }

    /// Whether no delivery is left that is not logged.
    pub fn is_told(&self) -> bool {
        self.shared.guards.load(Ordering::Relaxed) == 0
    }

    /// Waits until no delivery is under way, and lets none begin.
    pub async fn idle(&self) {
        self.shared.queue.idle().await;
    }

    /// Lets go of the provider, on a thread of its own: its plugin's code runs there, and need not come back. Nothing is
    /// reported but the end, when it has.
    pub fn close(&self) -> Reports<()> {
        let (closed, closing) = reports();
        let (provider, span) = (self.shared.provider().take(), self.shared.context.span().clone());
        if let Some(runtime) = &self.runtime {
            // What a provider holds may need its runtime to the last: a pool of connections starts a task to close them.
            let close = move || {
                let _span = span.entered();
                // A panic here was logged, and nothing is left that it could harm.
                let _ = catch(|| drop(provider));
                drop(closed);
            };
            // The same if there is no thread: the host ends.
            let _ = spawned(|| runtime.spawn_blocking(close));
        }
        closing
    }
}

impl Shared {
    /// How long a message may take.
    pub fn timeout(&self) -> Duration {
        self.context.timeout()
    }

    /// A place for a delivery that may begin.
    pub async fn enter(&self, deadline: Instant) -> Result<(OwnedSemaphorePermit, Entry), Failure> {
        // Before the queue, and after it: much may have failed meanwhile.
        self.circuit.check(Instant::now).map_err(Failure::CircuitOpen)?;
        let place = self.queue.place(deadline).await?;
        let entry = self.circuit.enter(Instant::now).map_err(Failure::CircuitOpen)?;
        Ok((place, entry))
    }

    /// Gives the message to the provider once, and guards that on this side.
    pub async fn attempt(
        &self,
        message: Box<Message>,
        place: OwnedSemaphorePermit,
        deadline: Instant,
    ) -> Result<Receipt, Failure> {
        let provider = self.provider().clone().filter(|_| !self.given_up.initialized()).ok_or(Failure::NotBegun)?;
        self.counters.count_attempt();
        let (answer, answered) = oneshot::channel();
        // The place goes along: a call that is stuck for ever still counts. Nobody holds the task itself: what it leaves
        // is the plugin's, and would be dropped on this side.
        let delivery = self.context.spawn(panics::delivery(async move {
            let result = guarded(&*provider, &message).await;
            // Whoever waits for the place then drops the provider, and no other reference may be left.
            drop(provider);
            drop(place);
            // An error says that it was given up.
            let _ = answer.send(result);
        }));
        let delivery = delivery.abort_handle();
        let result = tokio::select! {
            biased;
            answer = tokio::time::timeout_at(deadline.into(), answered) => match answer {
                Ok(answer) => answer.unwrap_or(Err(Failure::Ending)),
                Err(_) => Err(Failure::TimedOut(self.timeout())),
            },
            _ = self.given_up.wait() => Err(Failure::Ending),
        };
        if let Err(Failure::TimedOut(_) | Failure::Ending) = result {
            delivery.abort();
        }
        result
    }

    fn provider(&self) -> MutexGuard<'_, Option<Arc<dyn AnyProvider>>> {
        self.provider.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Delivers, and catches panics where they happen: what a plugin panics with is its own too, and need not come back when
/// it is dropped.
async fn guarded(provider: &dyn AnyProvider, message: &Message) -> Result<Receipt, Failure> {
    let delivery = catch(|| provider.deliver(message)).ok_or(Failure::Panicked)?;
    Caught::new(delivery).await.ok_or(Failure::Panicked)?.map_err(Failure::Provider)
}

impl Drop for Dispatcher {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Dropping a runtime waits for its blocking calls, and a stuck one would keep the host alive.
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests;
