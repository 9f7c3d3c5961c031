//! An image in a container engine, without a name: no name may point to an image that does not start.

use anyhow::Result;

use crate::assemble::{Image, archive};
use crate::containers::engine::Engine;
use crate::containers::engine::images::ImageInfo;
use crate::support::ui::Ui;

pub struct Loaded {
    pub id: String,
    /// How many of its layers the engine had, from the bottom up.
    pub present: usize,
}

impl Loaded {
    /// Loads it. `before` is what the engine has under the name that it will get.
    pub fn load(ui: &Ui, engine: &Engine, image: &Image, before: Option<&ImageInfo>) -> Result<Loaded> {
        let present = before.map_or(0, |before| shared(image, before));
        if let Some(id) = load_above(ui, engine, image, present) {
            return Ok(Loaded { id, present });
        }
        let id = engine.load(ui, |out| archive::write(image, None, out))?;
        Ok(Loaded { id, present: 0 })
    }

    /// Removes an image that is not to be kept, unless it has a name: then it belongs to somebody else. An error of the removal would hide the
    /// real one.
    pub fn discard(&self, ui: &Ui, engine: &Engine) {
        if let Ok(Some(info)) = engine.inspect(ui, &self.id)
            && info.repo_tags.is_none_or(|names| names.is_empty())
        {
            let _ = engine.remove(ui, &self.id);
        }
    }
}

/// How many of its lowest layers are another image's lowest, too.
fn shared(image: &Image, other: &ImageInfo) -> usize {
    let pairs = image.layers().zip(&other.root_fs.layers);
    pairs.take_while(|(own, theirs)| own.layer.diff_id == **theirs).count()
}

/// Loads it without its lowest layers, which docker has: of an archive it reads only layers that it lacks. `None` if that did not
/// succeed: an engine may keep images in another way, and somebody may have removed the other image meanwhile.
/// Source: moby, `image/tarexport/load.go`.
fn load_above(ui: &Ui, engine: &Engine, image: &Image, present: usize) -> Option<String> {
    if present == 0 || engine.program() != "docker" {
        return None;
    }
    let id = engine.load(ui, |out| archive::write_above(image, present, out)).ok()?;
    // Only a store that knows images by their configurations compares the layers with it.
    let is_whole = id == image.config_digest.to_string();
    if !is_whole {
        let _ = engine.remove(ui, &id);
    }
    is_whole.then_some(id)
}
