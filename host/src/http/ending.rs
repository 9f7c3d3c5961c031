//! The end of the API: what is given up at which part of `server.shutdown_deadline`.

use std::time::{Duration, Instant};
use tokio::sync::SetOnce;

/// The end, which has begun or not.
pub struct Ending {
    begun: SetOnce<Instant>,
    deadline: Duration,
}

impl Ending {
    /// An end that takes `deadline` at most, providers included.
    pub fn new(deadline: Duration) -> Self {
        Self { begun: SetOnce::new(), deadline }
    }

    /// Begins it.
    pub fn begin(&self) {
        // An error would say that it was told twice.
        let _ = self.begun.set(Instant::now());
    }

    /// When it began, if it has.
    pub fn since(&self) -> Option<Instant> {
        self.begun.get().copied()
    }

    /// Resolves when it begins.
    pub async fn begun(&self) {
        self.begun.wait().await;
    }

    /// Resolves when requests that have not arrived yet are given up.
    pub async fn gives_up_arrivals(&self) {
        self.after(self.deadline / 8).await;
    }

    /// Resolves when deliveries are given up. The rest is for the providers: one that is stuck must not cost the others their
    /// orderly end.
    pub async fn gives_up_deliveries(&self) {
        self.after(self.patience()).await;
    }

    /// How long deliveries may take.
    pub fn patience(&self) -> Duration {
        self.deadline - self.deadline / 8
    }

    /// How long the answers may take that tell callers of deliveries given up.
    pub fn farewell(&self) -> Duration {
        self.deadline / 16
    }

    async fn after(&self, part: Duration) {
        let begun = *self.begun.wait().await;
        tokio::time::sleep_until((begun + part).into()).await;
    }
}
