//! Reads the manifests of the tree and reports all their errors, before any program is started.

use anyhow::Result;

use crate::source::manifest::Workspace;
use crate::source::outside::Outside;
use crate::source::plugins::{self, Discovered};
use crate::source::selection::Selection;
use crate::support::paths::Paths;

pub struct Checkout {
    pub workspace: Workspace,
    pub discovered: Discovered,
    pub selection: Selection,
}

impl Checkout {
    /// Reads the manifests of the selected plugins; `with_test_plugins` adds the plugins that only tests have.
    pub fn read(
        paths: &Paths,
        workspace: Workspace,
        selection: &Selection,
        outside: Vec<Outside>,
        with_test_plugins: bool,
    ) -> Result<Checkout> {
        let more = if with_test_plugins { workspace.image().test_plugins.as_slice() } else { &[] };
        let discovered = plugins::discover(paths, &workspace, selection, outside, more)?;
        Ok(Checkout { workspace, discovered, selection: selection.clone() })
    }
}
