//! Collects all errors of an input and reports them together.

use std::fmt::Display;

use anyhow::{Result, bail};
use serde::Serialize;

use crate::support::ui::count;

#[derive(Debug, Default)]
pub struct Errors(Vec<Finding>);

/// One error.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// Stable: a kind of error that tools can rely on, or empty.
    pub code: &'static str,
    /// The directory of the plugin that has it, or empty.
    pub plugin: String,
    /// What is wrong, on which path or name, and how to fix it.
    pub message: String,
}

impl Errors {
    /// One error: what is wrong, on which path or name, and how to fix it.
    pub fn push(&mut self, error: impl Display) {
        self.push_as("", "", error);
    }

    /// The same of a kind that has a code, in the plugin in `dir`.
    pub fn push_as(&mut self, code: &'static str, dir: impl AsRef<str>, error: impl Display) {
        self.0.push(Finding { code, plugin: dir.as_ref().to_owned(), message: error.to_string() });
    }

    pub fn extend(&mut self, errors: impl IntoIterator<Item = String>) {
        errors.into_iter().for_each(|error| self.push(error));
    }

    /// The same errors with another name for what they are about.
    pub fn renamed(mut self, from: &str, to: &str) -> Errors {
        for finding in &mut self.0 {
            finding.message = finding.message.replace(from, to);
        }
        self
    }

    /// The same errors with this code, in the plugin in `dir`.
    pub fn coded(mut self, code: &'static str, dir: impl AsRef<str>) -> Errors {
        for finding in &mut self.0 {
            (finding.code, finding.plugin) = (code, dir.as_ref().to_owned());
        }
        self
    }

    /// Adds the errors of a part.
    pub fn append(&mut self, mut errors: Errors) {
        self.0.append(&mut errors.0);
    }

    pub fn findings(&self) -> &[Finding] {
        &self.0
    }

    /// An error that lists every error, if there is one.
    pub fn report(self, input: &str) -> Result<()> {
        let messages: Vec<String> = self.0.into_iter().map(|finding| finding.message).collect();
        match messages.as_slice() {
            [] => Ok(()),
            [only] => bail!("{only}"),
            all => bail!("{} in {input}\n  - {}", count(all.len(), "error"), all.join("\n  - ").trim_end()),
        }
    }
}
