//! ELF files, as the dynamic linker reads them.

pub mod dynamic;
pub mod edit;
pub mod exports;
pub mod sections;
