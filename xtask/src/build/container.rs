//! A builder's container. Everything goes in and out as tar streams, nothing is mounted from this machine: so the daemon
//! may be another machine's, or the one that this process itself runs in. It has no network.
//!
//! The container's one process ends when its stdin does, which this process holds: however this one ends, the container
//! is gone.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::Output;

use anyhow::{Context, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};
use walkdir::WalkDir;

use crate::build::machine::{Folders, Machine, Mishap};
use crate::build::vendor;
use crate::files;
use crate::paths::Paths;
use crate::plan::builder::Builder;
use crate::plan::toolchain::Toolchain;
use crate::process::Invocation;
use crate::runtime::Runtime;
use crate::ui::Ui;

/// Where everything lies in the container.
const ROOT: &str = "/xtask";
const INCOMING: &str = "/xtask/in";
const WORK: &str = "/xtask/work";
const VENDOR: &str = "/xtask/vendor";
pub const VENDOR_CONFIG: &str = "vendor.toml";

/// On the container and both volumes; the value names the checkout.
const LABEL: &str = "xtask.checkout";

/// Makes the sources in the volume what came in, by content: a changed file gets the container's own time. Inside, the
/// environment chooses the toolchain: what rust-toolchain.toml asks for beside it may not be there.
fn sync_script() -> String {
    format!(
        r#"set -e
rm -f {INCOMING}/src/rust-toolchain.toml
mkdir -p {WORK}/src; cd {INCOMING}/src
find . -type f | while read -r file; do
  cmp -s "$file" "{WORK}/src/$file" && continue
  mkdir -p "{WORK}/src/${{file%/*}}"; cp "$file" "{WORK}/src/$file"
done
cd {WORK}/src
find . -type f | while read -r file; do [ -f "{INCOMING}/src/$file" ] || rm "$file"; done
"#
    )
}

pub struct Container<'a> {
    ui: &'a Ui,
    runtime: Runtime,
    id: String,
    folders: Folders,
    /// Where files that are brought here are put.
    received: Utf8PathBuf,
    environment: Vec<String>,
    /// Ends the container when it is dropped.
    _stdin: std::io::PipeWriter,
}

