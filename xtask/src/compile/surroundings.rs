//! What a build on this machine depends on beside the sources. Cargo compares most of it too, but starts its compilers to do so.

use std::collections::BTreeMap;
use std::env;
use std::os::unix::fs::MetadataExt;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use cargo_metadata::Artifact;

use crate::cargo::toolchain::cargo_home;
use crate::compile::cargo::Built;
use crate::compile::machine::Dirs;
use crate::oci::digest::{Digest, Hasher};
use crate::plan::BuildPlan;
use crate::support::files;
use crate::support::paths::Paths;
use crate::support::variables;

/// The linker by its own name; which of them a C compiler starts, PATH decides.
const LINKERS: [&str; 3] = ["ld", "ld.lld", "ld.mold"];

/// How a build script names a file that it reads.
/// Source: <https://doc.rust-lang.org/cargo/reference/build-scripts.html#rerun-if-changed>.
const READ: [&str; 2] = ["cargo:rerun-if-changed=", "cargo::rerun-if-changed="];

/// A digest over the toolchain, the variables that it sees, cargo's configuration outside of the tree, and the linker.
pub fn digest(paths: &Paths, plan: &BuildPlan) -> Result<Digest> {
    let mut hash = Hasher::default();
    hash.update(&plan.toolchain.verbose_version);
    for (name, value) in variables::seen() {
        hash.update(format!("{name:?} {value:?}\n"));
    }
    for (file, config) in variables::configurations(paths, &cargo_home()?)? {
        hash.update(format!("{file}\n{config}\n"));
    }
    let wrapper = env::var("RUSTC_WRAPPER").ok();
    for program in LINKERS.into_iter().chain([plan.toolchain.linker.as_str()]).chain(wrapper.as_deref()) {
        hash.update(format!("{program} {:?}\n", identity(program)));
    }
    Ok(hash.finish())
}

/// Size and time of the program that PATH leads to. Another one of these is another program.
fn identity(program: &str) -> Option<(u64, i64, i64)> {
    let dirs = env::var_os("PATH").unwrap_or_default();
    let file = env::split_paths(&dirs).map(|dir| dir.join(program)).find(|path| path.is_file())?;
    let file = file.metadata().ok()?;
    Some((file.len(), file.mtime(), file.mtime_nsec()))
}

/// Files outside of the sources that a build read, with their digests; without one where a file is missing.
pub type Outside = BTreeMap<Utf8PathBuf, Option<Digest>>;

/// As cargo and build scripts name them. `None` if they cannot be compared by content: a build script may name a whole directory, or
/// a path that leads out of its package.
pub fn outside(built: &Built, dirs: &Dirs) -> Option<Outside> {
    let mut named = Vec::new();
    for file in built.artifacts.iter().flat_map(dependency_files) {
        let paths = prerequisites(&files::read_text(&file).ok()?);
        // Relative to what cargo's configuration says (`build.dep-info-basedir`).
        if paths.iter().any(|path| path.is_relative()) {
            return None;
        }
        named.extend(paths);
    }
    for output in &built.script_outputs {
        let said = files::read(output).ok()?;
        let said = String::from_utf8_lossy(&said);
        let paths = said.lines().filter_map(|line| READ.iter().find_map(|start| line.strip_prefix(start)));
        named.extend(paths.map(|path| Utf8PathBuf::from(path.trim())));
    }
    let leads_out = |path: &Utf8PathBuf| path.is_relative() && path.components().any(|part| part.as_str() == "..");
    if named.iter().any(leads_out) {
        return None;
    }
    let own = [&dirs.sources, &dirs.target, &dirs.crates];
    named.retain(|path| path.is_absolute() && !own.iter().any(|dir| path.starts_with(dir)));
    let digest = |path: Utf8PathBuf| (!path.is_dir()).then(|| (path.clone(), digest_of(&path)));
    named.into_iter().map(digest).collect()
}

/// Of a file; none if it is not there.
pub fn digest_of(path: &Utf8Path) -> Option<Digest> {
    std::fs::read(path).ok().map(|bytes| Digest::sha256(&bytes))
}

/// What cargo writes beside what it makes of the tree's packages.
/// Source: <https://doc.rust-lang.org/cargo/reference/build-cache.html#dep-info-files>.
fn dependency_files(artifact: &Artifact) -> impl Iterator<Item = Utf8PathBuf> {
    artifact.filenames.iter().map(|file| file.with_extension("d")).filter(|file| file.is_file())
}

/// A line is `target: file file`, with a backslash before a space in a path.
fn prerequisites(text: &str) -> Vec<Utf8PathBuf> {
    let files = text.lines().filter_map(|line| line.split_once(": ")).map(|(_, files)| files);
    let words = files.flat_map(|files| {
        let marked = files.replace("\\ ", "\0");
        marked.split(' ').map(|word| Utf8PathBuf::from(word.replace('\0', " "))).collect::<Vec<_>>()
    });
    words.collect()
}

#[cfg(test)]
mod tests {
    use super::prerequisites;

    #[test]
    fn a_space_in_a_path_is_no_end() {
        assert_eq!(prerequisites("/t/libone.so: /a/b\\ c /d\n\n/t/two:\n"), ["/a/b c", "/d"]);
    }
}
