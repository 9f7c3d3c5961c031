//! Labels: which containers, volumes and images of an engine belong to this checkout.

use anyhow::Result;
use camino::Utf8Path;

use crate::containers::engine::Engine;
use crate::containers::engine::objects::Kind;
use crate::oci::digest::Digest;
use crate::support::command::Invocation;
use crate::support::session::Session;
use crate::support::ui::Ui;

/// Names the checkout by its path. Two machines, or two jobs of CI in containers, may have one at the same path and use
/// the same daemon. They share volumes on purpose, and the lock in the container keeps them apart.
const CHECKOUT: &str = "xtask.checkout";

/// Identifies the machine (since its last boot) or the container that started a container. A host name is not enough: two
/// jobs of CI may run in containers with the same name.
const MACHINE: &str = "xtask.machine";

/// The process that started it. While that process runs, the container is in use.
const PROCESS: &str = "xtask.process";

/// Marks a volume that belongs to one run alone.
const ISOLATED: &str = "xtask.isolated";
const YES: &str = "yes";

#[derive(Clone, Debug)]
pub struct Labels {
    checkout: String,
    machine: String,
}

impl Labels {
    pub fn new(session: &Session) -> Result<Labels> {
        let Session { ui, paths, .. } = session;
        let hashed = |text: &str| Digest::sha256(text.as_bytes()).prefix(12).to_owned();
        let name = Invocation::new("uname", ["-n"]).read(ui)?;
        // macOS has neither.
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let processes = std::fs::read_link("/proc/self/ns/pid").unwrap_or_default();
        let machine = hashed(&format!("{name} {} {}", boot.trim(), processes.display()));
        Ok(Labels { checkout: hashed(paths.image.as_str()), machine })
    }

    /// A name for a volume of this checkout.
    pub fn volume_name(&self, what: &str) -> String {
        format!("xtask-{}-{what}", self.checkout)
    }

    /// A name for a container, or a volume, of this process.
    pub fn process_name(&self, what: &str) -> String {
        format!("xtask-{what}-{}-{}-{}", self.checkout, self.machine, std::process::id())
    }

    /// Options that mark what is made as this checkout's.
    pub fn options(&self) -> [String; 6] {
        let process = std::process::id().to_string();
        let [checkout, machine, process] = [(CHECKOUT, &self.checkout), (MACHINE, &self.machine), (PROCESS, &process)]
            .map(|(name, value)| format!("{name}={value}"));
        let label = || "--label".to_owned();
        [label(), checkout, label(), machine, label(), process]
    }

    /// The option that marks a volume as this process's alone.
    pub fn isolated_label(&self) -> [String; 2] {
        ["--label".to_owned(), format!("{ISOLATED}={YES}")]
    }

    /// Removes the containers, with their own volumes, of runs on this machine that were killed.
    pub fn remove_leftovers(&self, ui: &Ui, engine: &Engine) -> Result<()> {
        // Podman matches a volume if one of several labels matches, so each volume is checked.
        let is_left = |kind, id: &str, isolated: &str| {
            let [machine, process, own] = engine.label_values(ui, kind, id, [MACHINE, PROCESS, ISOLATED]);
            machine == self.machine && own == isolated && !is_running(ui, &process)
        };
        let machine = format!("{MACHINE}={}", self.machine);
        for id in engine.labelled(ui, Kind::Container, &[self.checkout_label(), machine])? {
            if is_left(Kind::Container, &id, "") {
                // A container that is just ending cannot be removed, and removes itself.
                let _ = engine.remove_container(ui, &id);
            }
        }
        for name in engine.labelled(ui, Kind::Volume, &[self.checkout_label(), format!("{ISOLATED}={YES}")])? {
            if is_left(Kind::Volume, &name, YES) {
                let _ = engine.remove_volume(ui, &name);
            }
        }
        Ok(())
    }

    /// Removes this checkout's volumes, containers and built images; returns the number of volumes.
    pub fn remove_volumes(&self, ui: &Ui, engine: &Engine) -> Result<usize> {
        self.remove_leftovers(ui, engine)?;
        for id in engine.labelled(ui, Kind::Image, &[self.checkout_label()])? {
            engine.remove_image(ui, &id)?;
        }
        let volumes = engine.labelled(ui, Kind::Volume, &[self.checkout_label()])?;
        for name in &volumes {
            engine.remove_volume(ui, name)?;
        }
        Ok(volumes.len())
    }

    fn checkout_label(&self) -> String {
        format!("{CHECKOUT}={}", self.checkout)
    }
}

/// Whether a process of this machine runs. If another process has its number now, the leftovers stay until a later run.
fn is_running(ui: &Ui, process: &str) -> bool {
    if process.is_empty() || process == std::process::id().to_string() {
        return false;
    }
    match Utf8Path::new("/proc/self").exists() {
        true => Utf8Path::new("/proc").join(process).exists(),
        false => Invocation::new("ps", ["-p", process]).output(ui).is_ok_and(|output| output.status.success()),
    }
}