impl<'a> Container<'a> {
    /// Starts the builder, with the sources and all crates in it.
    pub fn start(ui: &'a Ui, paths: &Paths, builder: &Builder, toolchain: &Toolchain) -> Result<Container<'a>> {
        let vendored = vendor::vendor(ui, paths)?;
        let checkout = checkout(paths);
        let key = files::digest(format!("{} {} {}", builder.id, toolchain.channel, toolchain.target).as_bytes());
        let work = format!("xtask-{checkout}-work-{}:{WORK}", &key["sha256:".len()..][..16]);
        let crates = format!("xtask-{checkout}-crates:{VENDOR}");
        let label = format!("{LABEL}={checkout}");
        for volume in [&work, &crates] {
            let name = volume.split(':').next().unwrap_or_default();
            volume_exists(ui, &builder.runtime, name, &label)?;
        }
        let create =
            builder.runtime.command(["create", "--interactive", "--rm", "--network", "none", "--label", &label]);
        let create = create.args(["--volume", &work, "--volume", &crates, "--entrypoint", "sh", &builder.id]);
        let create = create.args(["-c", "echo ready; exec cat"]);
        let id = create.read(ui).context("making the builder's container")?;
        let stdin = attach(ui, &builder.runtime, &id)?;
        let container = Container {
            ui,
            runtime: builder.runtime.clone(),
            id,
            folders: Folders {
                sources: format!("{WORK}/src").into(),
                target: format!("{WORK}/target").into(),
                crates: VENDOR.into(),
            },
            received: paths.image.join("received"),
            environment: vec![format!("RUSTUP_TOOLCHAIN={}", toolchain.channel)],
            _stdin: stdin,
        };
        container.send_crates(&vendored)?;
        container.send_sources(paths, &vendored)?;
        Ok(container)
    }

    fn exec(&self, program: &str, args: &[String], environment: &[(&str, String)], folder: Option<&str>) -> Invocation {
        let mut command = self.runtime.command(["exec"]);
        for variable in &self.environment {
            command = command.args(["--env", variable]);
        }
        for (name, value) in environment {
            command = command.args(["--env".to_owned(), format!("{name}={value}")]);
        }
        if let Some(folder) = folder {
            command = command.args(["--workdir", folder]);
        }
        command.args([self.id.as_str(), program]).args(args)
    }

    fn shell(&self, script: &str) -> Result<String> {
        self.exec("sh", &["-c".to_owned(), script.to_owned()], &[], None).read(self.ui)
    }

    /// Only crates that the volume does not have travel; a crate is known by the checksums of its files.
    fn send_crates(&self, vendored: &Utf8Path) -> Result<()> {
        let there = self.shell(&format!("cd {VENDOR} && sha256sum */.cargo-checksum.json 2>/dev/null || true"))?;
        let there: Vec<&str> = there.lines().collect();
        let mut missing = Vec::new();
        let entries = vendored.read_dir_utf8().with_context(|| format!("reading the folder {vendored}"))?;
        for entry in entries {
            let entry = entry.with_context(|| format!("reading the folder {vendored}"))?;
            let checksum = entry.path().join(".cargo-checksum.json");
            if !checksum.is_file() {
                continue;
            }
            let digest = files::digest(&files::read(&checksum)?);
            let line = format!("{}  {}/.cargo-checksum.json", &digest["sha256:".len()..], entry.file_name());
            if !there.contains(&line.as_str()) {
                missing.push(entry.file_name().to_owned());
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        missing.sort();
        self.ui.status("Sending", format!("{} to the builder", crate::ui::count(missing.len(), "crate")));
        self.send(|tar| {
            for name in &missing {
                append_folder(tar, &vendored.join(name), &format!("xtask/vendor/{name}"))?;
            }
            Ok(())
        })
    }

    fn send_sources(&self, paths: &Paths, vendored: &Utf8Path) -> Result<()> {
        self.send(|tar| {
            append_folder(tar, &paths.sources(), "xtask/in/src")?;
            let config = files::read_text(&vendored.join(VENDOR_CONFIG))?.replace(vendored.as_str(), VENDOR);
            append_file(tar, &format!("xtask/in/{VENDOR_CONFIG}"), config.as_bytes())
        })?;
        self.shell(&sync_script()).map(drop)
    }

    /// Unpacks a tar into the container's root: podman makes no folders, so they stand in the tar.
    fn send(&self, fill: impl FnOnce(&mut tar::Builder<&mut dyn Write>) -> Result<()>) -> Result<()> {
        let command = self.runtime.command(["cp", "-", &format!("{}:/", self.id)]);
        let (reader, mut writer) = std::io::pipe().context("making a pipe")?;
        let expression = command.expression(self.ui).stdin_file(reader).stdout_capture().stderr_capture().unchecked();
        let running = expression.start().with_context(|| format!("starting `{command}`"))?;
        drop(expression);
        let written = (|| {
            let out: &mut dyn Write = &mut writer;
            let mut tar = tar::Builder::new(out);
            fill(&mut tar)?;
            tar.finish().context("ending the tar")
        })();
        drop(writer);
        command.succeeded(running.wait().with_context(|| format!("waiting for `{command}`"))?)?;
        written
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        // Gone when this returns. If this process is ended before, the container ends with its stdin.
        let _ = self.runtime.command(["rm", "--force", &self.id]).output(self.ui);
    }
}

impl Machine for Container<'_> {
    fn folders(&self) -> &Folders {
        &self.folders
    }

    fn cargo(&self, args: &[String], environment: &[(&str, String)]) -> Result<Output> {
        let config = ["--config".to_owned(), format!("{INCOMING}/{VENDOR_CONFIG}"), "--offline".to_owned()];
        let (command, rest) = args.split_first().context("cargo needs a command")?;
        let args = [std::slice::from_ref(command), &config, rest].concat();
        self.exec("cargo", &args, environment, Some(self.folders.sources.as_str())).shown(self.ui)
    }

    fn mishap(&self) -> Option<Mishap> {
        // Of cgroup 2 and of cgroup 1. `oom_kill` counts what the kernel killed in this container for lack of memory.
        let files = "/sys/fs/cgroup/memory.events /sys/fs/cgroup/memory/memory.oom_control";
        let Ok(counts) = self.shell(&format!("cat {files} 2>/dev/null; true")) else { return Some(Mishap::Gone) };
        let killed = counts.lines().filter_map(|line| line.strip_prefix("oom_kill ")).any(|count| count.trim() != "0");
        killed.then_some(Mishap::OutOfMemory)
    }

    fn ask(&self, program: &str, args: &[String]) -> Result<Output> {
        self.exec(program, args, &[], None).output(self.ui)
    }

    fn bring(&self, paths: &[Utf8PathBuf]) -> Result<Vec<Utf8PathBuf>> {
        let list: Vec<String> =
            paths.iter().map(|path| format!("'{}'", path.as_str().replace('\'', r"'\''"))).collect();
        // Under their own paths, links followed, in one folder that goes out as one stream.
        self.shell(&format!(
            "set -e; rm -rf {ROOT}/out; for file in {}; do mkdir -p \"{ROOT}/out${{file%/*}}\"; cp -L \"$file\" \"{ROOT}/out$file\"; done",
            list.join(" ")
        ))?;
        let command = self.runtime.command(["cp", &format!("{}:{ROOT}/out", self.id), "-"]);
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
                entry.read_to_end(&mut content).with_context(|| format!("reading {path} off the builder"))?;
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
fn attach(ui: &Ui, runtime: &Runtime, id: &str) -> Result<std::io::PipeWriter> {
    let command = runtime.command(["start", "--attach", "--interactive", id]);
    let (stdin, writer) = std::io::pipe().context("making a pipe")?;
    let expression = command.expression(ui).stdin_file(stdin).stderr_to_stdout().unchecked();
    let mut output = BufReader::new(expression.reader().with_context(|| format!("starting `{command}`"))?);
    drop(expression);
    let mut line = String::new();
    output.read_line(&mut line).with_context(|| format!("reading what `{command}` wrote"))?;
    if line.trim() != "ready" {
        let mut rest = String::new();
        let _ = output.read_to_string(&mut rest);
        bail!("the builder's container does not start: `{command}` says: {line}{rest}");
    }
    // Read to its end by nobody: the client ends with the container.
    std::mem::forget(output);
    Ok(writer)
}

fn volume_exists(ui: &Ui, runtime: &Runtime, name: &str, label: &str) -> Result<()> {
    if runtime.command(["volume", "inspect", name]).output(ui)?.status.success() {
        return Ok(());
    }
    runtime.command(["volume", "create", "--label", label, name]).read(ui).map(drop)
}

/// Removes the volumes of this checkout, and what containers of it may be left; says how many volumes.
pub fn remove_volumes(ui: &Ui, runtime: &Runtime, paths: &Paths) -> Result<usize> {
    let label = format!("label={LABEL}={}", checkout(paths));
    let containers = runtime.command(["ps", "--all", "--quiet", "--filter", &label]).read(ui)?;
    for id in containers.lines() {
        runtime.command(["rm", "--force", id]).read(ui)?;
    }
    let volumes = runtime.command(["volume", "ls", "--quiet", "--filter", &label]).read(ui)?;
    for name in volumes.lines() {
        runtime.command(["volume", "rm", name]).read(ui)?;
    }
    Ok(volumes.lines().count())
}

/// Names this checkout among all that use the same daemon.
fn checkout(paths: &Paths) -> String {
    files::digest(paths.image.as_str().as_bytes())["sha256:".len()..][..12].to_owned()
}

fn append_folder(tar: &mut tar::Builder<&mut dyn Write>, folder: &Utf8Path, name: &str) -> Result<()> {
    for entry in WalkDir::new(folder).sort_by_file_name() {
        let entry = entry.with_context(|| format!("reading the folder {folder}"))?;
        let Some(path) = Utf8Path::from_path(entry.path()) else { bail!("{} is not UTF-8", entry.path().display()) };
        if entry.file_type().is_file() {
            let inside = path.strip_prefix(folder)?;
            append_file(tar, &format!("{name}/{inside}"), &files::read(path)?)?;
        }
    }
    Ok(())
}

fn append_file(tar: &mut tar::Builder<&mut dyn Write>, path: &str, content: &[u8]) -> Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o755);
    header.set_size(content.len() as u64);
    tar.append_data(&mut header, path, content).with_context(|| format!("sending {path}"))
}
