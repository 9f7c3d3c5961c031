//! A container that stays while programs are started in it, and the volumes that outlive it.

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
    /// A shell script that root runs; the container ends with it.
    pub script: &'a str,
}

/// A program in a container.
pub struct Exec<'a> {
    pub program: &'a str,
    pub args: &'a [String],
    pub set: &'a [(&'a str, String)],
    pub unset: &'a [String],
    pub dir: Option<&'a str>,
}

impl Engine {
    /// Creates a container without network, which is removed when it ends; returns its id.
    pub fn create(&self, ui: &Ui, new: &NewContainer) -> Result<String> {
        let create = self.command(["create", "--interactive", "--rm", "--network", "none"]).args(new.labels);
        let create = create.args(["--volume", new.volume, "--user", "0:0", "--entrypoint", "sh", new.image]);
        create.args(["-c", new.script]).read(ui)
    }

    /// Starts it, with its stdin and stdout.
    pub fn start(&self, id: &str) -> Invocation {
        self.command(["start", "--attach", "--interactive", id])
    }

    pub fn exec(&self, id: &str, exec: &Exec) -> Invocation {
        let mut command = self.command(["exec"]);
        for (name, value) in exec.set {
            command = command.args(["--env".to_owned(), format!("{name}={value}")]);
        }
        if let Some(dir) = exec.dir {
            command = command.args(["--workdir", dir]);
        }
        command = command.args([id]);
        if !exec.unset.is_empty() {
            let unset = exec.unset.iter().flat_map(|name| ["-u", name]);
            command = command.args(["env"]).args(unset);
        }
        command.args([exec.program]).args(exec.args)
    }

    /// Unpacks the tar on its stdin into the container's root.
    pub fn copy_into(&self, id: &str) -> Invocation {
        self.command(["cp", "-", &format!("{id}:/")])
    }

    /// Writes a directory of the container to stdout as a tar.
    pub fn copy_out_of(&self, id: &str, path: &str) -> Invocation {
        self.command(["cp", &format!("{id}:{path}"), "-"])
    }

    pub fn is_running(&self, ui: &Ui, id: &str) -> bool {
        let answer = self.command(["inspect", "--format", "{{.State.Running}}", id]).read(ui);
        answer.is_ok_and(|answer| answer == "true")
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
