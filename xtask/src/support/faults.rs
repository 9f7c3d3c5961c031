//! All faults of an input, gathered and reported together.

use std::fmt::Display;

use anyhow::{Result, bail};

use crate::support::ui::count;

#[derive(Debug, Default)]
pub struct Faults(Vec<String>);

impl Faults {
    /// One fault: what is wrong, on which path or name, and how to mend it.
    pub fn push(&mut self, fault: impl Display) {
        self.0.push(fault.to_string());
    }

    /// An error that lists every fault, if there is one.
    pub fn report(self, input: &str) -> Result<()> {
        match self.0.as_slice() {
            [] => Ok(()),
            [only] => bail!("{only}"),
            all => bail!("{} in {input}\n  - {}", count(all.len(), "fault"), all.join("\n  - ").trim_end()),
        }
    }
}
