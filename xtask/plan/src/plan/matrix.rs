//! What CI runs: rows of a matrix, each with the command that a person would type.

use clap::ValueEnum;
use serde::Serialize;

use crate::source::matrix::MatrixSpec;
use crate::source::selection::Selection;

/// What a row does. Never one plugin alone: features unify over the set, so plugins that were built apart do not fit together.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Build an image
    Image,
    /// Check a plugin with the host
    Check,
    /// Run all tests
    Test,
}

/// The most jobs that CI makes of one matrix.
/// Source: <https://docs.github.com/en/actions/reference/limits>.
pub const MOST: usize = 256;

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Unique, and fit for the name of a job.
    pub id: String,
    pub kind: Kind,
    /// The label of the machine.
    pub runner: String,
    pub platform: String,
    pub toolchain: String,
    /// The name of a set of plugins; empty if the row is not about one.
    pub flavour: String,
    /// The package names, sorted.
    pub plugins: Vec<String>,
    pub command: String,
}

/// A flavour with the plugins that it selects.
pub struct Set {
    pub name: String,
    pub selection: Selection,
    pub plugins: Vec<String>,
}

/// What rows are made of.
pub struct Axes<'a> {
    pub spec: &'a MatrixSpec,
    pub platforms: &'a [String],
    /// The pinned toolchain.
    pub pin: &'a str,
    pub sets: &'a [Set],
    /// All plugins of the tree.
    pub plugins: &'a [String],
}

impl Axes<'_> {
    /// The rows of a kind, in an order that is always the same.
    pub fn rows(&self, kind: Kind) -> Vec<Row> {
        self.platforms.iter().flat_map(|platform| self.of_platform(kind, platform)).collect()
    }

    fn of_platform(&self, kind: Kind, platform: &str) -> Vec<Row> {
        let row = |name: &str, toolchain: &str, flavour: &str, plugins: &[String], command: String| Row {
            id: [name, &platform.replace('/', "-"), toolchain].join("-"),
            kind,
            runner: self.spec.runner(platform),
            platform: platform.to_owned(),
            toolchain: toolchain.to_owned(),
            flavour: flavour.to_owned(),
            plugins: plugins.to_vec(),
            command,
        };
        match kind {
            Kind::Image => {
                let more = self.spec.toolchains.iter().map(String::as_str).filter(|other| *other != self.pin);
                let toolchains: Vec<&str> = std::iter::once(self.pin).chain(more).collect();
                let rows = toolchains.iter().flat_map(|toolchain| {
                    self.sets.iter().map(|set| {
                        let (name, command) = (format!("image-{}", set.name), self.image(toolchain, &set.selection));
                        row(&name, toolchain, &set.name, &set.plugins, command)
                    })
                });
                rows.collect()
            }
            Kind::Check => {
                // As many plugins in a row as keep the rows few enough.
                let group = self.plugins.len().div_ceil(MOST / self.platforms.len().max(1)).max(1);
                let rows = self.plugins.chunks(group).map(|plugins| {
                    let command = format!("cargo xtask check {}", plugins.join(" "));
                    row(&format!("check-{}", plugins[0]), self.pin, "", plugins, command)
                });
                rows.collect()
            }
            Kind::Test => {
                let command = "cargo xtask test --require-containers".to_owned();
                vec![row("test", self.pin, "", self.plugins, command)]
            }
        }
    }

    fn image(&self, toolchain: &str, selection: &Selection) -> String {
        let toolchain = (toolchain != self.pin).then(|| ("toolchain", toolchain.to_owned()));
        let options = toolchain.into_iter().chain(selection.options());
        options.fold("cargo xtask image".to_owned(), |command, (option, value)| format!("{command} --{option} {value}"))
    }
}

#[cfg(test)]
mod tests {
    use super::{Axes, Kind, MOST};
    use crate::source::matrix::MatrixSpec;

    #[test]
    fn rows_stay_few_enough() {
        let spec = MatrixSpec::default();
        let plugins: Vec<String> = (0..500).map(|number| format!("p{number:03}")).collect();
        let platforms = ["linux/amd64", "linux/arm64"].map(str::to_owned);
        let axes = Axes { spec: &spec, platforms: &platforms, pin: "1.95.0", sets: &[], plugins: &plugins };
        let rows = axes.rows(Kind::Check);
        assert!(rows.len() <= MOST, "{}", rows.len());
        let checked: usize = rows.iter().map(|row| row.plugins.len()).sum();
        assert_eq!(checked, 2 * plugins.len());
        assert_eq!(rows[0].command, "cargo xtask check p000 p001 p002 p003");
        assert_eq!(rows[0].id, "check-p000-linux-amd64-1.95.0");
    }
}
