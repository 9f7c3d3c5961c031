//! Checks that an image is reproducible: builds it once more from scratch, in another directory, and compares.

mod difference;
mod json;

use anyhow::{Result, bail};
use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;

use crate::assemble::Image;
use crate::containers::labels::Labels;
use crate::environment::options::BuildEnvironment;
use crate::plan::ImagePlan;
use crate::reproduce::difference::{Bytes, Difference};
use crate::support::files;
use crate::support::paths::Paths;
use crate::support::session::Session;

/// A clean build made the image that is delivered.
#[derive(Serialize)]
pub struct Reproduced {
    /// Where it compiled the sources: on this machine or in the container.
    #[serde(rename = "directory")]
    dir: Utf8PathBuf,
}

/// `build` makes the same image in a target directory that is empty. An error names the first difference; whatever the builds made
/// is removed.
pub fn verify(
    session: &Session,
    plan: &ImagePlan,
    image: &Image,
    build: impl Fn(&Session) -> Result<Image>,
) -> Result<Reproduced> {
    let [first, second] = session.paths.for_reproduction().map(|paths| session.inside(&paths));
    // Contains nothing else, and is removed afterwards.
    let dir = session.paths.reproduction();
    let clean = again(&second, &dir, plan, &build)?;
    let Some(difference) = difference::first(&clean, &Bytes::read(image)?)? else {
        session.ui.status("Reproducible", format!("a clean build in another directory: {}", image.manifest_digest));
        return Ok(Reproduced { dir: compiled_in(&second.paths, plan) });
    };
    // Two clean builds show the cause: either every build differs, or earlier builds left files.
    if let Some(difference) = difference::first(&again(&first, &dir, plan, &build)?, &clean)? {
        let [first, second] = [first, second].map(|session| compiled_in(&session.paths, plan));
        bail!(
            "the image is not reproducible: two clean builds, in {first} and {second}, differ\n  - {difference}\n{}",
            fix(plan, &difference)
        );
    }
    bail!(
        "two clean builds make the same image, but this one differs: it contains files of earlier builds; remove them \
         with `cargo xtask clean --volumes`\n  - {difference}"
    );
}

/// Builds the image in a target directory that is empty before and removed afterwards.
fn again(
    session: &Session,
    dir: &Utf8Path,
    plan: &ImagePlan,
    build: impl Fn(&Session) -> Result<Image>,
) -> Result<Bytes> {
    // Left by a run that was killed.
    clear(session, dir, plan)?;
    session.ui.status("Reproducing", format!("from nothing in {}", session.paths.relative(&session.paths.image)));
    let made = build(session).and_then(|image| Bytes::read(&image));
    let cleared = clear(session, dir, plan);
    let bytes = made?;
    cleared.map(|()| bytes)
}

fn clear(session: &Session, dir: &Utf8Path, plan: &ImagePlan) -> Result<()> {
    files::remove(dir)?;
    match &plan.build.environment {
        BuildEnvironment::Local => Ok(()),
        BuildEnvironment::Container(builder) => {
            Labels::new(session)?.remove_volumes(&session.ui, &builder.engine).map(drop)
        }
    }
}

fn compiled_in(paths: &Paths, plan: &ImagePlan) -> Utf8PathBuf {
    match plan.build.environment {
        BuildEnvironment::Local => paths.image.clone(),
        BuildEnvironment::Container(_) => paths.in_container().root,
    }
}

/// The most likely cause, and its fix.
fn fix(plan: &ImagePlan, difference: &Difference) -> String {
    let Difference::File { path, .. } = difference else {
        return "a commit was made during the build, or the build system has a bug; run the command again".to_owned();
    };
    let build = &plan.build;
    let is = |name: &str| build.host.working_dir.join(name) == *path;
    let culprit = match build.plugins.iter().find(|plugin| is(&build.file_name(plugin))) {
        Some(plugin) => format!("the plugin {} ({}), or a crate that it uses,", plugin.name, plugin.path),
        None => "a crate that is linked into it".to_owned(),
    };
    format!(
        "{culprit} includes a time, a random number or a path at compile time, usually through a build script or a macro; \
         remove it"
    )
}
