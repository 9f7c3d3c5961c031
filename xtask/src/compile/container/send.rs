//! Sends the sources to a builder's container, and the crates that its volume lacks.

use std::io::{BufWriter, Write};

use anyhow::{Context, Result, bail};
use camino::Utf8Path;
use walkdir::WalkDir;

use crate::compile::container::{Container, VENDOR_CONFIG, config};
use crate::oci::digest::Digest;
use crate::source::sync::Source;
use crate::support::command::quoted;
use crate::support::container_paths::ContainerPaths;
use crate::support::paths::Paths;
use crate::support::{files, variables};

/// What cargo keeps beside each vendored crate.
const CHECKSUMS: &str = ".cargo-checksum.json";

/// Makes the sources in the volume what came in, by content: a changed file gets the container's own time. Inside, the
/// environment chooses the toolchain: what rust-toolchain.toml asks for beside it may not be there.
///
/// No program is started for each file, which would take most of an edit's time. A backslash in a name is doubled by
/// sha256sum, and its line begins with one.
fn sync_script(places: &ContainerPaths) -> String {
    let ContainerPaths { incoming, work, vendor, .. } = places;
    format!(
        r#"set -e
rm -f {incoming}/src/rust-toolchain.toml
mkdir -p {work}/src {vendor}; cd {work}/src
find . ! -type d | while IFS= read -r file; do [ -f "$file" ] && [ ! -L "$file" ] && [ -f "{incoming}/src/$file" ] || rm "$file"; done
find . -depth -type d | while IFS= read -r directory; do [ -d "{incoming}/src/$directory" ] || rmdir "$directory"; done
digests() {{ find . -type f -exec sha256sum {{}} + | LC_ALL=C sort; }}
digests > {incoming}/old; cd {incoming}/src; digests > {incoming}/new
find . -type d | while IFS= read -r directory; do [ -d "{work}/src/$directory" ] || mkdir -p "{work}/src/$directory"; done
copy() {{ rm -f "{work}/src/$1"; cp "$1" "{work}/src/$1"; }}
LC_ALL=C comm -23 {incoming}/new {incoming}/old | while IFS= read -r line; do
  case $line in
    \\*) copy "$(printf '%s' "${{line#*  }}" | sed 's/\\\\/\\/g')" ;;
    *) copy "${{line#*  }}" ;;
  esac
done
find . -type f | while IFS= read -r file; do
  old={work}/src/$file
  if [ -x "$file" ]; then [ -x "$old" ]; else [ ! -x "$old" ]; fi || copy "$file"
done
"#
    )
}

