//! What everything else stands on: messages, other programs, files, folders' names, variables, the lock.

pub mod command;
pub mod faults;
pub mod files;
pub mod lock;
pub mod paths;
#[cfg(test)]
pub mod test_folder;
pub mod ui;
pub mod variables;
