//! The places of a provider, and the messages that wait for one, first come, first served.

use crate::config::Delivering;
use crate::ground::rate::Rate;
use crate::providers::failure::{Failure, Full};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SetOnce, TryAcquireError};

/// Places and queue.
pub struct Queue {
    permits: Arc<Semaphore>,
    concurrency: usize,
    most_waiting: usize,
    waiting: AtomicUsize,
    rate: Option<Rate>,
    /// Set when nobody may wait any more.
    over: SetOnce<()>,
}

/// A message that waits, until it is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Queue {
    /// As configured; all places are free.
    pub fn new(limits: Delivering) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(limits.concurrency)),
            concurrency: limits.concurrency,
            most_waiting: limits.queue,
            waiting: AtomicUsize::new(0),
            rate: limits.rate.map(Rate::evenly),
            over: SetOnce::new(),
        }
    }

    /// How many places are taken.
    pub fn taken(&self) -> usize {
        self.concurrency - self.permits.available_permits()
    }

    /// How many messages wait.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// A place, at the latest at the `deadline`.
    ///
    /// # Errors
    ///
    /// When there is none: the message was given to nobody.
    pub async fn place(&self, deadline: Instant) -> Result<OwnedSemaphorePermit, Failure> {
        let place = match Arc::clone(&self.permits).try_acquire_owned() {
            Ok(place) => Some(place),
            Err(TryAcquireError::NoPermits) => None,
            Err(TryAcquireError::Closed) => return Err(Failure::NotBegun),
        };
        let place = match (place, &self.rate) {
            (Some(place), None) => return Ok(place),
            (Some(place), Some(rate)) => match rate.take(Instant::now()) {
                Ok(()) => return Ok(place),
                Err(_) => Some(place),
            },
            (None, _) => None,
        };
        let paced = place.is_some();
        let _waiting = self.wait().ok_or_else(|| Failure::Busy(self.full(paced)))?;
        tokio::select! {
            biased;
            _ = self.over.wait() => Err(Failure::NotBegun),
            place = self.wait_for(place, deadline) => place,
        }
    }

    /// A place and a time at the rate.
    async fn wait_for(
        &self,
        place: Option<OwnedSemaphorePermit>,
        deadline: Instant,
    ) -> Result<OwnedSemaphorePermit, Failure> {
        let place = match place {
            Some(place) => place,
            None => match tokio::time::timeout_at(deadline.into(), Arc::clone(&self.permits).acquire_owned()).await {
                Ok(Ok(place)) => place,
                Ok(Err(_)) => return Err(Failure::NotBegun),
                Err(_) => return Err(Failure::Busy(Full::Waited(self.concurrency))),
            },
        };
        if let Some(rate) = &self.rate {
            let (now, per_second) = (Instant::now(), rate.per_second());
            let longest = deadline.saturating_duration_since(now);
            match rate.reserve(now, longest) {
                // Who goes away meanwhile leaves it to another.
                Ok(slot) => {
                    tokio::time::sleep_until(slot.at().into()).await;
                    slot.used();
                }
                Err(wait) => return Err(Failure::Busy(Full::Rate { per_second, wait: wait - longest })),
            }
        }
        Ok(place)
    }

    /// A place in the queue.
    fn wait(&self) -> Option<Waiting<'_>> {
        let more = |waiting: usize| (waiting < self.most_waiting).then_some(waiting + 1);
        self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok().map(|_| Waiting(&self.waiting))
    }

    fn full(&self, paced: bool) -> Full {
        match &self.rate {
            Some(rate) if paced => Full::Rate { per_second: rate.per_second(), wait: Duration::ZERO },
            _ => Full::Places { concurrency: self.concurrency, queue: self.most_waiting },
        }
    }

    /// Lets nobody wait any more: who does is told so.
    pub fn end_waiting(&self) {
        // An error would say that it was told before.
        let _ = self.over.set(());
    }

    /// Resolves when nobody may wait any more.
    pub async fn waiting_ended(&self) {
        self.over.wait().await;
    }

    /// Waits until all places are free, and closes them.
    pub async fn idle(&self) {
        // No error can be meant: only the line below closes it.
        let all = u32::try_from(self.concurrency).unwrap_or(u32::MAX);
        let _all = self.permits.acquire_many(all).await;
        self.permits.close();
    }
}
