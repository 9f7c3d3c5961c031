//! Container engines, skopeo, and labels that mark what belongs to this checkout.

pub mod dockerfile;
pub mod engine;
pub mod images;
pub mod labels;
pub mod skopeo;
