//! What cargo and rustc know before anything is compiled.

pub mod crypto;
pub mod features;
pub mod flags;
pub mod lockfile;
pub mod query;
pub mod resolution;
pub mod toolchain;
pub mod tree;
