//! Containers that run one program to its end.

use anyhow::{Result, bail};

use crate::containers::engine::{CHECK, Engine};
use crate::support::command::tail;
use crate::support::ui::Ui;

/// What the kernel says of a program for another architecture, without an emulator.
pub const FOREIGN: &str = "exec format error";

impl Engine {
    /// Runs the image's own command with `args` in place of its own, with no network and nothing writable; returns
    /// its output.
    pub fn check(&self, ui: &Ui, name: &str, labels: &[String], id: &str, args: &[String]) -> Result<String> {
        let command = self.command(["run", "--rm", "--name", name]).args(labels);
        let command = command.args(["--network", "none", "--read-only", id]).args(args);
        let Some(output) = command.output_within(ui, CHECK)? else {
            self.remove_container(ui, name)?;
            bail!("the image does not start: `{command}` did not finish within {} s", CHECK.as_secs());
        };
        match output.status.code() {
            Some(0) => Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
            // Exit code of docker and podman themselves: the container was not started.
            Some(125) => bail!("{self} cannot start containers: `{command}` failed{}", tail(&output)),
            _ => bail!("the image does not start: `{command}` ended with {}{}", output.status, tail(&output)),
        }
    }

    /// Runs a shell script by root in a fresh container without network, with a variable set; returns what it wrote.
    pub fn query(&self, ui: &Ui, id: &str, variable: &str, script: &str) -> Result<String> {
        let command = self.command(["run", "--rm", "--network", "none", "--user", "0:0", "--env", variable]);
        command.args(["--entrypoint", "sh", id, "-c", script]).read(ui)
    }
}
