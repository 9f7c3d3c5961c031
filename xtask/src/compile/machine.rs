//! The machine that compiles, either this one or a builder's container: its directories, how to run a program there, how to
//! fetch a file.

use std::process::Output;

use anyhow::Result;
use camino::Utf8PathBuf;
use cargo_metadata::PackageId;

use crate::cargo::toolchain::{Toolchain, cargo_home};
use crate::support::command::Invocation;
use crate::support::paths::Paths;
use crate::support::session::Session;
use crate::support::ui::Ui;

/// Where things are on the machine.
#[derive(Clone, Debug)]
pub struct Dirs {
    pub sources: Utf8PathBuf,
    /// Cargo's target directory.
    pub target: Utf8PathBuf,
    /// Where the crates' sources lie.
    pub crates: Utf8PathBuf,
}

impl Dirs {
    /// A package of the tree is named by the URL of its directory, which is another one on the machine.
    /// Source: <https://doc.rust-lang.org/cargo/reference/pkgid-spec.html>.
    pub fn package(&self, paths: &Paths, id: &PackageId) -> String {
        const SCHEME: &str = "path+file://";
        let sources = paths.sources();
        let Some(url) = id.repr.strip_prefix(SCHEME).filter(|_| self.sources != sources) else {
            return id.repr.clone();
        };
        // The URL is percent-encoded, the directory is not, so the parts of the path are counted. What is below the directory
        // stays as cargo wrote it; the machine's own directory has no letter that is encoded.
        let (path, rest) = url.split_once('#').unwrap_or((url, ""));
        let below: String = path.split('/').skip(sources.components().count()).map(|part| format!("/{part}")).collect();
        format!("{SCHEME}{}{below}#{rest}", self.sources)
    }
}

/// What can happen to a machine beside a failing program.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MachineFailure {
    /// The kernel killed a process for lack of memory.
    OutOfMemory,
    /// There is no room for another file.
    FullDisk,
}

/// In KB: a disk with less counts as full. A compiler removes part of what it failed to write.
pub const LEAST_ROOM: u64 = 1024;

pub trait Machine {
    fn dirs(&self) -> &Dirs;

    /// Runs cargo in the sources with these variables; its messages are shown as they come, the output has their end.
    fn cargo(&self, args: &[String], environment: &[(&str, String)]) -> Result<Output>;

    /// What happened to the machine while cargo ran, if it failed.
    fn machine_failures(&self) -> Vec<MachineFailure>;

    /// Runs a program and returns what it wrote, whatever its status is.
    fn query(&self, program: &str, args: &[String]) -> Result<Output>;

    /// Makes files of the machine readable here; in the same order.
    fn bring(&self, paths: &[Utf8PathBuf]) -> Result<Vec<Utf8PathBuf>>;
}

/// This machine, with the pinned toolchain.
pub struct Local<'a> {
    ui: &'a Ui,
    toolchain: &'a Toolchain,
    dirs: Dirs,
}

impl<'a> Local<'a> {
    /// `target` is cargo's target directory.
    pub fn new(session: &'a Session, target: Utf8PathBuf, toolchain: &'a Toolchain) -> Result<Local<'a>> {
        let dirs = Dirs { sources: session.paths.sources(), target, crates: cargo_home()? };
        Ok(Local { ui: &session.ui, toolchain, dirs })
    }
}

impl Machine for Local<'_> {
    fn dirs(&self) -> &Dirs {
        &self.dirs
    }

    fn cargo(&self, args: &[String], environment: &[(&str, String)]) -> Result<Output> {
        let command = self.toolchain.run("cargo", args).dir(&self.dirs.sources);
        let command = environment.iter().fold(command, |command, (name, value)| command.env(name, value));
        command.shown(self.ui)
    }

    fn machine_failures(&self) -> Vec<MachineFailure> {
        // A linker maps its file: without room for it, it dies of a bus error and says no more.
        let room = Invocation::new("df", ["-Pk", self.dirs.sources.as_str()]).read(self.ui).unwrap_or_default();
        let room = room.lines().last().and_then(|line| line.split_whitespace().nth(3)?.parse().ok());
        if room.is_some_and(|kilobytes: u64| kilobytes < LEAST_ROOM) {
            vec![MachineFailure::FullDisk]
        } else {
            Vec::new()
        }
    }

    fn query(&self, program: &str, args: &[String]) -> Result<Output> {
        self.toolchain.run(program, args).output(self.ui)
    }

    fn bring(&self, paths: &[Utf8PathBuf]) -> Result<Vec<Utf8PathBuf>> {
        Ok(paths.to_vec())
    }
}

/// What a program answered on the machine, or an error with its last lines.
pub fn answer(machine: &dyn Machine, program: &str, args: &[String]) -> Result<String> {
    let output = machine.query(program, args)?;
    Invocation::new(program, args).succeeded(&output)?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
