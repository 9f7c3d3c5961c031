//! Why there is no receipt.

use crate::telemetry::outcome::Outcome;
use provost_sdk::DeliveryError;
use std::fmt;
use std::time::Duration;

/// How much is repeated of a failure, in characters: part of it may be another side's words, or the caller's own.
pub const DETAIL: usize = 500;

/// How a delivery ended without a receipt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The provider says why.
    Provider(DeliveryError),
    /// The provider did not answer within this time. The message may or may not arrive.
    TimedOut(Duration),
    /// The provider's code panicked.
    Panicked,
    /// As many deliveries as allowed are under way. The message was given to nobody.
    Busy(Full),
    /// After failures in a row nothing is delivered for this time. The message was given to nobody.
    CircuitOpen(Duration),
    /// The host ends. The message was given to nobody.
    NotBegun,
    /// The host ends.
    Ending,
}

/// What is full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Full {
    /// All places, and the queue.
    Places {
        /// How many places there are.
        concurrency: usize,
        /// How many messages may wait.
        queue: usize,
    },
    /// All of these places were taken until the message's deadline.
    Waited(usize),
    /// The rate.
    Rate {
        /// How many deliveries may begin in a second.
        per_second: u32,
        /// After which time a message would not wait too long.
        wait: Duration,
    },
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Places { concurrency, queue: 0 } => {
                write!(f, "{concurrency} deliveries are in progress, the limit that the provider's `concurrency` sets")
            }
            Self::Places { concurrency, queue } => write!(
                f,
                "{concurrency} deliveries are in progress and {queue} messages wait, the limits that the provider's \
                 `concurrency` and `queue` set"
            ),
            Self::Waited(concurrency) => write!(
                f,
                "{concurrency} deliveries were in progress, the limit that the provider's `concurrency` sets, until the \
                 provider's `timeout` was over; the message was not sent"
            ),
            Self::Rate { per_second, .. } => write!(
                f,
                "{per_second} deliveries may begin in a second, the limit that the provider's `rate` sets, and too many \
                 messages wait"
            ),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Provider(error) => error.fmt(f),
            Self::TimedOut(timeout) => {
                write!(f, "the provider did not answer within {timeout:?}: the message may or may not arrive")
            }
            Self::Panicked => {
                f.write_str("the provider's plugin panicked: the message may or may not arrive; see the log")
            }
            Self::Busy(full) => full.fmt(f),
            Self::CircuitOpen(_) => f.write_str(
                "the last deliveries failed, as many in a row as the provider's `circuit.failures` allows: the message was \
                 not sent",
            ),
            Self::NotBegun => f.write_str("the host shuts down: the message was not sent"),
            Self::Ending => {
                f.write_str("the host shut down before the delivery ended: the message may or may not arrive")
            }
        }
    }
}

impl Failure {
    /// When the same message may succeed, if anybody knows.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Provider(
                DeliveryError::Temporary { retry_after, .. } | DeliveryError::Deferred { retry_after, .. },
            ) => *retry_after,
            Self::Busy(Full::Rate { wait, .. }) | Self::CircuitOpen(wait) => Some(*wait),
            Self::Busy(_) => Some(Duration::from_secs(1)),
            _ => None,
        }
    }

    /// The outcome that is counted.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Provider(DeliveryError::Temporary { .. } | DeliveryError::Deferred { .. }) => {
                Outcome::TemporaryFailure
            }
            Self::Provider(DeliveryError::Unauthorized { .. }) => Outcome::Unauthorized,
            Self::Provider(_) => Outcome::Refused,
            Self::TimedOut(_) => Outcome::Timeout,
            Self::Panicked => Outcome::Panic,
            Self::Busy(_) => Outcome::Busy,
            Self::CircuitOpen(_) => Outcome::CircuitOpen,
            Self::NotBegun | Self::Ending => Outcome::Ending,
        }
    }
}
