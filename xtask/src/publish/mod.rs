//! Brings a verified image to where it is wanted.

pub mod deliver;
pub mod output;
pub mod push;
pub mod referrers;
