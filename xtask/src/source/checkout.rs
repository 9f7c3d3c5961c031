//! Reads the manifests of the tree and reports all their errors, before any program is started.

use anyhow::Result;

use crate::source::manifest::{self, Workspace};
use crate::source::outside;
use crate::source::plugins::{self, Discovered};
use crate::source::selection::Selection;
use crate::support::session::Session;

pub struct Checkout {
    pub workspace: Workspace,
    pub discovered: Discovered,
    pub selection: Selection,
}

impl Checkout {
    /// Reads the manifests; `with_test_plugins` adds the plugins that only tests have.
    pub fn read(session: &Session, selection: &Selection, with_test_plugins: bool) -> Result<Checkout> {
        let workspace = manifest::read(&session.paths.root)?;
        let outside = outside::bring(session, workspace.image(), &selection.with)?;
        let more = if with_test_plugins { workspace.image().test_plugins.as_slice() } else { &[] };
        let discovered = plugins::discover(&session.paths, &workspace, selection, outside, more)?;
        Ok(Checkout { workspace, discovered, selection: selection.clone() })
    }
}
