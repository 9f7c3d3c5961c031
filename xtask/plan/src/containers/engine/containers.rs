//! A container that is talked to while it runs, and the volumes that outlive it.

use anyhow::Result;

use crate::containers::engine::Engine;
use crate::support::command::Invocation;
use crate::support::ui::Ui;

/// How a container is made.
pub struct NewContainer<'a> {
    pub image: &'a str,
    pub labels: &'a [String],
    /// `NAME:PATH`.
    pub volume: &'a str,
    /// The arguments of a shell that root runs; the container ends with it.
    pub script: &'a [String],
}

impl Engine {
    /// Creates a container without network, which is removed when it ends; returns its id. What it writes is kept in no log.
    pub fn create(&self, ui: &Ui, new: &NewContainer) -> Result<String> {
        let create = self.command(["create", "--interactive", "--rm", "--network", "none", "--log-driver", "none"]);
        let create = create.args(new.labels).args(["--volume", new.volume, "--user", "0:0"]);
        create.args(["--entrypoint", "sh", new.image]).args(new.script.iter().cloned()).read(ui)
    }

    /// Starts it, with its stdin and stdout.
    pub fn start(&self, id: &str) -> Invocation {
        self.command(["start", "--attach", "--interactive", id])
    }

    /// Also removes the volumes that belong to this container alone.
    pub fn remove_container(&self, ui: &Ui, id: &str) -> Result<()> {
        self.command(["rm", "--force", "--volumes", id]).read(ui).map(drop)
    }

    pub fn has_volume(&self, ui: &Ui, name: &str) -> Result<bool> {
        Ok(self.command(["volume", "inspect", name]).output(ui)?.status.success())
    }

    pub fn create_volume(&self, ui: &Ui, name: &str, labels: &[String]) -> Result<()> {
        self.command(["volume", "create"]).args(labels).args([name]).read(ui).map(drop)
    }

    pub fn remove_volume(&self, ui: &Ui, name: &str) -> Result<()> {
        self.command(["volume", "rm", name]).read(ui).map(drop)
    }
}
