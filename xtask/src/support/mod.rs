//! What everything else stands on: messages, other programs, files, folders' names, variables, the session.

pub mod command;
pub mod faults;
pub mod files;
pub mod paths;
pub mod session;
#[cfg(test)]
pub mod test_folder;
pub mod ui;
pub mod variables;