impl Container<'_> {
    /// Only crates that the volume does not have travel; a crate is known by the checksums of its files.
    pub(crate) fn send_crates(&self, vendored: &Utf8Path) -> Result<()> {
        let vendor = &self.places.vendor;
        let list = format!("cd {vendor} 2>/dev/null || exit 0; sha256sum */{CHECKSUMS} 2>/dev/null; echo; ls -A");
        let answer = self.shell(&list)?;
        let (there, dirs) = answer.split_once("\n\n").unwrap_or(("", &answer));
        let there: Vec<&str> = there.lines().collect();
        let (mut missing, mut kept) = (Vec::new(), Vec::new());
        let entries = vendored.read_dir_utf8().with_context(|| format!("reading the directory {vendored}"))?;
        for entry in entries {
            let entry = entry.with_context(|| format!("reading the directory {vendored}"))?;
            let checksum = entry.path().join(CHECKSUMS);
            if !checksum.is_file() {
                continue;
            }
            let digest = Digest::sha256(&files::read(&checksum)?);
            let line = format!("{}  {}/{CHECKSUMS}", digest.hex(), entry.file_name());
            if there.contains(&line.as_str()) {
                kept.push(line);
            } else {
                missing.push(entry.file_name().to_owned());
            }
        }
        // Also the crates of an earlier lock, and what a run sent that was ended before the checksums came; and a crate whose
        // files are others now must not keep what it no longer has.
        let stays = |name: &&str| kept.iter().any(|line| line.ends_with(&format!("  {name}/{CHECKSUMS}")));
        let gone = dirs.lines().filter(|name| !name.is_empty() && !stays(name));
        let gone: Vec<String> = gone.map(quoted).collect();
        if !gone.is_empty() {
            self.shell(&format!("cd {vendor} && rm -rf -- {}", gone.join(" ")))?;
        }
        if missing.is_empty() {
            return Ok(());
        }
        missing.sort();
        self.ui.status("Sending", format!("{} to the builder", crate::support::ui::count(missing.len(), "crate")));
        self.send(|tar| {
            for name in &missing {
                append_dir(tar, &vendored.join(name), &format!("{}/{name}", inside(vendor)), |path| {
                    path.file_name() != Some(CHECKSUMS)
                })?;
            }
            // By these a crate is known to be there: when they come, all of it is.
            for name in &missing {
                let checksums = files::read(&vendored.join(name).join(CHECKSUMS))?;
                append_file(tar, &format!("{}/{name}/{CHECKSUMS}", inside(vendor)), &checksums, 0o644)?;
            }
            Ok(())
        })
    }

    pub(crate) fn send_sources(&self, paths: &Paths, vendored: &Utf8Path) -> Result<()> {
        let ContainerPaths { incoming, vendor, .. } = &self.places;
        self.send(|tar| {
            append_dir(tar, &paths.sources(), &format!("{}/src", inside(incoming)), |_| true)?;
            let config = files::read_text(&vendored.join(VENDOR_CONFIG))?.replace(vendored.as_str(), vendor.as_str());
            let config = config::config(&config, &variables::tree(paths)?, &self.registries)?;
            append_file(tar, &format!("{}/{VENDOR_CONFIG}", inside(incoming)), config.as_bytes(), 0o644)
        })?;
        self.shell(&sync_script(&self.places)).map(drop)
    }

    /// Unpacks a tar into the container's root: podman makes no directories, so they stand in the tar.
    fn send(&self, fill: impl FnOnce(&mut tar::Builder<&mut dyn Write>) -> Result<()>) -> Result<()> {
        let command = self.engine.copy_into(&self.id);
        let (reader, writer) = std::io::pipe().context("making a pipe")?;
        let mut writer = BufWriter::with_capacity(1 << 16, writer);
        let expression = command.expression(self.ui).stdin_file(reader).stdout_capture().stderr_capture().unchecked();
        let running = expression.start().with_context(|| format!("starting `{command}`"))?;
        drop(expression);
        let written = (|| {
            let out: &mut dyn Write = &mut writer;
            let mut tar = tar::Builder::new(out);
            fill(&mut tar)?;
            tar.finish().context("ending the tar")?;
            drop(tar);
            writer.flush().context("ending the tar")
        })();
        drop(writer);
        command.succeeded(running.wait().with_context(|| format!("waiting for `{command}`"))?)?;
        written
    }
}

/// As a path in a tar that is unpacked at the root.
fn inside(path: &Utf8Path) -> &str {
    path.as_str().trim_start_matches('/')
}

fn append_dir(
    tar: &mut tar::Builder<&mut dyn Write>,
    dir: &Utf8Path,
    name: &str,
    wanted: impl Fn(&Utf8Path) -> bool,
) -> Result<()> {
    for entry in WalkDir::new(dir).sort_by_file_name() {
        let entry = entry.with_context(|| format!("reading the directory {dir}"))?;
        let Some(path) = Utf8Path::from_path(entry.path()) else { bail!("{} is not UTF-8", entry.path().display()) };
        let inside = format!("{name}/{}", path.strip_prefix(dir)?);
        if entry.file_type().is_dir() {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(tar::EntryType::Directory);
            header.set_mode(0o755);
            header.set_size(0);
            tar.append_data(&mut header, &inside, std::io::empty()).with_context(|| format!("sending {inside}"))?;
        } else if entry.file_type().is_file() && wanted(path) {
            let Source { executable, .. } = Source::file(path.to_owned())?;
            append_file(tar, &inside, &files::read(path)?, if executable { 0o755 } else { 0o644 })?;
        }
    }
    Ok(())
}

fn append_file(tar: &mut tar::Builder<&mut dyn Write>, path: &str, content: &[u8], mode: u32) -> Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_mode(mode);
    header.set_size(content.len() as u64);
    tar.append_data(&mut header, path, content).with_context(|| format!("sending {path}"))
}
