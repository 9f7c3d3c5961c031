//! Everything that is decided before anything is compiled: pure data, sorted, printable. Nothing here starts a program.

pub mod build;
pub mod changes;
pub mod forecast;
mod image;
pub mod inputs;
pub mod last_image;
mod layers;
pub mod matrix;

pub use crate::plan::build::{BuildPlan, Plugin};
pub use crate::plan::image::{CacheStatus, ImagePlan};
