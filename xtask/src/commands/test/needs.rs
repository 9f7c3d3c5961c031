//! What a test module needs, and whether this machine has it.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;

use anyhow::Result;
use serde::Deserialize;

use crate::containers::engine::{Broken, Engine};
use crate::support::command::Invocation;
use crate::support::ui::Ui;

/// `[package.metadata.test-needs]`: what a test module needs, by its name.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PackageMetadata {
    #[serde(default)]
    pub test_needs: BTreeMap<String, Need>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Need {
    engine: Option<NeededEngine>,
    /// Images that the container engine has.
    images: Vec<String>,
    /// Programs on PATH.
    programs: Vec<String>,
    /// Toolchains of rustup, by their channels.
    toolchains: Vec<String>,
    /// Only root can run it.
    root: bool,
    /// Takes minutes.
    pub long: bool,
}

#[derive(Clone, Copy, Deserialize, PartialEq)]
#[serde(rename_all = "kebab-case")]
enum NeededEngine {
    /// The engine that has the tested image.
    Any,
    /// Any of the two, even if the tested image is in the other.
    Docker,
    Podman,
}

/// The engines that work or do not.
pub struct Engines<'a> {
    /// The engine that has the tested image.
    pub any: &'a Result<Engine>,
    pub broken: &'a [Broken],
}

impl Need {
    /// What is missing, or why.
    pub fn missing(&self, ui: &Ui, engines: &Engines) -> Option<String> {
        let by_root = || std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
        if self.root && !by_root() {
            return Some("only root can run it".to_owned());
        }
        let dirs = std::env::var_os("PATH").unwrap_or_default();
        let there = |program: &String| std::env::split_paths(&dirs).any(|dir| dir.join(program).is_file());
        if let Some(programs) = absent(&self.programs, there) {
            return Some(format!("not on PATH: {programs}"));
        }
        if let Some(toolchains) = absent(&self.toolchains, |toolchain| is_installed(ui, toolchain)) {
            return Some(format!("rustup has no toolchain {toolchains}"));
        }
        let named = match self.engine {
            Some(NeededEngine::Docker) => Some("docker"),
            Some(NeededEngine::Podman) => Some("podman"),
            Some(NeededEngine::Any) | None => None,
        };
        // A test may start another engine as a program.
        let is_needed =
            |broken: &&Broken| named == Some(broken.program) || self.programs.iter().any(|name| name == broken.program);
        if let Some(broken) = engines.broken.iter().find(is_needed) {
            return Some(broken.to_string());
        }
        let named = named.map(|program| Engine::named(ui, program));
        match named.as_ref().unwrap_or(engines.any) {
            Err(why) => self.engine.map(|_| format!("{why:#}")),
            Ok(engine) => {
                let there = |image: &String| engine.inspect(ui, image).is_ok_and(|info| info.is_some());
                absent(&self.images, there).map(|images| format!("{engine} has no {images}; .ci/images makes them"))
            }
        }
    }
}

/// Asks for the list: rustup may install a toolchain when its compiler is started by name.
fn is_installed(ui: &Ui, toolchain: &str) -> bool {
    let list = Invocation::new("rustup", ["toolchain", "list"]).read(ui).unwrap_or_default();
    // The name ends with the target; of another release, with a date.
    let target = |line: &str| line.strip_prefix(toolchain)?.strip_prefix('-')?.chars().next();
    list.lines().filter_map(target).any(|first| !first.is_ascii_digit())
}

fn absent(names: &[String], there: impl Fn(&String) -> bool) -> Option<String> {
    let absent: Vec<&str> = names.iter().filter(|name| !there(name)).map(String::as_str).collect();
    (!absent.is_empty()).then(|| absent.join(", "))
}
