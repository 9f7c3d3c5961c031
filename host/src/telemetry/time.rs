//! The time of a line of the log.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

/// By RFC 3339, in microseconds. `tracing-subscriber`'s own says the same and takes longer for it, once for each message.
pub struct Time;

impl FormatTime for Time {
    fn format_time(&self, to: &mut Writer<'_>) -> fmt::Result {
        // Of a clock before 1970 the crate would panic.
        write!(to, "{}", humantime::format_rfc3339_micros(SystemTime::now().max(UNIX_EPOCH)))
    }
}
