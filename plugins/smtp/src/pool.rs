//! The connections that are kept open. Knows nothing of mails.
//!
//! Whoever sends owns the connection meanwhile, and gives it back only after the server's last answer. The host drops a delivery
//! that takes too long, wherever it waits: its connection goes with it. Were it used again, the answers that are still to
//! come would be taken for those of the next mail. (lettre's own pool takes such a connection back.)

use crate::exchange;
use crate::server::Server;
use lettre::address::Envelope;
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::response::Response;
use provost_sdk::tokio::sync::Semaphore;
use provost_sdk::tokio::time::{Instant, sleep, timeout};
use provost_sdk::{Context, DeliveryError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

/// A connection that nobody has used for so long is closed.
const IDLE: Duration = Duration::from_secs(60);

/// How long a server may take to answer the end of a connection.
const GOODBYE: Duration = Duration::from_secs(5);

/// How many connections may wait for that at a time. Their deliveries have ended, so nothing else counts them.
const GOODBYES: usize = 16;

pub(crate) struct Pool {
    server: Server,
    /// How many are kept.
    most: usize,
    /// The one that was used last comes last.
    idle: Mutex<Vec<(AsyncSmtpConnection, Instant)>>,
    goodbyes: Arc<Semaphore>,
    context: Context,
}

impl Pool {
    /// Opens no connection.
    pub(crate) fn new(server: Server, most: usize, context: Context) -> Arc<Self> {
        let goodbyes = Arc::new(Semaphore::new(GOODBYES));
        let pool = Arc::new(Self { server, most, idle: Mutex::default(), goodbyes, context });
        pool.context.spawn(close_idle(Arc::downgrade(&pool)));
        pool
    }

    /// Sends a mail, and returns the server's last answer.
    ///
    /// # Errors
    ///
    /// Why it is not sent. The connection is closed then, which nobody waits for.
    pub(crate) async fn send(&self, envelope: &Envelope, mail: &[u8]) -> Result<Response, DeliveryError> {
        let mut connection = self.take().await?;
        let result = exchange::send(&mut connection, envelope, mail).await;
        if result.is_ok() {
            self.give_back(connection);
        } else {
            self.close(connection);
        }
        result
    }

    /// A connection that works, which is out of the pool. Without one nothing was sent, and that is to be known before all time is over.
    async fn take(&self) -> Result<AsyncSmtpConnection, DeliveryError> {
        // More than half: a server may let a client wait for its greeting (Postfix's postscreen, six seconds).
        let quarter = self.context.timeout() / 4;
        let limit = 3 * quarter;
        timeout(limit, self.find(quarter)).await.unwrap_or_else(|_| Err(self.server.is_silent(limit)))
    }

    async fn find(&self, patience: Duration) -> Result<AsyncSmtpConnection, DeliveryError> {
        loop {
            let Some((mut connection, _)) = self.idle().pop() else { return self.server.connect().await };
            // The server may have closed it meanwhile.
            match timeout(patience, exchange::is_alive(&mut connection)).await {
                Ok(true) => return Ok(connection),
                Ok(false) => {}
                // The others lead to the same machine, which has gone without a word.
                Err(_) => self.idle().clear(),
            }
        }
    }

    fn give_back(&self, connection: AsyncSmtpConnection) {
        let mut idle = self.idle();
        if idle.len() < self.most {
            idle.push((connection, Instant::now()));
        } else {
            drop(idle);
            self.close(connection);
        }
    }

    /// Says goodbye, as RFC 5321 section 4.1.1.10 asks of a client. Where many servers do not answer that, the connection goes without.
    fn close(&self, mut connection: AsyncSmtpConnection) {
        let Ok(place) = Arc::clone(&self.goodbyes).try_acquire_owned() else { return };
        self.context.spawn(async move {
            let _ = timeout(GOODBYE, connection.abort()).await;
            drop(place);
        });
    }

    fn idle(&self) -> MutexGuard<'_, Vec<(AsyncSmtpConnection, Instant)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let idle: Vec<_> = self.idle().drain(..).collect();
        for (connection, _) in idle {
            self.close(connection);
        }
    }
}

/// Closes connections that nobody uses, until the pool is gone.
async fn close_idle(pool: Weak<Pool>) {
    loop {
        sleep(IDLE).await;
        let Some(pool) = pool.upgrade() else { return };
        let old: Vec<_> = pool.idle().extract_if(.., |(_, since)| since.elapsed() >= IDLE).collect();
        for (connection, _) in old {
            pool.close(connection);
        }
    }
}
