//! What git says about the sources that are compiled. xtask asks once, when they are copied, with commands that ignore the
//! user's settings.

mod comparison;
pub mod history;

use anyhow::{Context, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};

use crate::source::left_out::LeftOut;
use crate::source::revision::comparison::Comparison;
use crate::support::command::{Invocation, not_found};
use crate::support::session::Session;
use crate::support::ui::Ui;
use crate::support::variables;

/// What the tree's history says about the image. Nothing of this gets into a layer.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// The image's date, in seconds since 1970: SOURCE_DATE_EPOCH, or the commit's.
    pub created: u64,
    /// The commit, with `-dirty` if what is compiled is not what was committed; absent outside of git.
    pub revision: Option<String>,
}

impl Origin {
    /// The sources changed after they were compared.
    pub fn is_not_committed(&mut self) {
        if let Some(revision) = self.revision.as_mut().filter(|revision| !revision.ends_with(DIRTY)) {
            revision.push_str(DIRTY);
        }
    }
}

/// Added to the commit if something else was compiled, too.
pub const DIRTY: &str = "-dirty";

/// Asks git about the copy that was just synced. A file that is not in the commit makes it dirty, even if git ignores
/// the file. So does a file of the commit that is not in the copy, unless a rule leaves it out.
pub fn query(session: &Session, left_out: &[LeftOut]) -> Result<Origin> {
    let Session { ui, paths, .. } = session;
    let epoch = variables::source_date_epoch()?;
    let unknown = Origin { created: epoch.unwrap_or(0), revision: None };
    // A tree inside another repository has no history of its own.
    if !paths.root.join(".git").exists() {
        return Ok(unknown);
    }
    let repository = Repository { ui, root: paths.root.clone() };
    let found = repository.commit().and_then(|commit| {
        let Some(commit) = commit else { return Ok(None) };
        let dir = paths.git();
        let dirty = Comparison::with(repository, &commit, paths.sources(), dir, left_out)?.differs()?;
        Ok(Some((commit, dirty)))
    });
    match found {
        Ok(Some((commit, dirty))) => {
            let mut origin = Origin { created: epoch.unwrap_or(commit.date), revision: Some(commit.id) };
            if dirty {
                origin.is_not_committed();
            }
            Ok(origin)
        }
        // Nothing was committed yet.
        Ok(None) => Ok(unknown),
        Err(error) => {
            let why = if not_found(&error) { "git is not installed".to_owned() } else { format!("{error:#}") };
            ui.warning(format!("the image has no revision label: {why}"));
            Ok(unknown)
        }
    }
}

struct Commit {
    id: String,
    /// In seconds since 1970.
    date: u64,
    /// Where the repository keeps what is in its commits.
    objects: Utf8PathBuf,
}

/// Git without any variable or configuration of the user.
fn git(dir: &Utf8Path, repository: &str) -> Invocation {
    let named = format!("--git-dir={repository}");
    let git = Invocation::new("git", ["--no-replace-objects", &named]).dir(dir).without("GIT_");
    git.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_ATTR_NOSYSTEM", "1")
}

/// The user's repository. It is only asked for its commit.
struct Repository<'a> {
    ui: &'a Ui,
    root: Utf8PathBuf,
}

impl Repository<'_> {
    /// With a named directory git does not check its owner, who often differs in containers, and does not search above it.
    fn git(&self, args: &[&str]) -> Invocation {
        git(&self.root, ".git").args(args.iter().copied())
    }

    fn commit(&self) -> Result<Option<Commit>> {
        let head = self.git(&["rev-parse", "--git-path", "objects", "--verify", "--quiet", "HEAD"]);
        let output = head.output(self.ui)?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut lines = said.lines();
        let Some(objects) = lines.next() else {
            head.succeeded(&output)?;
            bail!("`{head}` wrote nothing");
        };
        let Some(id) = lines.next() else { return Ok(None) };
        let text = self.git(&["cat-file", "commit", id]).read(self.ui)?;
        let committer = text.lines().find_map(|line| line.strip_prefix("committer "));
        let date = committer.and_then(|line| line.rsplit(' ').nth(1)?.parse().ok());
        let date = date.with_context(|| format!("the commit {id} has no date"))?;
        let objects = self.root.join(objects).canonicalize_utf8().with_context(|| format!("reading {objects}"))?;
        Ok(Some(Commit { id: id.to_owned(), date, objects }))
    }
}
