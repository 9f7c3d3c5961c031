//! Compares the copy of the sources with a commit, byte by byte.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail};
use camino::{Utf8Path, Utf8PathBuf};
use walkdir::WalkDir;

use crate::oci::digest::Digest;
use crate::source::copy::NO_PLUGINS;
use crate::source::left_out::LeftOut;
use crate::source::revision::{Commit, Repository, git};
use crate::source::sync::Source;
use crate::support::command::Invocation;
use crate::support::files;
use crate::support::ui::Ui;

/// Of the repository that [`Comparison`] makes: every file is read whole, with its mode.
const CONFIG: &str = "\
[core]
\trepositoryformatversion = 1
\tbare = false
\tautocrlf = false
\tattributesFile = /dev/null
[extensions]
\tobjectFormat = ";

/// A file is the same as a commit's if it has the same bytes. No attribute may change them before they are compared: these count
/// before all others.
const AS_THEY_ARE: &str = "* -text -eol -ident -filter -working-tree-encoding\n";

/// How many paths one command gets.
const PATHS_AT_ONCE: usize = 500;

/// Compares the copy with a commit in a repository of our own that uses the user's objects. So the user's configuration,
/// attributes, hooks and index have no effect.
pub struct Comparison<'a> {
    of: Repository<'a>,
    commit: String,
    copy: Utf8PathBuf,
    /// Our own repository. Its index remembers which files of the copy were compared.
    dir: Utf8PathBuf,
    /// With paths relative to the root of the user's repository.
    left_out: Vec<LeftOut>,
}

