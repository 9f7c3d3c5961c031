//! Files that the copy of the sources leaves out, and files that it must contain.

use std::collections::BTreeSet;
use std::fmt;

use camino::{Utf8Component, Utf8Path, Utf8PathBuf};

use crate::source::manifest::Workspace;
use crate::source::plugins::{Discovered, Found};
use crate::support::ui::Ui;

/// How many of the left out files get a line each.
const MOST_SHOWN: usize = 10;

/// What is not in the copy. This alone is no error, since nothing may need it; later errors mention it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// Relative to the root.
    pub path: String,
    pub why: Why,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    VersionControl,
    /// Cargo's target directory, or another one that is marked as a cache.
    Cache,
    HiddenPlugin,
    /// By `--only` or `--without`.
    NotSelected,
    Dangling,
    Loop,
    Outside(Utf8PathBuf),
    NotUtf8,
    Unreadable(String),
}

impl Why {
    /// Whether it is always left out, wherever it is. Then there is no need to mention it.
    pub fn is_rule(&self) -> bool {
        matches!(self, Why::VersionControl | Why::Cache | Why::HiddenPlugin | Why::NotSelected)
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        let LeftOut { path, why } = self;
        match why {
            Why::VersionControl => write!(out, "{path} (version control)"),
            Why::Cache => write!(out, "{path} (a target or cache directory)"),
            Why::HiddenPlugin => write!(out, "{path} (a hidden directory in plugins/)"),
            Why::NotSelected => write!(out, "{path} (a plugin that is not selected)"),
            Why::Dangling => write!(out, "{path} (a dangling symlink)"),
            Why::Loop => write!(out, "{path} (a symlink loop)"),
            Why::Outside(target) => write!(out, "{path} (a symlink to {target}, outside of the tree)"),
            Why::NotUtf8 => write!(out, "{path} (a name that is not UTF-8)"),
            Why::Unreadable(error) => write!(out, "{path} ({error})"),
        }
    }
}

/// Names what was left out, except what always is.
pub fn announce(ui: &Ui, left_out: &[LeftOut]) {
    let shown: Vec<&LeftOut> = left_out.iter().filter(|left_out| !left_out.why.is_rule()).collect();
    for left_out in shown.iter().take(MOST_SHOWN) {
        ui.status("Leaving out", left_out);
    }
    if shown.len() > MOST_SHOWN {
        ui.status("Leaving out", format!("{} more", shown.len() - MOST_SHOWN));
    }
}

/// What must not be left out. Without this check cargo would report a crate that exists as missing, or nobody would notice.
pub struct Needed {
    /// Of the members of the workspace, of their path dependencies, and of patches.
    manifests: BTreeSet<Utf8PathBuf>,
    /// Files and directories.
    shipped: BTreeSet<Utf8PathBuf>,
}

impl Needed {
    pub fn new(workspace: &Workspace, plugins: &Discovered) -> Needed {
        let members = workspace.members.iter().map(Utf8PathBuf::from);
        let patches = workspace.patches.values().filter_map(toml::Value::as_table).flatten().map(|(_, patch)| patch);
        let shared = workspace.dependencies.values().chain(patches);
        let shared = shared.filter_map(|dependency| Some(dependency.get("path")?.as_str()?.into()));
        let (outside, own): (Vec<_>, Vec<_>) = plugins.packages.values().partition(|plugin| plugin.outside.is_some());
        let needed = own.iter().map(|plugin| &plugin.dir).chain(&plugins.path_dependencies);
        // Of a plugin from outside nothing is in the tree.
        let needed = needed.filter(|dir| !outside.iter().any(|plugin| dir.starts_with(&plugin.dir))).cloned();
        let crates = members.chain(shared).chain(needed);
        let shipped = |plugin: &Found| {
            let paths = plugin.assets.files.iter().chain(&plugin.assets.config);
            paths.map(|path| plugin.dir.join(path)).collect::<Vec<_>>()
        };
        Needed {
            manifests: crates.map(|dir| normal(&dir.join("Cargo.toml"))).collect(),
            shipped: own.into_iter().flat_map(shipped).collect(),
        }
    }

    /// Why a path cannot be left out.
    pub fn error(&self, left_out: &LeftOut) -> Option<String> {
        let LeftOut { path, why } = left_out;
        let holds = |needed: &&Utf8PathBuf| needed.starts_with(path);
        // Nobody needs an editor's dangling lock file beside a plugin asset.
        let is_shipped = !why.is_rule()
            && !matches!(why, Why::Dangling)
            && self.shipped.iter().any(|shipped| Utf8Path::new(path).starts_with(shipped));
        let needed = self.manifests.iter().chain(&self.shipped).find(holds);
        if needed.is_none() && !is_shipped {
            return None;
        }
        Some(match (why, needed) {
            (Why::Outside(target), _) => {
                format!("{path} is a symlink to {target}, outside of the tree; copy the files into the tree")
            }
            (Why::NotUtf8, _) => format!("the path {path} is not UTF-8: rename it"),
            (Why::NotSelected, Some(_)) => format!("{path} is left out by --only or --without, but the rest needs it"),
            (_, Some(needed)) if needed != path => format!("{left_out} is not copied, but {needed} is in it; move it"),
            _ => format!("{left_out} cannot be copied; replace it with a readable file"),
        })
    }
}

/// Without `.`, which a manifest may contain.
fn normal(path: &Utf8Path) -> Utf8PathBuf {
    path.components().filter(|part| *part != Utf8Component::CurDir).collect()
}
