//! ELF files, as the dynamic linker reads them.

pub mod append;
pub mod dynamic;
pub mod exports;
pub mod sections;