impl<'a> Comparison<'a> {
    pub fn with(
        of: Repository<'a>,
        commit: &Commit,
        copy: Utf8PathBuf,
        dir: Utf8PathBuf,
        left_out: &[LeftOut],
    ) -> Result<Comparison<'a>> {
        for inside in ["objects/info", "refs", "info"] {
            files::create_dir(&dir.join(inside))?;
        }
        // Left by a git that was killed.
        files::remove(&dir.join("index.lock"))?;
        let format = if commit.id.len() == 64 { "sha256" } else { "sha1" };
        files::write_changed(&dir.join("HEAD"), b"ref: refs/heads/none\n")?;
        files::write_changed(&dir.join("config"), format!("{CONFIG}{format}\n").as_bytes())?;
        files::write_changed(&dir.join("objects/info/alternates"), format!("{}\n", commit.objects).as_bytes())?;
        files::write_changed(&dir.join("info/attributes"), AS_THEY_ARE.as_bytes())?;
        Ok(Comparison { of, commit: commit.id.clone(), copy, dir, left_out: left_out.to_vec() })
    }

    fn git(&self, args: &[&str]) -> Invocation {
        git(&self.copy, self.dir.as_str()).args(["--work-tree=."]).args(args.iter().copied())
    }

    /// Whether the copy differs from the commit.
    pub fn differs(&self) -> Result<bool> {
        let ui = self.of.ui;
        let read = self.git(&["read-tree", "--reset", &self.commit]);
        if !read.output(ui)?.status.success() {
            // Everything in it can be made again.
            files::remove(&self.dir.join("index"))?;
            read.read(ui)?;
        }
        // Its exit code says that something differs.
        self.git(&["update-index", "-q", "--refresh"]).output(ui)?;
        let committed = self.committed()?;
        // The copy contains the target of the symlink.
        let is_special =
            |path: &str| committed.iter().any(|(special, (kind, _))| *kind != Kind::File && is_below(path, special));
        let is_left_out = |path: &str| {
            self.left_out.iter().any(|left_out| {
                let mark = format!("{}/CACHEDIR.TAG", left_out.path);
                // The file that marks the directory as a cache must be in the commit, too.
                let is_marked_here = !committed.contains_key(&mark) && self.of.root.join(&mark).is_file();
                left_out.why.is_rule() && is_below(path, &left_out.path) && !is_marked_here
            })
        };
        let mut changed = paths_of(&self.git(&["diff-files", "--name-only", "-z"]), ui)?;
        changed.retain(|path| !is_special(path) && !is_left_out(path));
        let others = paths_of(&self.git(&["ls-files", "--others", "-z"]), ui)?;
        if others.iter().any(|path| !is_special(path) && path != NO_PLUGINS) || !self.are_checked_out(&changed)? {
            return Ok(true);
        }
        for (path, (kind, id)) in &committed {
            let is_same = match kind {
                Kind::File => true,
                Kind::Link => self.has_link(path, id)?,
                Kind::Submodule => self.has_submodule(path, id)?,
            };
            if !is_same {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// By path: what it is, and its id.
    fn committed(&self) -> Result<BTreeMap<String, (Kind, String)>> {
        let mut committed = BTreeMap::new();
        for line in paths_of(&self.git(&["ls-tree", "-r", "-z", "--full-tree", &self.commit]), self.of.ui)? {
            let Some((entry, path)) = line.split_once('\t') else { bail!("`git ls-tree` wrote `{line}`") };
            let mut words = entry.split(' ');
            let kind = match words.next() {
                Some("120000") => Kind::Link,
                Some("160000") => Kind::Submodule,
                _ => Kind::File,
            };
            committed.insert(path.to_owned(), (kind, words.nth(1).unwrap_or_default().to_owned()));
        }
        Ok(committed)
    }

    /// Whether these files of the copy, which differ from the commit's, are what git writes into a work tree: the commit's
    /// attributes may ask for other line ends.
    fn are_checked_out(&self, changed: &BTreeSet<String>) -> Result<bool> {
        let changed: Vec<&str> = changed.iter().map(String::as_str).collect();
        if changed.iter().any(|path| !self.copy.join(path).is_file()) {
            return Ok(false);
        }
        let dir = self.dir.join("checked-out");
        for paths in changed.chunks(PATHS_AT_ONCE) {
            files::remove(&dir)?;
            files::write_changed(&self.dir.join("info/attributes"), b"")?;
            let prefix = format!("--prefix={dir}/");
            let write = self.git(&["checkout-index", "--force", &prefix, "--"]).args(paths.iter().copied());
            write.read(self.of.ui)?;
            for path in paths {
                let [ours, theirs] = [self.copy.join(path), dir.join(path)];
                let is_program = |path: &Utf8Path| Ok::<_, anyhow::Error>(Source::file(path.to_owned())?.executable);
                if is_program(&ours)? != is_program(&theirs)? || files::read(&ours)? != files::read(&theirs)? {
                    return Ok(false);
                }
            }
        }
        files::remove(&dir)?;
        Ok(true)
    }

    fn has_link(&self, path: &str, id: &str) -> Result<bool> {
        let there = self.of.root.join(path);
        let Ok(target) = there.read_link_utf8() else { return Ok(false) };
        if self.git(&["cat-file", "blob", id]).read(self.of.ui)? != target.as_str() {
            return Ok(false);
        }
        let is_left_out = |path: &str| self.left_out.iter().any(|left_out| is_below(path, &left_out.path));
        // Its target is compared at its own path, unless the copy has it only through the link.
        let inside = there.canonicalize_utf8().ok().zip(self.of.root.canonicalize_utf8().ok());
        let inside = inside.and_then(|(real, root)| Some(real.strip_prefix(root).ok()?.to_owned()));
        Ok(is_left_out(path) || !inside.is_some_and(|inside| is_left_out(inside.as_str())))
    }

    fn has_submodule(&self, path: &str, id: &str) -> Result<bool> {
        let (root, copy) = (self.of.root.join(path), self.copy.join(path));
        // A submodule that was not fetched is an empty directory.
        if !WalkDir::new(&copy).into_iter().flatten().any(|entry| entry.file_type().is_file()) {
            return Ok(true);
        }
        let inner = Repository { ui: self.of.ui, root };
        let commit = if inner.root.join(".git").exists() { inner.commit().ok().flatten() } else { None };
        let Some(commit) = commit.filter(|commit| commit.id == id) else { return Ok(false) };
        let dir = self.dir.join("modules").join(Digest::sha256(path.as_bytes()).hex());
        let left_out = self.left_out.iter().filter_map(|left_out| {
            let inside = left_out.path.strip_prefix(path)?.strip_prefix('/')?;
            Some(LeftOut { path: inside.to_owned(), why: left_out.why.clone() })
        });
        let left_out: Vec<LeftOut> = left_out.collect();
        Ok(!Comparison::with(inner, &commit, copy, dir, &left_out)?.differs()?)
    }
}

/// The mode that git has for a path.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    File,
    Link,
    Submodule,
}

fn is_below(path: &str, dir: &str) -> bool {
    path == dir || path.strip_prefix(dir).is_some_and(|rest| rest.starts_with('/'))
}

/// Items of a command's output that end with a zero byte each.
pub fn paths_of(command: &Invocation, ui: &Ui) -> Result<BTreeSet<String>> {
    let output = command.output(ui)?;
    command.succeeded(&output)?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect())
}
