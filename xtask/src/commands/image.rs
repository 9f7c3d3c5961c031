//! `cargo xtask image`: plan, build, assemble, verify, deliver.

use std::collections::BTreeMap;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use clap::Args;
use serde::Serialize;

use crate::assemble::{Sizes, assemble};
use crate::attest::{self, Document};
use crate::base::layers::BaseFiles;
use crate::commands::Format;
use crate::compile;
use crate::containers::engine::Runtime;
use crate::environment::engine::Wanted;
use crate::oci::reference;
use crate::pipeline::fate::{self, FinishedLayer};
use crate::pipeline::remember::remember;
use crate::plan::forecast::Forecast;
use crate::plan::{BuildPlan, ImagePlan, Tree};
use crate::publish::deliver::deliver;
use crate::publish::output::Output;
use crate::publish::push::{Push, Pushed};
use crate::reproduce::{self, Reproduced};
use crate::support::paths::Paths;
use crate::support::ui::{self, Stages, Ui};
use crate::support::{command, lock};
use crate::verify::contents::{self, BuiltPlugin};
use crate::verify::{Verified, verify};

#[derive(Args)]
pub struct ImageArgs {
    #[command(flatten)]
    pub wanted: Wanted,

    /// The image's name [default: the host's name and version]
    #[arg(long, value_name = "NAME:TAG")]
    pub tag: Option<String>,

    /// Write the image to this archive too, or with `oci:FOLDER` to an OCI layout, where what describes it refers to it; may be
    /// repeated
    #[arg(long, value_name = "FILE")]
    pub output: Vec<Output>,

    /// Push the image to a registry under this name, by skopeo with what describes it; then nothing falls back to this
    /// machine's toolchain
    #[arg(long, value_name = "NAME:TAG")]
    pub push: Option<String>,

    /// What goes to stdout: the manifest's digest, or JSON
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,

    /// Refuse to change Cargo.lock
    #[arg(long)]
    pub locked: bool,

    /// Compile from nothing, in a folder or volume of this run's own, as with --push and with CI=true: nothing that an earlier build
    /// left, or a build script changed there, gets into the image
    #[arg(long)]
    pub isolated: bool,

    /// Do not start the finished image to see that it loads every plugin
    #[arg(long)]
    pub no_verify: bool,

    /// Build everything twice more, from nothing and in two other folders, and refuse an image that does not come out the same
    #[arg(long)]
    pub verify_reproducible: bool,

    /// Whether the plugins that only tests have are in it.
    #[arg(skip)]
    pub test_plugins: bool,
}

/// A finished, delivered image; what `--format json` prints.
#[derive(Serialize)]
pub struct Made {
    pub manifest_digest: String,
    pub config_digest: String,
    pub archive: Utf8PathBuf,
    /// The bill of materials, then the provenance.
    pub documents: Vec<NamedDocument>,
    /// Into which it was loaded.
    pub runtime: Option<&'static str>,
    pub verified: Option<Verified>,
    /// Only where it was asked for.
    pub reproduced: Option<Reproduced>,
    pub pushed: Option<Pushed>,
    /// The image's `Cmd`.
    pub command: Vec<String>,
    pub plugins: Vec<BuiltPlugin>,
    pub sizes: Sizes,
    /// The base's first.
    pub layers: Vec<FinishedLayer>,
    /// Of each stage.
    pub milliseconds: BTreeMap<&'static str, u128>,
    pub plan: ImagePlan,
}

#[derive(Serialize)]
pub struct NamedDocument {
    media_type: &'static str,
    /// Beside the archive.
    file: Utf8PathBuf,
    /// The digest that the document has as an artifact, in a layout or a registry.
    referrer: String,
}

impl NamedDocument {
    fn new(document: &Document, archive: &Utf8Path) -> NamedDocument {
        NamedDocument { media_type: document.media_type, file: document.beside(archive), referrer: document.digest() }
    }
}

