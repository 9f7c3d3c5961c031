//! A builder's container. Everything goes in and out as tar streams, nothing is mounted from this machine: so the daemon
//! may be another machine's, or the one that this process itself runs in. It has no network.
//!
//! The container's one process ends when its stdin does, which this process holds: however this one ends, the container
//! is gone.

mod config;
mod send;

use std::io::{BufRead, BufReader, Read};
use std::process::Output;

use anyhow::{Context, Result, bail};
use camino::Utf8PathBuf;

use crate::cargo::toolchain::cargo_home;
use crate::compile::machine::{Dirs, LEAST_ROOM, Machine, MachineFailure};
use crate::compile::vendor;
use crate::containers::engine::Engine;
use crate::containers::engine::containers::{Exec, NewContainer};
use crate::containers::labels::Labels;
use crate::environment::builder::{Builder, CHOICE};
use crate::oci::digest::Digest;
use crate::plan::BuildPlan;
use crate::support::command::{Invocation, tail};
use crate::support::container_paths::ContainerPaths;
use crate::support::files;
use crate::support::session::Session;
use crate::support::ui::Ui;
use crate::support::variables::{self, Registries};

pub const VENDOR_CONFIG: &str = "vendor.toml";

/// What the container runs: it holds the volume's lock, where there is a program to take it, until its stdin ends.
fn main_script(places: &ContainerPaths) -> String {
    format!(
        "if command -v flock >/dev/null; then \
           exec 9>{}/lock; flock -n 9 || {{ echo waiting; flock 9; }}; \
         fi; echo ready; exec cat",
        places.work
    )
}

pub struct Container<'a> {
    ui: &'a Ui,
    engine: Engine,
    id: String,
    places: ContainerPaths,
    dirs: Dirs,
    /// Where files that are brought here are put.
    received: Utf8PathBuf,
    /// What chooses the toolchain, where rustup does.
    environment: Option<(&'static str, String)>,
    /// Cargo wants to know them by name, even where it takes their crates from a directory.
    registries: Registries,
    /// Variables that the image sets and nobody may see.
    hidden: Vec<String>,
    volume: Volume,
    /// Ends the container when it is dropped.
    _stdin: std::io::PipeWriter,
}

impl<'a> Container<'a> {
    /// Starts the builder, with the sources and all crates in it.
    pub fn start(session: &'a Session, builder: &Builder, plan: &BuildPlan) -> Result<Container<'a>> {
        let Session { ui, paths, .. } = session;
        let toolchain = &plan.toolchain;
        let vendored = vendor::vendor(session)?;
        let (labels, places) = (Labels::new(session)?, paths.in_container());
        // Of a run that was ended before its container started: nothing else ends that one.
        labels.remove_leftovers(ui, &builder.engine)?;
        let volume = Volume::make(ui, &labels, builder, plan)?;
        let new = NewContainer {
            image: &builder.id,
            labels: &labels.options(),
            volume: &format!("{}:{}", volume.name, places.work),
            script: &main_script(&places),
        };
        let id = builder.engine.create(ui, &new).context("making the builder's container")?;
        let stdin = attach(ui, &builder.engine, &id)?;
        let container = Container {
            ui,
            engine: builder.engine.clone(),
            id,
            dirs: Dirs { sources: places.sources(), target: places.target(), crates: places.vendor.clone() },
            places,
            received: paths.received(),
            environment: builder.facts.chosen.then(|| (CHOICE, toolchain.channel.clone())),
            registries: Registries::read(paths, &cargo_home()?)?,
            hidden: builder.hidden.clone(),
            volume,
            _stdin: stdin,
        };
        container.send_crates(&vendored)?;
        container.send_sources(paths, &vendored)?;
        Ok(container)
    }

    fn exec(&self, program: &str, args: &[String], variables: &[(&str, String)], dir: Option<&str>) -> Invocation {
        let always = variables::SET.map(|(name, value)| (name, value.to_owned()));
        let set: Vec<(&str, String)> =
            always.into_iter().chain(self.environment.clone()).chain(variables.to_vec()).collect();
        let is_set = |hidden: &&String| set.iter().any(|(name, _)| name == hidden);
        let unset: Vec<String> = self.hidden.iter().filter(|hidden| !is_set(hidden)).cloned().collect();
        self.engine.exec(&self.id, &Exec { program, args, set: &set, unset: &unset, dir })
    }

    fn shell(&self, script: &str) -> Result<String> {
        self.exec("sh", &["-c".to_owned(), script.to_owned()], &[], None).read(self.ui)
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        // Gone when this returns. If this process is ended before, the container ends with its stdin.
        let _ = self.engine.remove_container(self.ui, &self.id);
        if self.volume.isolated {
            let _ = self.engine.remove_volume(self.ui, &self.volume.name);
        }
    }
}

/// What keeps the crates, the sources and what was compiled of them.
struct Volume {
    name: String,
    /// Of this run alone: gone with its container.
    isolated: bool,
}

impl Volume {
    fn make(ui: &Ui, labels: &Labels, builder: &Builder, plan: &BuildPlan) -> Result<Volume> {
        let (engine, toolchain, isolated) = (&builder.engine, &plan.toolchain, plan.isolated);
        let key = Digest::sha256(format!("{} {} {}", builder.id, toolchain.channel, toolchain.target).as_bytes());
        let name = match isolated {
            true => labels.process_name("isolated"),
            false => labels.volume_name(&format!("work-{}", key.prefix(16))),
        };
        if !engine.has_volume(ui, &name)? {
            let own = isolated.then(|| labels.isolated_label()).into_iter().flatten();
            let labels: Vec<String> = labels.options().into_iter().chain(own).collect();
            engine.create_volume(ui, &name, &labels)?;
        }
        Ok(Volume { name, isolated })
    }
}

impl Machine for Container<'_> {
    fn dirs(&self) -> &Dirs {
        &self.dirs
    }

