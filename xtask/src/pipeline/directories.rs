//! The layers of an image as directories, which a Dockerfile copies one by one.

use anyhow::{Context, Result};
use camino::Utf8Path;

use crate::assemble::assemble;
use crate::compile;
use crate::oci::layer::{NamedLayer, Store};
use crate::oci::rootfs::Tree;
use crate::oci::unpack::uncompressed;
use crate::pipeline::prepare;
use crate::pipeline::request::PlanRequest;
use crate::plan::ImagePlan;
use crate::support::files;
use crate::support::session::Session;
use crate::support::ui::count;
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
    let written = image.own_layers.iter().try_for_each(|layer| write(plan, &image.store, layer, dir));
    if written.is_err() {
        // An error of the removal would hide the real one.
        let _ = files::remove(dir);
    }
    written?;
    session.ui.status("Written", format!("{} of {dir}", count(image.own_layers.len(), "layer")));
    Ok(())
}

fn write(plan: &ImagePlan, store: &Store, layer: &NamedLayer, dir: &Utf8Path) -> Result<()> {
    let (place, state) = (dir.join(&layer.name), &plan.build.host.state_dir);
    let mut tree = Tree::default();
    tree.add_bytes(uncompressed(&store.read(&layer.layer.digest)?)?)?;
    files::create_dir(&place)?;
    tree.write_to(&place).with_context(|| format!("writing the layer {}", layer.name))?;
    files::remove(&place.join(state.as_str().trim_start_matches('/')))
}
