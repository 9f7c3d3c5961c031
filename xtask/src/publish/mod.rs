//! Publishes a verified image.

pub mod deliver;
pub mod index;
pub mod output;
pub mod push;
pub mod referrers;
pub mod sign;
