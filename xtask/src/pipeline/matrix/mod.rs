//! What CI has to run: the rows of the matrix, and which of them a change can affect.

pub mod since;

use anyhow::Result;

use crate::cargo::toolchain;
use crate::plan::matrix::{Axes, Kind, Row, Set};
use crate::source::checkout::Checkout;
use crate::source::manifest;
use crate::source::matrix::unknown;
use crate::source::selection::Selection;
use crate::support::errors::Errors;
use crate::support::paths::Paths;

/// The rows of a tree. Platforms that are named replace those of the tree.
pub fn rows(paths: &Paths, kind: Kind, platforms: &[String]) -> Result<Vec<Row>> {
    let workspace = manifest::read(&paths.root)?;
    let spec = workspace.image().matrix.clone();
    let mut errors = spec.errors();
    errors.extend(platforms.iter().filter_map(|platform| unknown(platform)));
    errors.report("the matrix")?;
    let plugins = |selection: &Selection| -> Result<Vec<String>> {
        let checkout = Checkout::read(paths, manifest::read(&paths.root)?, selection, Vec::new(), false)?;
        Ok(checkout.discovered.packages.into_keys().collect())
    };
    let mut sets = Vec::new();
    let mut errors = Errors::default();
    for (name, selection) in spec.flavours() {
        match plugins(&selection) {
            Ok(plugins) => sets.push(Set { name, selection, plugins }),
            Err(error) => errors.push(format!("the flavour {name}: {error:#}")),
        }
    }
    errors.report("[workspace.metadata.image.matrix]")?;
    let platforms = if platforms.is_empty() { spec.platforms() } else { platforms.to_vec() };
    let (pin, plugins) = (toolchain::pinned(&paths.root)?, plugins(&Selection::default())?);
    let axes = Axes { spec: &spec, platforms: &platforms, pin: &pin, sets: &sets, plugins: &plugins };
    Ok(axes.rows(kind))
}
