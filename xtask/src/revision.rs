//! What git says of the sources that are compiled: asked once, when they are synced, and by commands that no setting of the user
//! changes.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};

use crate::build::sources::LeftOut;
use crate::environment;
use crate::files;
use crate::paths::Paths;
use crate::process::{Invocation, not_found};
use crate::ui::Ui;

/// What the tree's history says of the image; nothing of this stands in a layer.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// The image's date, in seconds since 1970: SOURCE_DATE_EPOCH, or the commit's.
    pub created: u64,
    /// The commit, with `-dirty` if what is compiled is not what was committed; absent outside of git.
    pub revision: Option<String>,
}

impl Origin {
    /// What is compiled is no longer what was compared.
    pub fn is_not_committed(&mut self) {
        if let Some(revision) = self.revision.as_mut().filter(|revision| !revision.ends_with(DIRTY)) {
            revision.push_str(DIRTY);
        }
    }
}

/// Marks a commit that is not all that was compiled.
pub const DIRTY: &str = "-dirty";

/// Settings of the repository, or of git itself, that would change an answer.
const SETTINGS: [&str; 8] = [
    "core.fsmonitor=false",
    "core.untrackedCache=false",
    "core.splitIndex=false",
    "core.sparseCheckout=false",
    "core.fileMode=true",
    "core.symlinks=true",
    "core.autocrlf=false",
    "core.trustctime=true",
];

/// Asks of the copy that has just been synced. What is compiled and not in the commit makes it dirty, whether git would ignore it
/// or not; and what is in the commit and not compiled, unless it was left out by rule.
pub fn ask(ui: &Ui, paths: &Paths, left_out: &[LeftOut]) -> Result<Origin> {
    let epoch = environment::source_date_epoch()?;
    let unknown = Origin { created: epoch.unwrap_or(0), revision: None };
    // A tree inside of somebody else's repository has no history of its own.
    if !paths.root.join(".git").exists() {
        return Ok(unknown);
    }
    let repository =
        Repository { ui, root: paths.root.clone(), copy: paths.sources(), index: paths.image.join("git-index") };
    let commit = match repository.commit() {
        Ok(Some(commit)) => commit,
        // Nothing was committed yet.
        Ok(None) => return Ok(unknown),
        Err(error) => {
            let why = if not_found(&error) { "git is not installed".to_owned() } else { format!("{error:#}") };
            ui.warning(format!("the image names no revision: {why}"));
            return Ok(unknown);
        }
    };
    let dirty = repository.differs(&commit.id, left_out).context("comparing the sources with the commit")?;
    let mut origin = Origin { created: epoch.unwrap_or(commit.date), revision: Some(commit.id) };
    if dirty {
        origin.is_not_committed();
    }
    Ok(origin)
}

struct Commit {
    id: String,
    /// In seconds since 1970.
    date: u64,
}

struct Repository<'a> {
    ui: &'a Ui,
    root: Utf8PathBuf,
    /// What of it was copied.
    copy: Utf8PathBuf,
    /// An index of our own: it remembers of each file of the copy that it was compared.
    index: Utf8PathBuf,
}

