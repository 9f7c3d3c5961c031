//! Container engines, and what of theirs is ours.

pub mod dockerfile;
pub mod engine;
pub mod images;
pub mod labels;
pub mod skopeo;
