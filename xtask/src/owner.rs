//! Which containers, volumes and images of a runtime are this checkout's: their labels say so.

use anyhow::Result;

use crate::files;
use crate::paths::Paths;
use crate::process::Invocation;
use crate::runtime::Runtime;
use crate::ui::Ui;

/// Names the checkout by its path. Two machines, or two jobs of CI in containers, may have one at the same path and use
/// the same daemon: they share volumes, which is what they want, and a container's lock keeps them apart.
const CHECKOUT: &str = "xtask.checkout";

/// Names the machine, or the container, that a container was started from: nobody else may take it for a leftover.
const MACHINE: &str = "xtask.machine";

#[derive(Clone, Debug)]
pub struct Owner {
    checkout: String,
    machine: String,
}

impl Owner {
    pub fn of(ui: &Ui, paths: &Paths) -> Result<Owner> {
        let hashed = |text: &str| files::without_algorithm(&files::digest(text.as_bytes()))[..12].to_owned();
        let machine = Invocation::new("uname", ["-n"]).read(ui)?;
        Ok(Owner { checkout: hashed(paths.image.as_str()), machine: hashed(&machine) })
    }

    /// A name for a volume of this checkout.
    pub fn volume(&self, what: &str) -> String {
        format!("xtask-{}-{what}", self.checkout)
    }

    /// A name for a container of this process.
    pub fn container(&self, what: &str) -> String {
        format!("xtask-{what}-{}-{}-{}", self.checkout, self.machine, std::process::id())
    }

    /// Options that mark what is made as this checkout's.
    pub fn labels(&self) -> [String; 4] {
        let label = |name: &str, value: &str| format!("{name}={value}");
        ["--label".to_owned(), label(CHECKOUT, &self.checkout), "--label".to_owned(), label(MACHINE, &self.machine)]
    }

    /// Removes the containers that a run of this machine left which was killed. The caller holds the lock: none is in use.
    pub fn remove_leftovers(&self, ui: &Ui, runtime: &Runtime) -> Result<()> {
        let machine = format!("label={MACHINE}={}", self.machine);
        let ids = self.list(ui, runtime, &["ps", "--all", "--filter", &machine])?;
        for id in ids {
            // One that ends by itself just now cannot be removed, and need not.
            runtime.command(["rm", "--force", "--volumes", &id]).output(ui)?;
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
