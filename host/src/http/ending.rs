//! The end of the API: what is given up at which part of `server.shutdown_deadline`.

use std::time::{Duration, Instant};
use tokio::sync::SetOnce;

/// The end, which has begun or not.
#[derive(Default)]
pub struct Ending {
    begun: SetOnce<Begun>,
}

/// When it began, and how long it takes at most, providers included.
#[derive(Clone, Copy)]
pub struct Begun {
    /// The moment.
    pub at: Instant,
    /// `server.shutdown_deadline`.
    pub deadline: Duration,
}

impl Ending {
    /// Begins it.
    pub fn begin(&self, deadline: Duration) {
        // An error would say that it was told twice.
        let _ = self.begun.set(Begun { at: Instant::now(), deadline });
    }

    /// When it began, if it has.
    pub fn since(&self) -> Option<Begun> {
        self.begun.get().copied()
    }

    /// Resolves when it begins.
    pub async fn begun(&self) {
        self.begun.wait().await;
    }

    /// Resolves when requests that have not arrived yet are given up.
    pub async fn gives_up_arrivals(&self) -> Begun {
        self.after(|begun| begun.deadline / 8).await
    }

    /// Resolves when deliveries are given up. The rest is for the providers: one that is stuck must not cost the others their
    /// orderly end.
    pub async fn gives_up_deliveries(&self) -> Begun {
        self.after(Begun::patience).await
    }

    async fn after(&self, part: impl Fn(&Begun) -> Duration) -> Begun {
        let begun = *self.begun.wait().await;
        tokio::time::sleep_until((begun.at + part(&begun)).into()).await;
        begun
    }
}

impl Begun {
    /// How long deliveries may take.
    pub fn patience(&self) -> Duration {
        self.deadline - self.deadline / 8
    }

    /// How long answers may take whose callers do not read them at once.
    pub fn delay(&self) -> Duration {
        self.deadline / 2
    }

    /// How long the answers may take that tell callers of deliveries given up.
    pub fn farewell(&self) -> Duration {
        self.deadline / 16
    }
}