    fn cargo(&self, args: &[String], environment: &[(&str, String)]) -> Result<Output> {
        let config =
            ["--config".to_owned(), self.places.incoming.join(VENDOR_CONFIG).into_string(), "--offline".to_owned()];
        let (command, rest) = args.split_first().context("cargo needs a command")?;
        let args = [std::slice::from_ref(command), &config, rest].concat();
        let registries = self.registries.variables.iter().map(|(name, index)| (name.as_str(), index.clone()));
        let environment: Vec<(&str, String)> = environment.iter().cloned().chain(registries).collect();
        self.exec("cargo", &args, &environment, Some(self.dirs.sources.as_str())).shown(self.ui)
    }

    fn machine_failures(&self) -> Vec<MachineFailure> {
        // Of cgroup 2 and of cgroup 1; `oom_kill` counts what the kernel killed in this container for lack of memory. Of
        // `df` the fourth word is the room in KB.
        let script = format!(
            "cat /sys/fs/cgroup/memory.events /sys/fs/cgroup/memory/memory.oom_control 2>/dev/null; \
             set -- $(df -Pk {} | tail -n 1); [ \"$4\" -ge {LEAST_ROOM} ] || echo full",
            self.places.work
        );
        let Ok(answer) = self.shell(&script) else {
            return if self.engine.is_running(self.ui, &self.id) { Vec::new() } else { vec![MachineFailure::Gone] };
        };
        let killed = |line: &str| line.strip_prefix("oom_kill ").is_some_and(|count| count.trim() != "0");
        let machine_failure = |line: &str| match line {
            "full" => Some(MachineFailure::FullDisk),
            line => killed(line).then_some(MachineFailure::OutOfMemory),
        };
        answer.lines().filter_map(machine_failure).collect()
    }

    fn query(&self, program: &str, args: &[String]) -> Result<Output> {
        self.exec(program, args, &[], None).output(self.ui)
    }

    fn bring(&self, paths: &[Utf8PathBuf]) -> Result<Vec<Utf8PathBuf>> {
        let list: Vec<String> =
            paths.iter().map(|path| format!("'{}'", path.as_str().replace('\'', r"'\''"))).collect();
        // Under their own paths, links followed, in one directory that goes out as one stream.
        let out = &self.places.outgoing;
        self.shell(&format!(
            "set -e; rm -rf {out}; for file in {}; do mkdir -p \"{out}${{file%/*}}\"; cp -L \"$file\" \"{out}$file\"; done",
            list.join(" ")
        ))?;
        let command = self.engine.copy_out_of(&self.id, out.as_str());
        let reader = command.expression(self.ui).stdin_null().reader();
        let mut archive = tar::Archive::new(reader.with_context(|| format!("starting `{command}`"))?);
        for entry in archive.entries().with_context(|| format!("reading what `{command}` wrote"))? {
            let mut entry = entry.with_context(|| format!("reading what `{command}` wrote"))?;
            let path = Utf8PathBuf::from(String::from_utf8_lossy(&entry.path_bytes()).into_owned());
            if let (true, Ok(inside)) = (entry.header().entry_type().is_file(), path.strip_prefix("out")) {
                if inside.components().any(|part| part.as_str() == "..") {
                    bail!("`{command}` wrote the path {path}");
                }
                let mut content = Vec::new();
                entry.read_to_end(&mut content).with_context(|| format!("reading {path} from the builder"))?;
                let target = self.received.join(inside);
                if std::fs::read(&target).is_ok_and(|old| old == content) {
                    continue;
                }
                files::write_atomically(&target, |out| Ok(out.write_all(&content)?))?;
            }
        }
        let here = |path: &Utf8PathBuf| self.received.join(path.strip_prefix("/").unwrap_or(path));
        Ok(paths.iter().map(here).collect())
    }
}

/// Starts the container and waits until it says that it runs.
fn attach(ui: &Ui, engine: &Engine, id: &str) -> Result<std::io::PipeWriter> {
    let command = engine.start(id);
    let (stdin, writer) = std::io::pipe().context("making a pipe")?;
    // What the client itself has to say, a warning as a rule, goes to stderr.
    let expression = command.expression(ui).stdin_file(stdin).stderr_capture().unchecked();
    let mut output = BufReader::new(expression.reader().with_context(|| format!("starting `{command}`"))?);
    drop(expression);
    let mut line = String::new();
    while output.read_line(&mut line).with_context(|| format!("reading what `{command}` wrote"))? > 0 {
        match line.trim() {
            "ready" => {
                // Nobody reads it to its end: the client ends with the container.
                std::mem::forget(output);
                return Ok(writer);
            }
            "waiting" => ui.status("Waiting", "for another run that compiles in the same volume"),
            _ => {}
        }
        line.clear();
    }
    // It ended by itself.
    let ended = output.get_ref().try_wait().with_context(|| format!("waiting for `{command}`"))?;
    bail!("the builder's container does not start: `{command}` failed{}", ended.map(tail).unwrap_or_default())
}
