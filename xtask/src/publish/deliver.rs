//! Writes a verified image to the archive and other outputs, and loads it into a container engine.

use anyhow::Result;

use crate::assemble::{Image, Sizes};
use crate::attest::Document;
use crate::containers::engine::Engine;
use crate::containers::engine::images::ImageInfo;
use crate::plan::ImagePlan;
use crate::publish::output::Output;
use crate::support::session::Session;
use crate::support::ui::{count, size};
use crate::verify::loaded::Loaded;

/// Writes the archive and the other outputs, each with its documents, and loads the image. Skips what is there. `before` is what the engine has
/// under its name, `loaded` the image, if the engine has it already.
pub fn deliver(
    session: &Session,
    plan: &ImagePlan,
    image: &Image,
    documents: &[Document],
    outputs: &[Output],
    engine: Option<&Engine>,
    (before, loaded): (Option<&ImageInfo>, Option<Loaded>),
) -> Result<()> {
    let Session { ui, paths, .. } = session;
    let standard = Output::Archive(paths.archive(&plan.build.host.name));
    let Sizes { base, own } = image.sizes();
    for output in std::iter::once(&standard).chain(outputs) {
        let verb = if output.write(image, &plan.image, documents)? { "Written" } else { "Unchanged" };
        ui.status(verb, format!("{}, {}", paths.relative(output.path()), size(base.packed + own.packed)));
    }
    let Some(engine) = engine else { return Ok(()) };
    let sizes = format!("{} ({} + {})", size(base.unpacked + own.unpacked), plan.base, size(own.unpacked));
    let named = before.map(|info| &info.id);
    if named.is_some_and(|id| [image.config_digest, image.manifest_digest].iter().any(|own| own.to_string() == *id)) {
        ui.status("Unchanged", format!("{} in {engine}, {sizes}", plan.image));
        return Ok(());
    }
    let loaded = loaded.map_or_else(|| Loaded::load(ui, engine, image, before), Ok)?;
    engine.tag(ui, &loaded.id, &plan.image)?;
    let had = match loaded.present {
        0 => String::new(),
        present => format!("; {engine} had {present} of {}", count(image.layers().count(), "layer")),
    };
    ui.status("Loaded", format!("{} into {engine}, {sizes}{had}", plan.image));
    Ok(())
}
