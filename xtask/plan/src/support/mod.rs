//! The base of all other modules: messages, other programs, files, directory names, variables, the session.

pub mod command;
pub mod container_paths;
pub mod errors;
pub mod files;
pub mod paths;
pub mod running;
pub mod session;
pub mod shell;
#[cfg(test)]
pub mod test_dir;
pub mod threads;
pub mod ui;
pub mod variables;
