//! The layers of an image as directories, which a Dockerfile copies one by one.

use anyhow::{Context, Result};
use camino::Utf8Path;

use crate::assemble::assemble;
use crate::compile;
use crate::oci::layer::NamedLayer;
use crate::oci::rootfs::Tree;
use crate::oci::unpack::uncompressed;
use crate::pipeline::prepare;
use crate::pipeline::request::PlanRequest;
use crate::support::files;
use crate::support::session::Session;
use crate::verify::contents;

/// Compiles on this machine and writes each layer into a directory below `dir`, with the layer's name. The state directory is left out: its
/// owner would be lost.
pub fn layers(session: &Session, request: &PlanRequest, dir: &Utf8Path) -> Result<()> {
    let prepared = prepare::image(session, request)?;
    let (plan, base) = (&prepared.plan, &prepared.base);
    session.ui.status("Planning", plan.build.summary()?);
    prepare::announce_lock(session, &plan.build);
    prepare::announce_crypto(session, &plan.build)?;
    let dist = compile::build(session, &plan.build)?;
    prepare::update_lock(session, &plan.build)?;
    let image = assemble(session, plan, &dist, base)?;
    contents::check(&contents::tree(&image, base)?, plan)?;
    for NamedLayer { name, layer, .. } in &image.own_layers {
        let place = dir.join(name);
        let mut tree = Tree::default();
        tree.add_bytes(uncompressed(&image.store.read(&layer.digest)?)?)?;
        files::create_dir(&place)?;
        tree.write_to(&place).with_context(|| format!("writing the layer {name}"))?;
        files::remove(&place.join(plan.build.host.state_dir.as_str().trim_start_matches('/')))?;
    }
    session.ui.status("Written", format!("{} of {dir}", crate::support::ui::count(image.own_layers.len(), "layer")));
    Ok(())
}
