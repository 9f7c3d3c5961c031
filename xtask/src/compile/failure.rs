//! Explains a failed cargo run: which plugin failed, and what the machine lacked. Cargo's own messages were shown before.

use std::error;
use std::fmt;
use std::process::Output;

use anyhow::{Error, anyhow};
use camino::Utf8Path;

use crate::compile::machine::{Machine, MachineFailure};
use crate::compile::tools;
use crate::environment::options::BuildEnvironment;
use crate::plan::BuildPlan;
use crate::support::files::FULL;

/// How programs say that they tried to reach something: glibc, musl, busybox, Rust, curl.
const NETWORK: [&str; 8] = [
    "Network is unreachable",
    "Network unreachable",
    "os error 101",
    "Temporary failure in name resolution",
    "Name does not resolve",
    "bad address '",
    "failed to lookup address information",
    "Could not resolve host",
];

/// How much of what was left out is named.
const MOST_SHOWN: usize = 10;

/// The error of a cargo run that did not compile some plugins, and all else that does not depend on them.
#[derive(Debug)]
struct NotCompiled {
    plugins: Vec<String>,
    message: String,
}

impl fmt::Display for NotCompiled {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str(&self.message)
    }
}

impl error::Error for NotCompiled {}

/// The plugins that did not compile, by their names, if this is the error and nothing else failed.
pub fn not_compiled(error: &Error) -> &[String] {
    error.downcast_ref().map_or(&[], |NotCompiled { plugins, .. }| plugins)
}

/// The error for a failed cargo run; `stderr` has the end of its output.
pub fn explain(plan: &BuildPlan, machine: &dyn Machine, output: &Output) -> Error {
    let machine_failures = machine.machine_failures();
    let said = plain(&String::from_utf8_lossy(&output.stderr));
    let names = failed(&said);
    let parts: Vec<String> = names.iter().map(|name| part(plan, name)).collect();
    let failed = if parts.is_empty() { "the host and its plugins".to_owned() } else { parts.join(", ") };
    let plugins = if names.iter().all(|name| is_plugin(plan, name)) { names } else { Vec::new() };
    let without = match plugins.as_slice() {
        [] => String::new(),
        plugins => format!("; `--without {}` builds the others", plugins.join(",")),
    };
    let causes: String = causes(plan, machine.dirs().target.as_path(), &machine_failures, &said)
        .iter()
        .map(|cause| format!("\n  - {cause}"))
        .collect();
    let message = format!("compiling {failed} failed ({}); see cargo's messages above{without}{causes}", output.status);
    if plugins.is_empty() { anyhow!(message) } else { Error::new(NotCompiled { plugins, message }) }
}

/// Without colours, and without what a progress line wrote over itself.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        match character {
            '\x1b' => drop(rest.find(char::is_ascii_alphabetic)),
            '\r' => plain.push('\n'),
            other => plain.push(other),
        }
    }
    plain
}

/// The packages that cargo names as failed.
fn failed(said: &str) -> Vec<String> {
    let starts = ["error: could not compile `", "error: failed to run custom build command for `"];
    let name = |line: &str| -> Option<String> {
        let rest = starts.iter().find_map(|start| line.strip_prefix(start))?;
        rest.split(['`', ' ']).next().map(str::to_owned)
    };
    let mut names: Vec<String> = said.lines().filter_map(name).collect();
    names.sort();
    names.dedup();
    names
}

fn is_plugin(plan: &BuildPlan, name: &str) -> bool {
    plan.plugins.iter().any(|plugin| plugin.name == name)
}

/// A failed package, as what it is here.
fn part(plan: &BuildPlan, name: &str) -> String {
    match plan.plugins.iter().find(|plugin| plugin.name == name) {
        Some(plugin) => format!("the plugin {name} ({})", plugin.path),
        None if name == plan.host.package => format!("the host {name}"),
        None if name == plan.host.sdk => format!("the SDK {name}"),
        None => format!("the crate {name}"),
    }
}

fn causes(plan: &BuildPlan, target: &Utf8Path, machine_failures: &[MachineFailure], said: &str) -> Vec<String> {
    let has = |words: &str| said.contains(words);
    let builder = match &plan.environment {
        BuildEnvironment::Local => None,
        BuildEnvironment::Container(builder) => Some(&builder.engine),
    };
    let mut causes = tools::missing(said, &plan.environment);
    if has("No space left on device") || machine_failures.contains(&MachineFailure::FullDisk) {
        causes.push(match builder {
            None => format!("writing into {target}: {FULL}"),
            Some(engine) => format!(
                "the builder's disk is full: `{engine} system df` shows what fills it, and `cargo xtask clean --volumes` \
                 removes the volumes of this checkout"
            ),
        });
    }
    if machine_failures.contains(&MachineFailure::OutOfMemory) || has("(signal: 9, SIGKILL: kill)") {
        let place = builder.map_or("this machine".to_owned(), |engine| format!("{engine}'s containers"));
        causes.push(format!(
            "a compiler was killed, probably because memory ran out (OOM); give {place} more memory, or compile fewer crates \
             at once with CARGO_BUILD_JOBS=1"
        ));
    }
    // If a file was left out, cargo and macros only say that it does not exist.
    if has("(os error 2)") || has("[E0583]") {
        let shown: Vec<String> = plan.left_out.iter().take(MOST_SHOWN).map(ToString::to_string).collect();
        let more = plan.left_out.len() - shown.len();
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        if !shown.is_empty() {
            causes.push(format!(
                "a file is missing; the copy of the sources leaves these out: {}{more}",
                shown.join(", ")
            ));
        }
    }
    if builder.is_some() && NETWORK.iter().any(|words| has(words)) {
        causes.push(
            "something tried to use the network, which is disabled while compiling; add what a build script downloads to its \
             crate"
                .to_owned(),
        );
    }
    causes
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn colours_and_progress_are_no_part_of_a_message() {
        let text =
            "\x1b[1m\x1b[32m   Building\x1b[0m [=> ] 1/2\r\x1b[K\x1b[1m\x1b[31merror\x1b[0m\x1b[1m:\x1b[0m could not";
        assert_eq!(plain(text), "   Building [=> ] 1/2\nerror: could not");
    }
}
