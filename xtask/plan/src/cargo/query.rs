//! Asks cargo about the copy of the sources before anything is compiled.

use anyhow::{Context, Result, bail};
use cargo_metadata::{Metadata, MetadataCommand};

use crate::cargo::flags::{ENCODED_FLAGS, SEPARATOR};
use crate::cargo::resolution::{self, Crate, Reach, Resolution};
use crate::cargo::toolchain;
use crate::source::{copy, submodules};
use crate::support::command::{self, Invocation};
use crate::support::files;
use crate::support::session::Session;

/// What is built together, and for which target: cargo resolves the same here as when it compiles.
pub struct Query<'a> {
    pub target: &'a str,
    /// They decide which `[target.'cfg(...)'.dependencies]` apply.
    pub rustflags: &'a [String],
    /// By their ids: a dependency may have the same name and version.
    pub packages: Vec<&'a str>,
}

impl Query<'_> {
    /// The crates as cargo resolves them in the copy; asked again when a manifest or the lock changed.
    pub fn crates(&self, session: &Session, reach: Reach) -> Result<Resolution> {
        let paths = &session.paths;
        let args = resolution::question(reach, self.target, self.packages.iter().copied());
        let key = format!("{args:?} {:?}", self.rustflags);
        let answer = remembered(session, reach.name(), &key, || {
            let command = self.command(session, args)?;
            cargo(session, &command, &format!("asking for the {} crates", reach.name()))
        })?;
        Resolution::parse(&answer, &paths.sources())
    }

    /// The features of a crate, and what turns each on. Empty if cargo cannot tell which crate is meant: another may have
    /// the same name and version.
    pub fn features(&self, session: &Session, of: &Crate) -> Result<String> {
        let args = resolution::inverted_question(of, self.target, self.packages.iter().copied());
        let output = self.command(session, args)?.output(&session.ui)?;
        Ok(if output.status.success() { String::from_utf8_lossy(&output.stdout).into_owned() } else { String::new() })
    }

    fn command(&self, session: &Session, args: Vec<String>) -> Result<Invocation> {
        let command = toolchain::cargo(&session.paths.root, args)?.dir(session.paths.sources());
        Ok(command.env(ENCODED_FLAGS, self.rustflags.join(SEPARATOR)))
    }
}

/// The workspace's own crates, as cargo reads them from the copy.
pub fn members(session: &Session) -> Result<Metadata> {
    let names = copy::names_digest(&session.paths.sources())?;
    let text = remembered(session, "members", &names.to_string(), || {
        let args = ["metadata", "--no-deps", "--format-version", "1"];
        let command = toolchain::cargo(&session.paths.root, args)?.dir(session.paths.sources());
        cargo(session, &command, "reading the workspace's manifests")
    })?;
    MetadataCommand::parse(text).context("reading what `cargo metadata` wrote")
}

/// An answer of cargo about the copy, asked again when a manifest, the lock or the key changed.
fn remembered(session: &Session, name: &str, key: &str, ask: impl FnOnce() -> Result<String>) -> Result<String> {
    let paths = &session.paths;
    let (manifests, pinned) = (copy::manifests_digest(&paths.sources())?, toolchain::pinned(&paths.root)?);
    let key = format!("{manifests} {} {pinned} {key}\n", paths.sources());
    let file = paths.answer(name);
    let known = std::fs::read_to_string(&file).unwrap_or_default();
    if let Some(answer) = known.strip_prefix(&key) {
        return Ok(answer.to_owned());
    }
    let answer = ask()?;
    files::write_atomically(&file, |out| Ok(out.write_all(format!("{key}{answer}").as_bytes())?))?;
    Ok(answer)
}

/// Fetches every crate that the target needs; cargo may change the copy's lock file.
pub fn fetch(session: &Session, target: &str) -> Result<()> {
    let args = ["fetch", "--quiet", "--target", target];
    let command = toolchain::cargo(&session.paths.root, args)?.dir(session.paths.sources());
    cargo(session, &command, "resolving the dependencies").map(drop)
}

/// What cargo answers about the copy. Where it names a file of the copy, the error names the tree's.
fn cargo(session: &Session, command: &Invocation, doing: &str) -> Result<String> {
    let paths = &session.paths;
    let output = command.output(&session.ui)?;
    if !output.status.success() {
        let said = command::tail(&output).replace(paths.sources().as_str(), paths.root.as_str());
        let submodules = submodules::hint(&paths.root);
        bail!("{doing} failed; fix the Cargo.toml that cargo names{said}{submodules}");
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
