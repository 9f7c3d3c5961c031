//! Container engines, skopeo, and what of theirs belongs to this checkout.

pub mod dockerfile;
pub mod engine;
pub mod images;
pub mod labels;
pub mod skopeo;
