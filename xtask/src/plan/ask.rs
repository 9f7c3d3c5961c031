//! What cargo is asked about the copy of the sources before anything is compiled.

use anyhow::{Context, Result, bail};
use cargo_metadata::{Metadata, MetadataCommand};

use crate::cargo::flags::{ENCODED_FLAGS, SEPARATOR};
use crate::cargo::resolution::{self, Crate, Reach, Resolution};
use crate::cargo::toolchain;
use crate::plan::BuildPlan;
use crate::source::{copy, submodules};
use crate::support::command::{self, Invocation};
use crate::support::files;
use crate::support::paths::Paths;
use crate::support::ui::Ui;

impl BuildPlan {
    /// The packages that are built, by their ids: a dependency may have the same name and version.
    fn packages(&self) -> impl Iterator<Item = &str> {
        let packages = [&self.host_id, &self.sdk_id].into_iter().chain(self.plugins.iter().map(|plugin| &plugin.id));
        packages.map(|id| id.repr.as_str())
    }

    /// Asks with the build's own flags: they decide which `[target.'cfg(...)'.dependencies]` count.
    fn question(&self, paths: &Paths, args: Vec<String>) -> Result<Invocation> {
        let command = toolchain::cargo(&paths.root, args)?.folder(paths.sources());
        Ok(command.env(ENCODED_FLAGS, self.rustflags.join(SEPARATOR)))
    }

    /// The crates as cargo resolves them in the copy; asked again when a manifest or the lock changed.
    pub fn crates(&self, ui: &Ui, paths: &Paths, reach: Reach) -> Result<Resolution> {
        let question = resolution::question(reach, &self.toolchain.target, self.packages());
        let digest = copy::manifests_digest(&paths.sources())?;
        let key = format!("{digest} {question:?} {:?}\n", self.rustflags);
        let stamp = paths.image.join(reach.name());
        let known = std::fs::read_to_string(&stamp).unwrap_or_default();
        if let Some(answer) = known.strip_prefix(&key) {
            return Resolution::parse(answer, &paths.sources());
        }
        let command = self.question(paths, question)?;
        let answer = cargo(ui, paths, &command, &format!("asking for the {} crates", reach.name()))?;
        files::write_atomically(&stamp, |out| Ok(out.write_all(format!("{key}{answer}").as_bytes())?))?;
        Resolution::parse(&answer, &paths.sources())
    }

    /// The features of a crate, and what wants each. Empty where cargo cannot tell which crate is meant: another may have
    /// its name and version.
    pub fn wanting(&self, ui: &Ui, paths: &Paths, of: &Crate) -> Result<String> {
        let question = resolution::inverted_question(of, &self.toolchain.target, self.packages());
        let command = self.question(paths, question)?;
        let output = command.output(ui)?;
        Ok(if output.status.success() { String::from_utf8_lossy(&output.stdout).into_owned() } else { String::new() })
    }
}

/// The workspace's own crates, as cargo reads them from the copy.
pub fn members(ui: &Ui, paths: &Paths) -> Result<Metadata> {
    let command =
        toolchain::cargo(&paths.root, ["metadata", "--no-deps", "--format-version", "1"])?.folder(paths.sources());
    let text = cargo(ui, paths, &command, "reading the workspace's manifests")?;
    MetadataCommand::parse(text).context("reading what `cargo metadata` wrote")
}

/// What cargo answers about the copy. Where it names a file of the copy, the error names the tree's.
pub fn cargo(ui: &Ui, paths: &Paths, command: &Invocation, doing: &str) -> Result<String> {
    let output = command.output(ui)?;
    if !output.status.success() {
        let said = command::tail(&output).replace(paths.sources().as_str(), paths.root.as_str());
        let submodules = submodules::hint(&paths.root);
        bail!("{doing} failed; mend the Cargo.toml that cargo names{said}{submodules}");
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
