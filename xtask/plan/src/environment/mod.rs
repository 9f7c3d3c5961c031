//! The build environment, chosen before anything is compiled: the engine, the builder, and whether the pinned versions agree.

pub mod builder;
pub mod options;
pub mod pins;
pub mod target;
