//! Whether an image is reproducible: everything is compiled and assembled twice more, from nothing and in two other folders,
//! and what comes of it is compared with the image that is to be delivered.

mod difference;
mod json;

use anyhow::{Result, bail, ensure};
use camino::Utf8PathBuf;
use serde::Serialize;

use crate::assemble::{Image, assemble};
use crate::base::layers::BaseFiles;
use crate::compile;
use crate::containers::labels::Owner;
use crate::environment::engine::Engine;
use crate::plan::forecast::Forecast;
use crate::plan::{BuildPlan, ImagePlan, Tree};
use crate::reproduce::difference::{Bytes, Difference};
use crate::source::copy;
use crate::support::files;
use crate::support::paths::Paths;
use crate::support::ui::Ui;

/// Two builds from nothing came to the image that is delivered.
#[derive(Serialize)]
pub struct Reproduced {
    /// Where their sources were compiled, on the machine that did.
    folders: [Utf8PathBuf; 2],
}

/// The caller holds the lock. An error names the first difference; whatever the builds made is removed.
pub fn verify(
    ui: &Ui,
    paths: &Paths,
    tree: &Tree,
    plan: &ImagePlan,
    base: &BaseFiles,
    image: &Image,
) -> Result<Reproduced> {
    let (folder, sources) = (paths.reproduction(), copy::digest(&paths.sources())?);
    let again = Again { ui, tree, plan, base, folder, sources };
    let [first, second] = &paths.for_reproduction();
    let (one, two) = (again.build(first)?, again.build(second)?);
    let folders = [first, second].map(|paths| compiled_in(paths, plan));
    if let Some(difference) = difference::first(&one, &two)? {
        let [first, second] = &folders;
        bail!(
            "the image is not reproducible: two builds from nothing, in {first} and {second}, differ\n  - {difference}\n{}",
            remedy(plan, &difference)
        );
    }
    if let Some(difference) = difference::first(&one, &Bytes::read(image)?)? {
        bail!(
            "two builds from nothing make one image, and it is not this one, which has files of earlier builds in it: remove \
             them by `cargo xtask clean --volumes`\n  - {difference}"
        );
    }
    ui.status("Reproducible", format!("two builds from nothing in two folders: {}", image.manifest_digest));
    Ok(Reproduced { folders })
}

/// What is built once more, wherever that is.
struct Again<'a> {
    ui: &'a Ui,
    tree: &'a Tree,
    plan: &'a ImagePlan,
    base: &'a BaseFiles,
    /// Holds nothing else, and is gone afterwards.
    folder: Utf8PathBuf,
    /// The digest of what was compiled.
    sources: String,
}

impl Again<'_> {
    /// The image as it comes out of a target folder that is empty before and gone afterwards.
    fn build(&self, paths: &Paths) -> Result<Bytes> {
        // What a run left that was killed.
        self.clear(paths)?;
        self.ui.status("Reproducing", format!("from nothing in {}", paths.relative(&paths.image)));
        let made = self.make(paths);
        let cleared = self.clear(paths);
        let bytes = made?;
        cleared.map(|()| bytes)
    }

    fn make(&self, paths: &Paths) -> Result<Bytes> {
        let (engine, toolchain) = (self.plan.build.engine.clone(), self.plan.build.toolchain.clone());
        let build = BuildPlan::make(self.ui, paths, self.tree, true, engine, toolchain)?
            .on(&self.plan.base, self.base.layers.len())?;
        ensure!(
            copy::digest(&paths.sources())? == self.sources,
            "the tree was changed while it was built: leave it alone until the image is compared"
        );
        let forecast = Forecast::make(self.ui, paths, &build, self.base)?;
        let plan = ImagePlan::new(build, self.plan.base.clone(), Some(self.plan.image.clone()), forecast)?;
        let dist = compile::build(self.ui, paths, &plan.build)?;
        Bytes::read(&assemble(self.ui, paths, &plan, &dist, self.base)?)
    }

    fn clear(&self, paths: &Paths) -> Result<()> {
        files::remove(&self.folder)?;
        match &self.plan.build.engine {
            Engine::Local => Ok(()),
            Engine::Container(builder) => {
                Owner::of(self.ui, paths)?.remove_volumes(self.ui, &builder.runtime).map(drop)
            }
        }
    }
}

fn compiled_in(paths: &Paths, plan: &ImagePlan) -> Utf8PathBuf {
    match plan.build.engine {
        Engine::Local => paths.image.clone(),
        Engine::Container(_) => paths.in_container.into(),
    }
}

/// What most likely is behind it.
fn remedy(plan: &ImagePlan, difference: &Difference) -> String {
    let Difference::File { path, .. } = difference else {
        return "a commit was made meanwhile, or the build system itself is at fault: run it once more".to_owned();
    };
    let build = &plan.build;
    let is = |name: &str| build.host.working_folder.join(name) == *path;
    let culprit = match build.plugins.iter().find(|plugin| is(&build.file_name(plugin))) {
        Some(plugin) => format!("the plugin {} ({}), or a crate that it uses,", plugin.name, plugin.path),
        None => "a crate that is linked into it".to_owned(),
    };
    format!(
        "{culprit} takes in a time, a random number or a path while it is compiled, as a rule in a build script or a macro: \
         take that out"
    )
}
