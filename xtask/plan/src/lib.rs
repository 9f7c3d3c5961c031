//! From the tree to a plan: what is to be compiled, with what, and what will be in the image. The modules that compile and assemble use it.

pub mod base;
pub mod cargo;
pub mod containers;
pub mod elf;
pub mod environment;
pub mod oci;
pub mod outside;
pub mod plan;
pub mod source;
pub mod support;
