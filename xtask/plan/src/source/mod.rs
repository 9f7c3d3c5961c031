//! The tree: its manifests, the copy of its sources, and what git says about the copy.

pub mod added;
pub mod assets;
pub mod checkout;
pub mod copy;
pub mod left_out;
pub mod manifest;
pub mod matrix;
pub mod name;
pub mod outside;
pub mod path_dependencies;
pub mod plugins;
pub mod revision;
pub mod selection;
pub mod submodules;
pub mod sync;
pub mod templates;
pub mod watch;