impl ImageArgs {
    pub fn run(&self, ui: &Ui, paths: &Paths) -> Result<()> {
        let _lock = lock::take(ui, paths)?;
        let made = self.make(ui, paths)?;
        match self.format {
            Format::Human => ui::result(&made.manifest_digest),
            Format::Json => ui::result(&serde_json::to_string_pretty(&made)?),
        }
    }

    /// The whole pipeline; the caller holds the lock.
    pub fn make(&self, ui: &Ui, paths: &Paths) -> Result<Made> {
        let mut stages = Stages::new(ui);
        let (plan, base, runtime) = stages.run("plan", || self.plan(ui, paths))?;
        let runtime = runtime.as_ref();
        let push = self.push.as_deref().map(|name| Push::prepare(ui, name, runtime)).transpose()?;
        ui.status("Planning", plan.build.summary()?);
        plan.forecast.announce(ui);
        plan.build.announce_lock(ui, paths);
        let dist = stages.run("build", || compile::build(ui, paths, &plan.build))?;
        plan.build.update_lock(paths)?;
        let image = stages.run("assemble", || assemble(ui, paths, &plan, &dist, &base))?;
        let layers = fate::of_layers(&plan, &image);
        fate::report(ui, &plan, &layers);
        let verified = stages.run("verify", || match self.no_verify {
            true => contents::check(&contents::tree(&image, &base)?, &plan).map(|()| None),
            false => verify(ui, paths, &plan, &image, &base, runtime),
        })?;
        if verified.is_none() {
            ui.status("Not verified", "whether the image starts is not known");
        }
        let reproduce = || reproduce::verify(ui, paths, &self.tree(paths)?, &plan, &base, &image);
        let reproduced = self.verify_reproducible.then(|| stages.run("reproduce", reproduce)).transpose()?;
        let documents = stages.run("describe", || attest::describe(paths, &plan, &dist, &image))?;
        stages.run("deliver", || deliver(ui, paths, &plan, &image, &documents, &self.output, runtime))?;
        remember(paths, &plan, &dist, &image)?;
        let archive = paths.archive(&plan.build.host.name);
        let push = || push.map(|push| push.run(ui, paths, &plan, &image, &documents)).transpose();
        let pushed = stages.run("push", push)?;
        let sizes = image.sizes();
        Ok(Made {
            manifest_digest: image.manifest_digest,
            config_digest: image.config_digest,
            documents: documents.iter().map(|document| NamedDocument::new(document, &archive)).collect(),
            archive,
            runtime: runtime.map(Runtime::program),
            verified,
            reproduced,
            pushed,
            command: plan.command.clone(),
            plugins: contents::plugins(&plan.build, &dist)?,
            sizes,
            layers,
            milliseconds: stages.finish(),
            plan,
        })
    }

    /// The plan, what the base holds, and the runtime if one answers; the caller holds the lock.
    pub fn plan(&self, ui: &Ui, paths: &Paths) -> Result<(ImagePlan, BaseFiles, Option<Runtime>)> {
        let name = self.tag.as_deref().map(reference::parse).transpose()?;
        self.output.iter().try_for_each(Output::check)?;
        let tree = self.tree(paths)?;
        let strict = self.push.is_some() || command::is_ci();
        let settled = self.wanted.settle(ui, paths, strict)?;
        let build = BuildPlan::make(ui, paths, &tree, self.locked, settled.engine, settled.toolchain)?;
        let mut build = build.on(&settled.base, settled.files.layers.len())?;
        // What only tests start, nobody else relies on.
        build.isolated = self.isolated || strict && !self.test_plugins;
        let forecast = Forecast::make(ui, paths, &build, &settled.files)?;
        Ok((ImagePlan::new(build, settled.base, name, forecast)?, settled.files, settled.runtime))
    }

    fn tree(&self, paths: &Paths) -> Result<Tree> {
        if self.test_plugins { Tree::read_for_tests(paths) } else { Tree::read(paths) }
    }
}
