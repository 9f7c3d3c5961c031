//! What one run makes of the stages.

pub mod fate;
pub mod remember;
