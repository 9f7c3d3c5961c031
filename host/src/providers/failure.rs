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
    /// As many deliveries as allowed are under way.
    Busy(usize),
    /// The host ends.
    Ending,
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
            Self::Busy(limit) => {
                write!(f, "{limit} deliveries are in progress, the limit that the provider's `concurrency` sets")
            }
            Self::Ending => {
                f.write_str("the host shut down before the delivery ended: the message may or may not arrive")
            }
        }
    }
}

impl Failure {
    /// The outcome that is counted.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Provider(DeliveryError::Temporary { .. }) => Outcome::TemporaryFailure,
            Self::Provider(DeliveryError::Unauthorized { .. }) => Outcome::Unauthorized,
            Self::Provider(_) => Outcome::Refused,
            Self::TimedOut(_) => Outcome::Timeout,
            Self::Panicked => Outcome::Panic,
            Self::Busy(_) => Outcome::Busy,
            Self::Ending => Outcome::Ending,
        }
    }
}
