//! Writes a verified image to the archive and other outputs, and loads it into a container engine.

use anyhow::Result;

use crate::assemble::{Image, Sizes, archive};
use crate::attest::Document;
use crate::containers::engine::Engine;
use crate::plan::ImagePlan;
use crate::publish::output::Output;
use crate::support::session::Session;
use crate::support::ui::size;
use crate::verify::held;

/// Writes the archive and the other outputs, each with its documents, and loads the image. Skips what is there. `known` is its id in the
/// engine, if that has it already.
pub fn deliver(
    session: &Session,
    plan: &ImagePlan,
    image: &Image,
    documents: &[Document],
    outputs: &[Output],
    engine: Option<&Engine>,
    known: Option<String>,
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
    let named = engine.inspect(ui, &plan.image)?.map(|info| info.id);
    if named
        .as_ref()
        .is_some_and(|id| [image.config_digest, image.manifest_digest].iter().any(|known| known.to_string() == *id))
    {
        ui.status("Unchanged", format!("{} in {engine}, {sizes}", plan.image));
        return Ok(());
    }
    let id = match known.map_or_else(|| held(ui, engine, image), |id| Ok(Some(id)))? {
        Some(id) => id,
        None => engine.load(ui, |out| archive::write(image, None, out))?,
    };
    engine.tag(ui, &id, &plan.image)?;
    ui.status("Loaded", format!("{} into {engine}, {sizes}", plan.image));
    Ok(())
}
