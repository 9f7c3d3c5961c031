//! The outcomes of a delivery: one list for counters, metrics and problems.

/// How a delivery ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The provider gave a receipt.
    Delivered,
    /// It may succeed later.
    TemporaryFailure,
    /// The other side refused the host's password or token.
    Unauthorized,
    /// It will never succeed.
    Refused,
    /// No answer came in time.
    Timeout,
    /// The provider's code panicked.
    Panic,
    /// Too many deliveries were under way.
    Busy,
    /// The provider is spared after failures.
    CircuitOpen,
    /// The host was shutting down.
    Ending,
}

impl Outcome {
    /// All of them, in the order of the metrics.
    pub const ALL: [Self; 9] = [
        Self::Delivered,
        Self::TemporaryFailure,
        Self::Unauthorized,
        Self::Refused,
        Self::Timeout,
        Self::Panic,
        Self::Busy,
        Self::CircuitOpen,
        Self::Ending,
    ];

    /// A label's value; but for the first also the last part of a problem's type.
    pub fn name(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::TemporaryFailure => "temporary-failure",
            Self::Unauthorized => "unauthorized",
            Self::Refused => "refused",
            Self::Timeout => "timeout",
            Self::Panic => "panic",
            Self::Busy => "busy",
            Self::CircuitOpen => "circuit-open",
            Self::Ending => "ending",
        }
    }
}
