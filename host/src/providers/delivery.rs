//! The delivery of one message: further attempts after temporary failures, and how it is counted and logged.

use crate::ground::finished::is_alone;
use crate::providers::circuit::{Entry, Sign};
use crate::providers::dispatcher::Shared;
use crate::providers::failure::{DETAIL, Failure};
use crate::providers::retry;
use crate::telemetry::outcome::Outcome;
use provost_sdk::{DeliveryError, Message, Receipt, excerpt};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use tokio::sync::OwnedSemaphorePermit;

/// A delivery, for those who count and log it. It is under way until it is dropped.
pub struct Delivery {
    id: String,
    /// What the caller calls the request.
    request: Option<String>,
    begun: Instant,
    /// Whether the end came before a further attempt.
    cut: AtomicBool,
    shared: Arc<Shared>,
}

impl Delivery {
    /// It begins now.
    pub fn new(message: &Message, by: &Arc<Shared>) -> Self {
        by.guards.fetch_add(1, Ordering::Relaxed);
        let (id, request) = (message.id.clone(), message.request_id.clone());
        Self { id, request, begun: Instant::now(), cut: AtomicBool::new(false), shared: Arc::clone(by) }
    }

    /// When the caller gets an answer at the latest.
    pub fn deadline(&self) -> Instant {
        self.begun + self.shared.timeout()
    }

    /// Delivers the message, again after temporary failures.
    pub async fn tried(
        &self,
        mut message: Box<Message>,
        mut place: OwnedSemaphorePermit,
        mut entry: Entry,
    ) -> Result<Receipt, Failure> {
        let (shared, deadline, mut attempts) = (&self.shared, self.deadline(), 0);
        loop {
            attempts += 1;
            let again = (attempts < shared.delivering.retry.attempts).then(|| message.clone());
            let result = shared.attempt(message, place, deadline).await;
            if shared.circuit.ended(entry, sign(&result), Instant::now) {
                if let Some(more) = shared.counters.opening_is_due() {
                    let (provider, open_for) = (shared.counters.provider(), shared.delivering.circuit.open_for);
                    let more = (more > 0).then_some(more);
                    tracing::warn!(
                        provider,
                        ?open_for,
                        more,
                        "the circuit is open: too many deliveries in a row failed"
                    );
                }
                return result;
            }
            let (Err(failure), Some(again)) = (&result, again) else { return result };
            let left = deadline.saturating_duration_since(Instant::now());
            let Some(pause) = retry::pause(shared.delivering.retry, attempts, failure, left, retry::random()) else {
                return result;
            };
            tokio::select! {
                biased;
                () = shared.queue.waiting_ended() => {
                    self.cut.store(true, Ordering::Relaxed);
                    return result;
                }
                () = tokio::time::sleep(pause) => {}
            }
            match shared.enter(deadline).await {
                Ok(entered) => (message, (place, entry)) = (again, entered),
                // Why it failed says more.
                Err(failure) => {
                    self.cut.store(failure == Failure::NotBegun, Ordering::Relaxed);
                    return result;
                }
            }
        }
    }

    /// Counts and logs how it ended.
    pub fn ended(self, result: Result<Receipt, Failure>) -> Result<Receipt, Failure> {
        let (provider, id, took) = (self.shared.counters.provider(), &self.id, self.begun.elapsed());
        let milliseconds = took.as_millis();
        let (request, counters) = (self.request.as_deref(), &self.shared.counters);
        match &result {
            Ok(_) => {
                counters.count(Outcome::Delivered, took);
                tracing::info!(provider, id, request, milliseconds, "delivered");
            }
            Err(failure) => {
                let outcome = failure.outcome();
                counters.count(outcome, took);
                // What is lost with the host is named, each. The others were told to their callers.
                let given_up = *failure == Failure::Ending;
                let cut = *failure == Failure::NotBegun || self.cut.load(Ordering::Relaxed);
                let is_lost = given_up || cut && is_alone();
                if is_lost && !given_up {
                    self.shared.lost.fetch_add(1, Ordering::Relaxed);
                }
                let failure = excerpt(&failure.to_string(), DETAIL);
                if let Some(more) = if is_lost { Some(0) } else { counters.failure_is_due() } {
                    let more = (more > 0).then_some(more);
                    tracing::warn!(provider, id, request, milliseconds, more, failure = %failure, "not delivered");
                }
                if outcome == Outcome::Unauthorized && counters.alarm() {
                    tracing::error!(provider, failure = %failure, "the other side refuses this host: check the provider's configuration, and its login first");
                }
            }
        }
        result
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        self.shared.guards.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What the end of a delivery says of the other side.
fn sign(result: &Result<Receipt, Failure>) -> Sign {
    if let Err(Failure::Provider(DeliveryError::Deferred { .. })) = result {
        return Sign::Good;
    }
    match result.as_ref().map_err(Failure::outcome) {
        Ok(_) | Err(Outcome::Refused) => Sign::Good,
        Err(Outcome::TemporaryFailure | Outcome::Unauthorized | Outcome::Timeout) => Sign::Bad,
        // A panic, too: whoever finds a message that makes the plugin panic could close the provider for all others.
        Err(_) => Sign::None,
    }
}
