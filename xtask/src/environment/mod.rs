//! Where it is compiled, settled before anything is: the engine, the builder, and that the pins agree.

pub mod builder;
pub mod engine;
pub mod pins;
