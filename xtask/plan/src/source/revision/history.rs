//! What changed since a commit, and the files of that commit.

use anyhow::{Context, Result, bail, ensure};
use camino::{Utf8Path, Utf8PathBuf};

use crate::source::revision::Repository;
use crate::source::revision::comparison::paths_of;
use crate::support::files;
use crate::support::session::Session;

/// A commit that the tree is compared with.
pub struct Before<'a> {
    repository: Repository<'a>,
    commit: String,
}

impl<'a> Before<'a> {
    /// `reference` is anything that git takes for a commit.
    ///
    /// # Errors
    ///
    /// If the tree has no history, or a shallow one without this commit.
    pub fn find(session: &'a Session, root: &Utf8Path, reference: &str) -> Result<Before<'a>> {
        ensure!(root.join(".git").exists(), "{root} is not the root of a git repository");
        let repository = Repository { ui: &session.ui, root: root.to_owned() };
        let named = format!("{reference}^{{commit}}");
        let found = repository.git(&["rev-parse", "--verify", "--quiet", "--end-of-options", &named]);
        let output = found.output(&session.ui)?;
        let commit = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        if !output.status.success() || commit.is_empty() {
            bail!("git has no commit {reference}; a shallow clone gets it by `git fetch --unshallow`");
        }
        Ok(Before { repository, commit })
    }

    /// What differs in the tree, relative to the root: also what was not committed, but not what git ignores.
    pub fn changed(&self) -> Result<Vec<Utf8PathBuf>> {
        let ui = self.repository.ui;
        let diff = [
            "diff",
            "--name-only",
            "--no-renames",
            "--no-ext-diff",
            "--ignore-submodules=none",
            "-z",
            &self.commit,
            "--",
        ];
        // The user's index is not written, and no program of the user's is started.
        let ask = |args: &[&str]| {
            let git = self.repository.git(&["-c", "core.fsmonitor=false"]).args(args.iter().copied());
            paths_of(&git.env("GIT_OPTIONAL_LOCKS", "0"), ui)
        };
        let mut changed = ask(&diff)?;
        changed.extend(ask(&["ls-files", "--others", "--exclude-standard", "-z"])?);
        Ok(changed.into_iter().map(Utf8PathBuf::from).collect())
    }

    /// Writes the commit's files to `dir`, in place of what was there.
    pub fn write(&self, dir: &Utf8Path) -> Result<()> {
        let ui = self.repository.ui;
        let listed = self.repository.git(&["ls-tree", "-r", "-z", &self.commit]).read(ui)?;
        if let Some(submodule) = listed.split('\0').find_map(|line| line.strip_prefix("160000 ")?.split_once('\t')) {
            bail!("the commit has a submodule, {}, whose files it does not contain", submodule.1);
        }
        files::remove(dir)?;
        files::create_dir(dir)?;
        // The user's index stays as it is.
        let index = dir.with_extension("index");
        let read = self.repository.git(&["read-tree", &self.commit]).env("GIT_INDEX_FILE", index.as_str());
        read.read(ui).with_context(|| format!("reading the commit {}", self.commit))?;
        let prefix = format!("--prefix={dir}/");
        let write = self.repository.git(&["checkout-index", "--all", &prefix]).env("GIT_INDEX_FILE", index.as_str());
        write.read(ui).with_context(|| format!("writing the files of the commit {} to {dir}", self.commit))?;
        files::remove(&index)
    }
}
