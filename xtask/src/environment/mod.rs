//! Where it is compiled, resolved before anything is: the engine, the builder, and that the pins agree.

pub mod builder;
pub mod options;
pub mod pins;
