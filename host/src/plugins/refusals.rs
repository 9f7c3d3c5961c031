//! The report of refused plugins: one table for all, and how to fix them.

use provost_record::{Difference, printable, table_of_files};
use std::fmt;

/// What fixes a plugin of another build.
pub const TOGETHER: &str = "host and plugins must be built together: `cargo xtask image`";

/// Why one file is refused.
pub struct Refusal {
    differences: Vec<Difference>,
    fix: String,
}

impl Refusal {
    /// It was not built with this host.
    pub fn built_apart(differences: Vec<Difference>) -> Self {
        Self { differences, fix: TOGETHER.to_owned() }
    }

    /// Something else is wrong with it.
    pub fn new(field: &'static str, have: String, want: impl Into<String>, fix: String) -> Self {
        Self { differences: vec![Difference { field, have, want: want.into() }], fix }
    }
}

/// The files that are refused, of how many.
pub struct Refusals {
    given: usize,
    files: Vec<(String, Vec<Difference>)>,
    fixes: Vec<String>,
}

impl Refusals {
    /// None yet, of `given` files.
    pub fn new(given: usize) -> Self {
        Self { given, files: Vec::new(), fixes: Vec::new() }
    }

    /// Adds one file; a fix that is there already is not said again.
    pub fn add(&mut self, file: impl fmt::Display, refusal: Refusal) {
        self.files.push((file.to_string(), refusal.differences));
        if !self.fixes.contains(&refusal.fix) {
            self.fixes.push(refusal.fix);
        }
    }

    /// Whether no file is refused.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }
}

impl fmt::Display for Refusals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (refused, given) = (self.files.len(), self.given);
        let (plural, verb) = (if given == 1 { "" } else { "s" }, if refused == 1 { "is" } else { "are" });
        writeln!(f, "{refused} of {given} plugin{plural} {verb} refused, and none is loaded")?;
        f.write_str(&table_of_files(&self.files))?;
        write!(f, "fix: {}", printable(&self.fixes.join("; ")))
    }
}
