//! Images as data: documents, names, layers, root file systems. Starts no program.

pub mod artifact;
pub mod digest;
pub mod documents;
pub mod entry;
pub mod layer;
pub mod listing;
pub mod reader;
pub mod reference;
pub mod rootfs;
pub mod unpack;
