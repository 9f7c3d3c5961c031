//! Images: inspect, save, load, pull, push, build, tag, remove.

use std::io::{Read, Write};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use camino::Utf8Path;
use serde::Deserialize;

use crate::containers::engine::Engine;
use crate::oci::digest::Digest;
use crate::oci::documents::Settings;
use crate::oci::reference;
use crate::support::command::tail;
use crate::support::files;
use crate::support::ui::Ui;

/// How to fix that an image is not available.
pub const ANOTHER_IMAGE: &str =
    "check its name and that its registry is reachable, or choose another image with --builder-image or --base";

/// What the container engine says of an image that it has.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ImageInfo {
    /// The digest that identifies it: the configuration's, or with a containerd image store the manifest's.
    pub id: String,
    pub os: String,
    pub architecture: String,
    #[serde(default)]
    pub config: Option<Settings>,
    /// Its names.
    #[serde(default)]
    pub repo_tags: Option<Vec<String>>,
    /// The names with a digest under which registries have it.
    #[serde(default)]
    pub repo_digests: Option<Vec<String>>,
    #[serde(rename = "RootFS")]
    pub root_fs: RootFs,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RootFs {
    /// Digests of the uncompressed layers, from the bottom up.
    #[serde(default)]
    pub layers: Vec<Digest>,
}

impl Engine {
    /// What it knows about an image, by name or id; `None` if it has no such image.
    pub fn inspect(&self, ui: &Ui, reference: &str) -> Result<Option<ImageInfo>> {
        let command = self.command(["image", "inspect", reference]);
        let output = command.output(ui)?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr).to_lowercase();
            if ["no such image", "not known", "unable to find"].iter().any(|words| text.contains(words)) {
                return Ok(None);
            }
        }
        command.succeeded(&output)?;
        let found: Vec<ImageInfo> =
            serde_json::from_slice(&output.stdout).with_context(|| format!("reading what `{command}` wrote"))?;
        let mut info = found.into_iter().next().with_context(|| format!("`{command}` wrote nothing"))?;
        if !info.id.starts_with("sha256:") {
            info.id.insert_str(0, "sha256:");
        }
        Ok(Some(info))
    }

    /// Exports the image as a tar in docker's format; `read` reads it.
    pub fn save<T>(&self, ui: &Ui, id: &str, read: impl FnOnce(&mut dyn Read) -> Result<T>) -> Result<T> {
        let command = self.command(["save", id]);
        let mut output =
            command.expression(ui).stdin_null().reader().with_context(|| format!("starting `{command}`"))?;
        let result = read(&mut output);
        std::io::copy(&mut output, &mut std::io::sink()).with_context(|| format!("`{command}` failed"))?;
        result
    }

    /// Loads an archive and returns the id of the loaded image.
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

    /// Pulls an image, its progress on a terminal.
    pub fn pull(&self, ui: &Ui, reference: &str, limit: Duration) -> Result<()> {
        // Podman does not search registries for a name without a registry.
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
                let why = said.lines().last().unwrap_or("see its output above");
                bail!("{self} cannot pull {reference}: {why}\n{ANOTHER_IMAGE}")
            }
            None => {
                running.kill().with_context(|| format!("stopping `{command}`"))?;
                bail!(
                    "{self} cannot pull {reference}: not finished after {} s; allow more time with --pull-timeout",
                    limit.as_secs()
                )
            }
        }
    }

    /// Pushes an image; returns the manifest's digest in the registry. Podman writes its answer to `file`, which is removed.
    pub fn push(&self, ui: &Ui, reference: &str, file: &Utf8Path) -> Result<String> {
        // Docker prints the digest in its last line, podman writes it to a file.
        if self.program == "docker" {
            let said = self.command(["push", reference]).read(ui)?;
            let digest = said.lines().rev().find_map(|line| line.split_once("digest: ")?.1.split(' ').next());
            return digest.map(str::to_owned).with_context(|| format!("docker named no digest: {said}"));
        }
        let pushed = self.command(["push", "--digestfile", file.as_str(), reference]).read(ui);
        let digest = pushed.and_then(|_| files::read_text(file));
        files::remove(file)?;
        digest
    }

    /// Builds an image from a Dockerfile, in its directory.
    pub fn build(&self, ui: &Ui, labels: &[String], file: &Utf8Path, name: &str) -> Result<()> {
        let dir = file.parent().context("a Dockerfile lies in a directory")?;
        let command = self.command(["build", "--force-rm"]).args(labels);
        let command = command.args(["--tag", name, "--file", file.as_str(), dir.as_str()]);
        let output = command.expression(ui).stdin_null().stdout_to_stderr().unchecked().run();
        let output = output.with_context(|| format!("starting `{command}`"))?;
        if !output.status.success() {
            bail!("building {file} failed: `{command}` ended with {}; see its output above", output.status);
        }
        Ok(())
    }

    pub fn tag(&self, ui: &Ui, id: &str, name: &str) -> Result<()> {
        let tagged = self.command(["tag", id, name]).read(ui).map(drop);
        if !name.starts_with('[') {
            return tagged;
        }
        // Older engines do not accept an IPv6 address as a registry.
        tagged.with_context(|| {
            format!("tagging the image {name}: give the address a name in DNS or /etc/hosts and use it")
        })
    }

    /// Removes an image by its id, or its name.
    pub fn remove(&self, ui: &Ui, id: &str) -> Result<()> {
        self.command(["rmi", id]).read(ui).map(drop)
    }

    /// Whether it refuses a reference because of its syntax.
    pub fn refuses(&self, ui: &Ui, reference: &str) -> Result<bool> {
        let output = self.command(["image", "inspect", reference]).output(ui)?;
        Ok(String::from_utf8_lossy(&output.stderr).contains(INVALID_REFERENCE))
    }
}

/// What docker, podman and skopeo say about a reference with a wrong syntax.
pub const INVALID_REFERENCE: &str = "invalid reference format";
