//! The hop from the API's runtime to a provider's: timeout and concurrency limit sit on this side of it, and the plugin's
//! code stays on the other, with all that it leaves.
//!
//! On the other side a stuck call would stop the clock that is to end it; on this side it would stop the API.

use crate::ground::channel::{Reports, reports};
use crate::ground::finished::Finished;
use crate::ground::threads::spawned;
use crate::providers::failure::{DETAIL, Failure};
use crate::providers::startup::Started;
use crate::telemetry::counters::Counters;
use crate::telemetry::outcome::Outcome;
use crate::telemetry::panics;
use provost_sdk::panics::{Caught, catch};
use provost_sdk::plugin::AnyProvider;
use provost_sdk::{Context, Message, Receipt, excerpt};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, SetOnce, TryAcquireError, oneshot};

/// The way into one provider.
pub struct Dispatcher {
    /// `None` once it is closed.
    provider: Mutex<Option<Arc<dyn AnyProvider>>>,
    context: Context,
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
    permits: Arc<Semaphore>,
    concurrency: usize,
    counters: Arc<Counters>,
    guards: Arc<Guards>,
}

/// Those who guard the deliveries under way.
#[derive(Default)]
struct Guards {
    count: AtomicUsize,
    given_up: SetOnce<()>,
}

/// A delivery, for those who count and log it. It is under way until it is dropped.
struct Delivery {
    id: String,
    /// What the caller calls the request.
    request: Option<String>,
    begun: Instant,
    counters: Arc<Counters>,
    guards: Arc<Guards>,
}

impl Dispatcher {
    /// The way into the provider that was started, for `concurrency` deliveries at a time.
    pub fn new(started: Started, concurrency: usize) -> Self {
        Self {
            provider: Mutex::new(Some(started.provider.into())),
            context: started.context,
            runtime: Some(started.runtime),
            permits: Arc::new(Semaphore::new(concurrency)),
            concurrency,
            counters: started.counters,
            guards: Arc::default(),
        }
    }

    /// What was counted.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// How many deliveries are under way.
    pub fn in_flight(&self) -> usize {
        self.concurrency - self.permits.available_permits()
    }

    /// How many deliveries may run at a time.
    pub fn concurrency(&self) -> usize {
        self.concurrency
    }

    /// How long a delivery may take.
    pub fn timeout(&self) -> Duration {
        self.context.timeout()
    }

    /// Delivers `message`.
    ///
    /// Goes on when the caller no longer waits: a message that is half delivered is worse than an answer unread.
    ///
    /// # Errors
    ///
    /// Why there is no receipt.
    pub async fn deliver(&self, message: Message) -> Result<Receipt, Failure> {
        let delivery = Delivery::new(&message, self);
        match self.begin(message) {
            Ok(answer) => Finished::new(async { delivery.ended(answer.await) }).await,
            Err(failure) => delivery.ended(Err(failure)),
        }
    }

    /// Begins the delivery. What it returns guards it on this side.
    fn begin(&self, message: Message) -> Result<impl Future<Output = Result<Receipt, Failure>> + use<>, Failure> {
        let permit = match Arc::clone(&self.permits).try_acquire_owned() {
            Ok(permit) => permit,
            Err(TryAcquireError::NoPermits) => return Err(Failure::Busy(self.concurrency)),
            Err(TryAcquireError::Closed) => return Err(Failure::Ending),
        };
        let provider = self.provider().clone().ok_or(Failure::Ending)?;
        let (answer, answered) = oneshot::channel();
        // The permit goes along: a call that is stuck for ever still counts. Nobody holds the task itself: what it leaves
        // is the plugin's, and would be dropped on this side.
        let delivery = self.context.spawn(panics::delivery(async move {
            let result = guarded(&*provider, &message).await;
            // Whoever waits for the permit then drops the provider, and no other reference may be left.
            drop(provider);
            drop(permit);
            // An error says that it was given up.
            let _ = answer.send(result);
        }));
        let (delivery, timeout, guards) = (delivery.abort_handle(), self.timeout(), Arc::clone(&self.guards));
        Ok(async move {
            let result = tokio::select! {
                biased;
                answer = tokio::time::timeout(timeout, answered) => match answer {
                    Ok(answer) => answer.unwrap_or(Err(Failure::Ending)),
                    Err(_) => Err(Failure::TimedOut(timeout)),
                },
                _ = guards.given_up.wait() => Err(Failure::Ending),
            };
            if let Err(Failure::TimedOut(_) | Failure::Ending) = result {
                delivery.abort();
            }
            result
        })
    }

    /// Gives up the deliveries that somebody waits for: who does is told that the host ends. Returns how many there are.
    pub fn give_up(&self) -> usize {
        let count = self.guards.count.load(Ordering::Relaxed);
        // An error would say that they were given up before.
        let _ = self.guards.given_up.set(());
        count
    }

    /// Whether no delivery is left that is not logged.
    pub fn is_told(&self) -> bool {
        self.guards.count.load(Ordering::Relaxed) == 0
    }

    /// Waits until no delivery is under way, and lets none begin.
    pub async fn idle(&self) {
        // No error can be meant: only the line below closes it.
        let all = u32::try_from(self.concurrency).unwrap_or(u32::MAX);
        let _all = self.permits.acquire_many(all).await;
        self.permits.close();
    }

    /// Lets go of the provider, on a thread of its own: its plugin's code runs there, and need not come back. Nothing is
    /// reported but the end, when it has.
    pub fn close(&self) -> Reports<()> {
        let (closed, closing) = reports();
        let (provider, span) = (self.provider().take(), self.context.span().clone());
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

    fn provider(&self) -> MutexGuard<'_, Option<Arc<dyn AnyProvider>>> {
        self.provider.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Delivery {
    fn new(message: &Message, by: &Dispatcher) -> Self {
        by.guards.count.fetch_add(1, Ordering::Relaxed);
        let (id, request) = (message.id.clone(), message.request_id.clone());
        Self { id, request, begun: Instant::now(), counters: Arc::clone(&by.counters), guards: Arc::clone(&by.guards) }
    }

    /// Counts and logs how it ended.
    fn ended(self, result: Result<Receipt, Failure>) -> Result<Receipt, Failure> {
        let (provider, id, took) = (self.counters.provider(), &self.id, self.begun.elapsed());
        let milliseconds = took.as_millis();
        let request = self.request.as_deref();
        match &result {
            Ok(_) => {
                self.counters.count(Outcome::Delivered, took);
                tracing::info!(provider, id, request, milliseconds, "delivered");
            }
            Err(failure) => {
                let outcome = failure.outcome();
                self.counters.count(outcome, took);
                let failure = excerpt(&failure.to_string(), DETAIL);
                tracing::warn!(provider, id, request, milliseconds, failure = %failure, "not delivered");
                if outcome == Outcome::Unauthorized && self.counters.alarm() {
                    tracing::error!(provider, failure = %failure, "the other side refuses this host: check its login in the configuration");
                }
            }
        }
        result
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        self.guards.count.fetch_sub(1, Ordering::Relaxed);
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
