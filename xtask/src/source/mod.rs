//! The tree: what it says, what of it is copied, and what git says of the copy.

pub mod assets;
pub mod checkout;
pub mod copy;
pub mod left_out;
pub mod manifest;
pub mod plugins;
pub mod revision;
pub mod submodules;
pub mod sync;
