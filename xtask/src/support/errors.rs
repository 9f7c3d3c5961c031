//! Collects all errors of an input and reports them together.

use std::fmt::Display;

use anyhow::{Result, bail};

use crate::support::ui::count;

#[derive(Debug, Default)]
pub struct Errors(Vec<String>);

impl Errors {
    /// One error: what is wrong, on which path or name, and how to fix it.
    pub fn push(&mut self, error: impl Display) {
        self.0.push(error.to_string());
    }

    pub fn extend(&mut self, errors: impl IntoIterator<Item = String>) {
        self.0.extend(errors);
    }

    /// The same errors with another name for what they are about.
    pub fn renamed(self, from: &str, to: &str) -> Errors {
        Errors(self.0.into_iter().map(|error| error.replace(from, to)).collect())
    }

    /// Adds the errors of a part.
    pub fn append(&mut self, mut errors: Errors) {
        self.0.append(&mut errors.0);
    }

    /// An error that lists every error, if there is one.
    pub fn report(self, input: &str) -> Result<()> {
        match self.0.as_slice() {
            [] => Ok(()),
            [only] => bail!("{only}"),
            all => bail!("{} in {input}\n  - {}", count(all.len(), "error"), all.join("\n  - ").trim_end()),
        }
    }
}
