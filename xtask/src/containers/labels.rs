//! Which containers, volumes and images of a runtime are this checkout's: their labels say so.

use anyhow::Result;
use camino::Utf8Path;

use crate::containers::engine::Runtime;
use crate::support::command::Invocation;
use crate::support::files;
use crate::support::paths::Paths;
use crate::support::ui::Ui;

/// Names the checkout by its path. Two machines, or two jobs of CI in containers, may have one at the same path and use
/// the same daemon: they share volumes, which is what they want, and a container's lock keeps them apart.
const CHECKOUT: &str = "xtask.checkout";

/// Names the machine since it was started, or the container, that a container was started from. Its name alone is not enough: two
/// jobs of CI have containers of one name.
const MACHINE: &str = "xtask.machine";

/// The process there that started it: while that one runs, it is no leftover.
const PROCESS: &str = "xtask.process";

/// Marks a volume that one run has for itself.
const ISOLATED: &str = "xtask.isolated";
const YES: &str = "yes";

#[derive(Clone, Debug)]
pub struct Owner {
    checkout: String,
    machine: String,
}

impl Owner {
    pub fn of(ui: &Ui, paths: &Paths) -> Result<Owner> {
        let hashed = |text: &str| files::without_algorithm(&files::digest(text.as_bytes()))[..12].to_owned();
        let name = Invocation::new("uname", ["-n"]).read(ui)?;
        // Neither is there on macOS.
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let processes = std::fs::read_link("/proc/self/ns/pid").unwrap_or_default();
        let machine = hashed(&format!("{name} {} {}", boot.trim(), processes.display()));
        Ok(Owner { checkout: hashed(paths.image.as_str()), machine })
    }

    /// A name for a volume of this checkout.
    pub fn volume(&self, what: &str) -> String {
        format!("xtask-{}-{what}", self.checkout)
    }

    /// A name for a container, or a volume, of this process.
    pub fn own(&self, what: &str) -> String {
        format!("xtask-{what}-{}-{}-{}", self.checkout, self.machine, std::process::id())
    }

    /// Options that mark what is made as this checkout's.
    pub fn labels(&self) -> [String; 6] {
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

    /// Removes the containers, and the volumes of their own, that runs of this machine left which were killed.
    pub fn remove_leftovers(&self, ui: &Ui, runtime: &Runtime) -> Result<()> {
        // Podman takes a volume for one of several labels, so each is looked at.
        let is_left = |inspect: &[&str], labels: &str, id: &str, isolated: &str| {
            let label = |name: &str| format!("{{{{index {labels} \"{name}\"}}}}");
            let format = [label(MACHINE), label(PROCESS), label(ISOLATED)].join("|");
            let said =
                runtime.command(inspect.iter().copied()).args(["--format", &format, id]).read(ui).unwrap_or_default();
            let said: Vec<&str> = said.split('|').collect();
            matches!(said.as_slice(), [machine, process, own] if *machine == self.machine && *own == isolated && !is_running(ui, process))
        };
        let machine = format!("label={MACHINE}={}", self.machine);
        for id in self.list(ui, runtime, &["ps", "--all", "--filter", &machine])? {
            if is_left(&["inspect"], ".Config.Labels", &id, "") {
                // One that ends by itself just now cannot be removed, and need not.
                runtime.command(["rm", "--force", "--volumes", &id]).output(ui)?;
            }
        }
        let isolated = format!("label={ISOLATED}={YES}");
        for name in self.list(ui, runtime, &["volume", "ls", "--filter", &isolated])? {
            if is_left(&["volume", "inspect"], ".Labels", &name, YES) {
                runtime.command(["volume", "rm", &name]).output(ui)?;
            }
        }
        Ok(())
    }

    /// Removes the volumes, and what containers and built images there are; says how many volumes.
    pub fn remove_volumes(&self, ui: &Ui, runtime: &Runtime) -> Result<usize> {
        self.remove_leftovers(ui, runtime)?;
        for id in self.list(ui, runtime, &["image", "ls"])? {
            runtime.command(["rmi", "--force", &id]).read(ui)?;
        }
        let volumes = self.list(ui, runtime, &["volume", "ls"])?;
        for name in &volumes {
            runtime.command(["volume", "rm", name]).read(ui)?;
        }
        Ok(volumes.len())
    }

    fn list(&self, ui: &Ui, runtime: &Runtime, command: &[&str]) -> Result<Vec<String>> {
        let filter = format!("label={CHECKOUT}={}", self.checkout);
        let ids = runtime.command(command.iter().copied()).args(["--quiet", "--filter", &filter]).read(ui)?;
        let mut ids: Vec<String> = ids.lines().map(str::to_owned).collect();
        ids.sort();
        // An image is listed once for each of its names.
        ids.dedup();
        Ok(ids)
    }
}

/// Whether a process of this machine runs. Another one may have its number by now: then what it left stays a while longer.
fn is_running(ui: &Ui, process: &str) -> bool {
    if process.is_empty() || process == std::process::id().to_string() {
        return false;
    }
    match Utf8Path::new("/proc/self").exists() {
        true => Utf8Path::new("/proc").join(process).exists(),
        false => Invocation::new("ps", ["-p", process]).output(ui).is_ok_and(|output| output.status.success()),
    }
}
