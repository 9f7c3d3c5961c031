//! A builder's container. Everything goes in and out through one connection to it, nothing is mounted from this machine: so the
//! daemon may be another machine's, or the one that this process itself runs in. It has no network.

mod config;
mod conversation;
mod send;
mod tar;

use std::process::Output;

use anyhow::{Context, Result};
use camino::Utf8PathBuf;

use crate::cargo::toolchain::cargo_home;
use crate::compile::container::conversation::Conversation;
use crate::compile::machine::{Dirs, LEAST_ROOM, Machine, MachineFailure};
use crate::compile::vendor;
use crate::containers::engine::Engine;
use crate::containers::engine::containers::NewContainer;
use crate::containers::labels::Labels;
use crate::environment::builder::{Builder, CHOICE};
use crate::oci::digest::Digest;
use crate::plan::BuildPlan;
use crate::support::command::Invocation;
use crate::support::container_paths::ContainerPaths;
use crate::support::files;
use crate::support::session::Session;
use crate::support::ui::Ui;
use crate::support::variables::{self, Registries};

/// The name of the configuration in the container.
const CONFIG: &str = "vendor.toml";

pub struct Container<'a> {
    ui: &'a Ui,
    engine: Engine,
    conversation: Conversation,
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
}

impl<'a> Container<'a> {
    /// Starts the builder, with the sources and all crates in it.
    pub fn start(session: &'a Session, builder: &Builder, plan: &BuildPlan) -> Result<Container<'a>> {
        let Session { ui, paths, .. } = session;
        let toolchain = &plan.toolchain;
        let crates = vendor::crates(session)?;
        let (labels, places) = (Labels::new(session)?, paths.in_container());
        // Of a run that was ended before its container started: nothing else ends that one.
        labels.remove_leftovers(ui, &builder.engine)?;
        let volume = Volume::make(ui, &labels, builder, plan)?;
        let new = NewContainer {
            image: &builder.id,
            labels: &labels.options(),
            volume: &format!("{}:{}", volume.name, places.work),
            script: &Conversation::script(places.work.as_str()),
        };
        let id = builder.engine.create(ui, &new).context("making the builder's container")?;
        let container = Container {
            ui,
            engine: builder.engine.clone(),
            conversation: Conversation::start(ui, &builder.engine, id)?,
            dirs: Dirs { sources: places.sources(), target: places.target(), crates: places.vendor.clone() },
            places,
            received: paths.received(),
            environment: builder.facts.chosen.then(|| (CHOICE, toolchain.channel.clone())),
            registries: Registries::read(paths, &cargo_home()?)?,
            hidden: builder.hidden.clone(),
            volume,
        };
        container.send_crates(session, &crates)?;
        container.send_sources(paths, &crates)?;
        Ok(container)
    }

    /// A program with its environment: by `env`, which can also unset a variable.
    fn command(&self, program: &str, args: &[String], variables: &[(&str, String)]) -> Invocation {
        let always = variables::SET.map(|(name, value)| (name, value.to_owned()));
        let set: Vec<(&str, String)> =
            always.into_iter().chain(self.environment.clone()).chain(variables.to_vec()).collect();
        let is_set = |hidden: &&String| set.iter().any(|(name, _)| name == hidden);
        let unset = self.hidden.iter().filter(|hidden| !is_set(hidden)).flat_map(|name| ["-u", name]);
        let set = set.iter().map(|(name, value)| format!("{name}={value}"));
        Invocation::new("env", unset).args(set).args([program]).args(args.iter().cloned())
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        self.conversation.end(self.ui);
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
        let config = ["--config".to_owned(), self.places.incoming.join(CONFIG).into_string(), "--offline".to_owned()];
        let (command, rest) = args.split_first().context("cargo needs a command")?;
        let args = [std::slice::from_ref(command), &config, rest].concat();
        let registries = self.registries.variables.iter().map(|(name, index)| (name.as_str(), index.clone()));
        let environment: Vec<(&str, String)> = environment.iter().cloned().chain(registries).collect();
        let command = self.command("cargo", &args, &environment).dir(&self.dirs.sources);
        self.ui.echo(&command);
        self.conversation.show(&command.script())
    }

    fn machine_failures(&self) -> Vec<MachineFailure> {
        // Of cgroup 2 and of cgroup 1; `oom_kill` counts what the kernel killed in this container for lack of memory. Of
        // `df` the fourth word is the room in KB. A full disk may not take what a program writes, so the status says it.
        let script = format!(
            "killed=0; cat /sys/fs/cgroup/memory.events /sys/fs/cgroup/memory/memory.oom_control 2>/dev/null | grep -q \
             '^oom_kill [1-9]' && killed=1; set -- $(df -Pk {} | tail -n 1); [ \"$4\" -ge {LEAST_ROOM} ] || \
             exit $((killed + 2)); exit $killed",
            self.places.work
        );
        let status = self.conversation.ask(&script).ok().and_then(|output| output.status.code()).unwrap_or_default();
        let failures = [(1, MachineFailure::OutOfMemory), (2, MachineFailure::FullDisk)];
        failures.into_iter().filter(|(bit, _)| status & bit != 0).map(|(_, failure)| failure).collect()
    }

    fn query(&self, program: &str, args: &[String]) -> Result<Output> {
        let command = self.command(program, args, &[]);
        self.ui.echo(&command);
        self.conversation.ask(&command.script())
    }

    fn bring(&self, paths: &[Utf8PathBuf]) -> Result<Vec<Utf8PathBuf>> {
        // Under their own paths.
        let here = |path: &str| self.received.join(path.trim_start_matches('/'));
        self.conversation.files(paths.iter().map(|path| path.as_str()), |path, content| {
            files::write_changed(&here(path), &content).map(drop)
        })?;
        Ok(paths.iter().map(|path| here(path.as_str())).collect())
    }
}
