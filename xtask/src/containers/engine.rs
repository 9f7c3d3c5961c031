//! Docker or podman, as what holds, runs and receives images. Both by their common command line.

use std::fmt;
use std::io::{Read, Write};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use camino::{Utf8Path, Utf8PathBuf};
use serde::Deserialize;

use crate::containers::labels::Owner;
use crate::oci::documents::Settings;
use crate::oci::reference;
use crate::support::command::{Invocation, not_found, tail};
use crate::support::files;
use crate::support::ui::Ui;

/// How long an image may take to load everything.
pub const CHECK: Duration = Duration::from_secs(60);

/// How long a daemon may take to say that it is there.
const ANSWER: Duration = Duration::from_secs(10);

/// How to mend that no daemon answers.
const START: &str = "start its daemon, or point DOCKER_HOST at one that runs";

/// How to mend that an image cannot be had.
pub const ANOTHER_IMAGE: &str =
    "check its name and that its registry is reached, or name another image with --builder-image or --base";

#[derive(Clone, Debug, PartialEq)]
pub struct Runtime {
    program: &'static str,
}

/// What the runtime says of an image that it has.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ImageInfo {
    /// The digest that names it: the configuration's, or the manifest's with a containerd image store.
    pub id: String,
    pub os: String,
    pub architecture: String,
    #[serde(default)]
    pub config: Option<Settings>,
    #[serde(rename = "RootFS")]
    pub root_fs: RootFs,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RootFs {
    /// Digests of the uncompressed layers, from the bottom up.
    #[serde(default)]
    pub layers: Vec<String>,
}

/// A runtime that answers and cannot run a container.
#[derive(Clone, Debug)]
pub struct Broken {
    pub program: &'static str,
    /// In its own words.
    pub why: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        write!(out, "{} cannot run a container: {}", self.program, self.why)
    }
}

const PROGRAMS: [&str; 2] = ["docker", "podman"];

impl Runtime {
    /// The first of docker and podman that answers, but for those of `left_out`; an error that says why none does.
    pub fn find(ui: &Ui, left_out: &[Broken]) -> Result<Runtime> {
        let mut reasons = Vec::new();
        for program in PROGRAMS {
            if let Some(broken) = left_out.iter().find(|broken| broken.program == program) {
                reasons.push(broken.to_string());
                continue;
            }
            match Runtime::named(ui, program) {
                Ok(runtime) => return Ok(runtime),
                Err(why) => reasons.push(format!("{why:#}")),
            }
        }
        bail!("no docker or podman answers ({})", reasons.join("; "))
    }

    /// The one with this name, if it answers.
    pub fn named(ui: &Ui, program: &'static str) -> Result<Runtime> {
        let runtime = Runtime { program };
        runtime.answers(ui).map(|()| runtime).with_context(|| program.to_owned())
    }

    /// Those that answer and cannot run a container: without an image there is nothing to try it with.
    pub fn broken(ui: &Ui) -> Vec<Broken> {
        let answering = PROGRAMS.into_iter().filter_map(|program| Runtime::named(ui, program).ok());
        answering.filter_map(|runtime| runtime.try_container(ui)).collect()
    }

    fn try_container(&self, ui: &Ui) -> Option<Broken> {
        let images = self.command(["image", "ls", "--quiet"]).read(ui).ok()?;
        let image = images.lines().next()?;
        let run = self.command(["run", "--rm", "--network", "none", "--entrypoint", "true", image]);
        let why = match run.output_within(ui, CHECK) {
            Ok(Some(output)) => match output.status.code() {
                // The runtime's own: that there is no such program in the image comes after all that may go wrong here.
                Some(125 | 126) => {
                    let said = String::from_utf8_lossy(&output.stderr).into_owned();
                    said.trim().lines().last().unwrap_or("it said nothing why").to_owned()
                }
                _ => return None,
            },
            Ok(None) => format!("no end within {} s", CHECK.as_secs()),
            Err(error) => format!("{error:#}"),
        };
        Some(Broken { program: self.program, why })
    }

