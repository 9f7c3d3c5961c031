//! ELF files, as the dynamic linker reads them.

pub mod dynamic;
pub mod exports;
pub mod sections;
