//! Brings a verified image to where it is wanted: the archive, another file, the runtime.

use anyhow::Result;
use camino::Utf8Path;

use crate::assemble::{Image, archive};
use crate::paths::Paths;
use crate::plan::ImagePlan;
use crate::runtime::Runtime;
use crate::ui::{Ui, size};
use crate::verify::held;

/// Writes the archive, to `output` too, and names the image in the runtime. What is already so stays untouched.
pub fn deliver(
    ui: &Ui,
    paths: &Paths,
    plan: &ImagePlan,
    image: &Image,
    output: Option<&Utf8Path>,
    runtime: Option<&Runtime>,
) -> Result<()> {
    let standard = paths.archive(&plan.build.host.name);
    for path in std::iter::once(standard.as_path()).chain(output) {
        let written = archive::write_file(image, &plan.image, path)?;
        let verb = if written { "Written" } else { "Unchanged" };
        let bytes = std::fs::metadata(path).map(|file| file.len()).unwrap_or_default();
        ui.status(verb, format!("{}, {}", paths.relative(path), size(bytes)));
    }
    let Some(runtime) = runtime else { return Ok(()) };
    let (base, own) = image.unpacked();
    let sizes = format!("{} ({} + {})", size(base + own), plan.base, size(own));
    let named = runtime.inspect(ui, &plan.image)?.map(|info| info.id);
    if named.as_ref().is_some_and(|id| [&image.config_digest, &image.manifest_digest].contains(&id)) {
        ui.status("Unchanged", format!("{} in {runtime}, {sizes}", plan.image));
        return Ok(());
    }
    let id = match held(ui, runtime, image)? {
        Some(id) => id,
        None => runtime.load(ui, |out| archive::write(image, None, out))?,
    };
    runtime.tag(ui, &id, &plan.image)?;
    ui.status("Loaded", format!("{} into {runtime}, {sizes}", plan.image));
    Ok(())
}