    pub fn program(&self) -> &'static str {
        self.program
    }

    fn answers(&self, ui: &Ui) -> Result<()> {
        let format = if self.program == "docker" { "{{.Server.Version}}" } else { "{{.Version}}" };
        let command = Invocation::new(self.program, ["version", "--format", format]);
        let answer = match command.output_within(ui, ANSWER) {
            Err(error) if not_found(&error) => bail!("not installed"),
            other => other?,
        };
        match answer {
            Some(output) if output.status.success() => Ok(()),
            Some(output) => {
                let text = String::from_utf8_lossy(&output.stderr).into_owned();
                let why = text.trim().lines().last().unwrap_or("it failed without a word").trim();
                let remedy = match why.to_lowercase().contains("permission denied") {
                    true => "let this user reach it, as a rule by the group docker",
                    false => START,
                };
                bail!("{why}; {remedy}")
            }
            None => bail!("no answer within {} s; {START}", ANSWER.as_secs()),
        }
    }

    pub fn command<S: Into<String>>(&self, args: impl IntoIterator<Item = S>) -> Invocation {
        Invocation::new(self.program, args)
    }

    /// What it says of an image, by name or id; `None` if it has no such image.
    pub fn inspect(&self, ui: &Ui, reference: &str) -> Result<Option<ImageInfo>> {
        let command = self.command(["image", "inspect", reference]);
        let output = command.output(ui)?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr).to_lowercase();
            if ["no such image", "not known", "unable to find"].iter().any(|words| text.contains(words)) {
                return Ok(None);
            }
            command.succeeded(&output)?;
        }
        let mut found: Vec<ImageInfo> =
            serde_json::from_slice(&output.stdout).with_context(|| format!("reading what `{command}` wrote"))?;
        let mut info = found.pop().with_context(|| format!("`{command}` wrote nothing"))?;
        if !info.id.starts_with("sha256:") {
            info.id.insert_str(0, "sha256:");
        }
        Ok(Some(info))
    }

    /// Gives the image out as a tar in docker's format, read by `read`.
    pub fn save<T>(&self, ui: &Ui, id: &str, read: impl FnOnce(&mut dyn Read) -> Result<T>) -> Result<T> {
        let command = self.command(["save", id]);
        let mut output =
            command.expression(ui).stdin_null().reader().with_context(|| format!("starting `{command}`"))?;
        let result = read(&mut output);
        std::io::copy(&mut output, &mut std::io::sink()).with_context(|| format!("`{command}` failed"))?;
        result
    }

    /// Takes an archive in and returns the id that it has here.
    pub fn load(&self, ui: &Ui, write: impl FnOnce(&mut dyn Write) -> Result<()> + Send) -> Result<String> {
        let command = self.command(["load"]);
        let (reader, mut writer) = std::io::pipe().context("making a pipe")?;
        let expression = command.expression(ui).stdin_file(reader).stdout_capture().stderr_capture().unchecked();
        let running = expression.start().with_context(|| format!("starting `{command}`"))?;
        drop(expression);
        let written = write(&mut writer);
        drop(writer);
        let output = running.wait().with_context(|| format!("waiting for `{command}`"))?;
        command.succeeded(output)?;
        written.with_context(|| format!("writing to `{command}`"))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let id = text.lines().rev().find_map(|line| line.rsplit_once("sha256:")).map(|(_, id)| id.trim());
        id.map(|id| format!("sha256:{id}")).with_context(|| format!("`{command}` named no image: {text}"))
    }

    /// Runs the image's own command with `args` in place of its own, with no network and nothing writable; returns
    /// what it printed.
    pub fn check(&self, ui: &Ui, owner: &Owner, id: &str, args: &[String]) -> Result<String> {
        owner.remove_leftovers(ui, self)?;
        let name = owner.own("verify");
        let command = self.command(["run", "--rm", "--name", &name]).args(owner.labels());
        let command = command.args(["--network", "none", "--read-only", id]).args(args);
        let Some(output) = command.output_within(ui, CHECK)? else {
            self.command(["rm", "--force", "--volumes", &name]).read(ui)?;
            bail!("the image does not start: `{command}` did not end within {} s", CHECK.as_secs());
        };
        match output.status.code() {
            Some(0) => Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
            // Docker's and podman's own: the container was not started at all.
            Some(125) => bail!("{self} cannot start containers: `{command}` failed{}", tail(&output)),
            _ => bail!("the image does not start: `{command}` ended with {}{}", output.status, tail(&output)),
        }
    }

    /// Pulls an image, its progress on a terminal.
    pub fn pull(&self, ui: &Ui, reference: &str, limit: Duration) -> Result<()> {
        // Podman asks nobody for a name without a registry.
        let command = self.command(["pull", &reference::qualified(reference)]);
        let mut expression = command.expression(ui).stdin_null().unchecked();
        expression = match ui.terminal {
            true => expression.stdout_to_stderr(),
            false => expression.stdout_capture().stderr_capture(),
        };
        let running = expression.start().with_context(|| format!("starting `{command}`"))?;
        match running.wait_timeout(limit).with_context(|| format!("waiting for `{command}`"))? {
            Some(output) if output.status.success() => Ok(()),
            Some(output) => {
                let said = tail(output);
                let why = said.lines().last().unwrap_or("what it said stands above");
                bail!("{self} cannot pull {reference}: {why}\n{ANOTHER_IMAGE}")
            }
            None => {
                running.kill().with_context(|| format!("stopping `{command}`"))?;
                bail!(
                    "{self} cannot pull {reference}: no end within {} s; give it longer with --pull-timeout",
                    limit.as_secs()
                )
            }
        }
    }

    /// Pushes an image; the manifest's digest that the registry has then.
    pub fn push(&self, ui: &Ui, reference: &str) -> Result<String> {
        // Docker says it in its last line, podman writes it where it is told.
        if self.program == "docker" {
            let said = self.command(["push", reference]).read(ui)?;
            let digest = said.lines().rev().find_map(|line| line.split_once("digest: ")?.1.split(' ').next());
            return digest.map(str::to_owned).with_context(|| format!("docker named no digest: {said}"));
        }
        let folder = std::env::temp_dir().join(format!("xtask-push-{}", files::unique()));
        let folder = Utf8PathBuf::from_path_buf(folder).map_err(|path| anyhow!("{} is not UTF-8", path.display()))?;
        // Nobody else's, and no symlink that somebody put there.
        std::fs::create_dir(&folder).with_context(|| format!("making the folder {folder}"))?;
        let file = folder.join("digest");
        let pushed = self.command(["push", "--digestfile", file.as_str(), reference]).read(ui);
        let digest = pushed.and_then(|_| files::read_text(&file));
        files::remove(&folder)?;
        digest
    }

    /// Builds an image from a Dockerfile, in its folder.
    pub fn build(&self, ui: &Ui, owner: &Owner, file: &Utf8Path, name: &str) -> Result<()> {
        let folder = file.parent().context("a Dockerfile lies in a folder")?;
        let command = self.command(["build", "--force-rm"]).args(owner.labels());
        let command = command.args(["--tag", name, "--file", file.as_str(), folder.as_str()]);
        let output = command.expression(ui).stdin_null().stdout_to_stderr().unchecked().run();
        let output = output.with_context(|| format!("starting `{command}`"))?;
        if !output.status.success() {
            bail!("building {file} failed: `{command}` ended with {}; what it said stands above", output.status);
        }
        Ok(())
    }

    /// Runs a shell script by root in a fresh container without network, with a variable set; returns what it wrote.
    pub fn ask(&self, ui: &Ui, id: &str, variable: &str, script: &str) -> Result<String> {
        let command = self.command(["run", "--rm", "--network", "none", "--user", "0:0", "--env", variable]);
        command.args(["--entrypoint", "sh", id, "-c", script]).read(ui)
    }

    pub fn tag(&self, ui: &Ui, id: &str, name: &str) -> Result<()> {
        let tagged = self.command(["tag", id, name]).read(ui).map(drop);
        if !name.starts_with('[') {
            return tagged;
        }
        // Older engines take no IPv6 address for a registry.
        tagged.with_context(|| {
            format!("naming the image {name}: give the address a name, in DNS or /etc/hosts, and take that")
        })
    }

    /// Removes an image by its id, or its name.
    pub fn remove(&self, ui: &Ui, id: &str) -> Result<()> {
        self.command(["rmi", id]).read(ui).map(drop)
    }
}

impl fmt::Display for Runtime {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        write!(out, "{}", self.program)
    }
}