impl Repository<'_> {
    fn git(&self, args: &[&str]) -> Invocation {
        // Git refuses a tree that another user owns, as in a container of CI; whose it is does not matter here.
        let trusted = format!("safe.directory={}", self.root);
        let settings = SETTINGS.iter().copied().chain([trusted.as_str()]).flat_map(|setting| ["-c", setting]);
        Invocation::new("git", ["--no-replace-objects"])
            .args(settings)
            .args(args.iter().copied())
            .folder(&self.root)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_COUNT", "0")
    }

    fn commit(&self) -> Result<Option<Commit>> {
        let head = self.git(&["rev-parse", "--show-toplevel", "--verify", "--quiet", "HEAD^{commit}"]);
        let output = head.output(self.ui)?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut lines = said.lines();
        let top = lines.next();
        if top.is_none() {
            head.succeeded(&output)?;
        }
        if top.and_then(|top| Utf8Path::new(top).canonicalize().ok()) != self.root.canonicalize().ok() {
            return Ok(None);
        }
        let Some(id) = lines.next() else { return Ok(None) };
        let text = self.git(&["cat-file", "commit", id]).read(self.ui)?;
        let committer = text.lines().find_map(|line| line.strip_prefix("committer "));
        let date = committer.and_then(|line| line.rsplit(' ').nth(1)?.parse().ok());
        let date = date.with_context(|| format!("the commit {id} has no date"))?;
        Ok(Some(Commit { id: id.to_owned(), date }))
    }

    /// Whether the copy is another than the commit.
    fn differs(&self, commit: &str, left_out: &[LeftOut]) -> Result<bool> {
        let in_copy = |args: &[&str]| {
            let git = self.git(&[&["--work-tree", self.copy.as_str()], args].concat());
            git.env("GIT_INDEX_FILE", self.index.as_str())
        };
        let read = in_copy(&["read-tree", "--reset", commit]);
        if !read.output(self.ui)?.status.success() {
            // It holds nothing that cannot be made again.
            files::remove(&self.index)?;
            read.read(self.ui)?;
        }
        // Says by its status that something differs.
        in_copy(&["update-index", "-q", "--refresh"]).output(self.ui)?;
        let links = self.special(commit)?;
        let is_below = |path: &str, folder: &str| {
            path == folder || path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
        };
        // The copy has what a symlink leads to.
        let is_link = |path: &str| links.iter().any(|link| is_below(path, &link.path));
        let is_left_out =
            |path: &str| left_out.iter().any(|left_out| left_out.why.is_rule() && is_below(path, &left_out.path));
        for changed in paths_of(&in_copy(&["diff-files", "--name-only", "-z"]), self.ui)? {
            if !is_link(&changed) && !is_left_out(&changed) {
                return Ok(true);
            }
        }
        if paths_of(&in_copy(&["ls-files", "--others", "-z"]), self.ui)?.iter().any(|path| !is_link(path)) {
            return Ok(true);
        }
        for link in &links {
            if !link.is_as_committed(self)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The commit's symlinks and submodules.
    fn special(&self, commit: &str) -> Result<Vec<Special>> {
        let mut special = Vec::new();
        for line in paths_of(&self.git(&["ls-tree", "-r", "-z", "--full-tree", commit]), self.ui)? {
            let Some((entry, path)) = line.split_once('\t') else { bail!("`git ls-tree` wrote `{line}`") };
            let mut words = entry.split(' ');
            let is_submodule = match words.next() {
                Some("120000") => false,
                Some("160000") => true,
                _ => continue,
            };
            let id = words.nth(1).unwrap_or_default().to_owned();
            special.push(Special { path: path.to_owned(), id, is_submodule });
        }
        Ok(special)
    }
}

/// What git keeps otherwise than as a file.
struct Special {
    path: String,
    id: String,
    is_submodule: bool,
}

impl Special {
    fn is_as_committed(&self, of: &Repository) -> Result<bool> {
        let there = of.root.join(&self.path);
        if self.is_submodule {
            let index = of.index.with_file_name(format!("git-index-{}", &files::digest(self.path.as_bytes())[7..23]));
            let inner = Repository { ui: of.ui, root: there.clone(), copy: of.copy.join(&self.path), index };
            // One that was not fetched is an empty folder.
            return match there.join(".git").exists().then(|| inner.commit()).transpose()?.flatten() {
                Some(commit) => Ok(commit.id == self.id && !inner.differs(&commit.id, &[])?),
                None => Ok(true),
            };
        }
        let Ok(target) = there.read_link_utf8() else { return Ok(false) };
        let committed = of.git(&["cat-file", "blob", &self.id]).read(of.ui)?;
        Ok(committed == target.as_str())
    }
}

/// What a command writes with a zero byte behind each.
fn paths_of(command: &Invocation, ui: &Ui) -> Result<BTreeSet<String>> {
    let output = command.output(ui)?;
    command.succeeded(&output)?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect())
}
