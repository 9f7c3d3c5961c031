//! What compiles, for which base: all of it is settled before anything does.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::base::Base;
use crate::base::layers::BaseFiles;
use crate::cargo::toolchain::{self, Toolchain};
use crate::containers::dockerfile::Unusable;
use crate::containers::engine::{Broken, ImageInfo, Runtime};
use crate::containers::images::{self, BASE_FILE, BUILDER_FILE};
use crate::environment::builder::Builder;
use crate::environment::pins;
use crate::support::faults::Faults;
use crate::support::paths::Paths;
use crate::support::ui::Ui;
use crate::support::variables;

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub enum EngineChoice {
    /// docker, then podman, if it has builder and base or can pull them; else local on scratch
    Auto,
    Docker,
    Podman,
    /// This machine's toolchain
    Local,
}

/// What the command line says of compiler and base.
#[derive(Args, Clone, Debug)]
pub struct Wanted {
    /// What compiles [default: auto]
    #[arg(long, value_enum)]
    pub engine: Option<EngineChoice>,

    /// The image that compiles [default: the one of docker/builder.Dockerfile]
    #[arg(long, value_name = "IMAGE")]
    pub builder_image: Option<String>,

    /// The release of Rust that is wanted [default: the one of rust-toolchain.toml]
    #[arg(long, value_name = "RELEASE")]
    pub toolchain: Option<String>,

    /// What the image stands on [default: the one of docker/deploy.Dockerfile]: an image, an OCI layout (its folder, or
    /// `oci:FOLDER:NAME`), a root file system ending in .tar, .tar.gz or .tgz, or `scratch`; where there is no docker and no
    /// podman, skopeo gives out images
    #[arg(long, value_name = "BASE")]
    pub base: Option<String>,

    /// How long docker or podman may take to pull an image
    #[arg(long, value_name = "SECONDS", default_value_t = 900)]
    pub pull_timeout: u64,

    /// Runtimes that were tried, and are not taken.
    #[arg(skip)]
    pub broken: Vec<Broken>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Engine {
    Local,
    Container(Box<Builder>),
}

/// All that was settled.
pub struct Settled {
    pub engine: Engine,
    pub toolchain: Toolchain,
    pub base: Base,
    pub files: BaseFiles,
    /// What verifies and receives the image.
    pub runtime: Option<Runtime>,
}

impl Engine {
    /// For the image: docker and podman give the same bytes.
    pub fn label(&self) -> &'static str {
        match self {
            Engine::Local => "local",
            Engine::Container(_) => "container",
        }
    }

    pub fn name(&self) -> &'static str {
        match self {
            Engine::Local => "local",
            Engine::Container(builder) => builder.runtime.program(),
        }
    }
}

impl Wanted {
    /// `strict`: a part that is missing is an error, and never a reason to fall back.
    pub fn settle(&self, ui: &Ui, paths: &Paths, strict: bool) -> Result<Settled> {
        match self.engine.unwrap_or(EngineChoice::Auto) {
            EngineChoice::Docker => self.by(ui, paths, "docker"),
            EngineChoice::Podman => self.by(ui, paths, "podman"),
            EngineChoice::Local => {
                if self.base.is_none() {
                    ui.warning(
                        "the image stands on scratch: it has no shell, and this machine's libc; choose a base with --base IMAGE",
                    );
                }
                self.locally(ui, paths)
            }
            EngineChoice::Auto => self.automatically(ui, paths, strict),
        }
    }

    fn by(&self, ui: &Ui, paths: &Paths, program: &'static str) -> Result<Settled> {
        self.check_pins(paths)?;
        let runtime = Runtime::named(ui, program)?;
        let images = self.images(ui, paths, &runtime)?;
        self.in_container(ui, paths, runtime, images)
    }

    /// The builder's pin and the toolchain's, unless one is overridden.
    fn check_pins(&self, paths: &Paths) -> Result<()> {
        match (&self.builder_image, &self.toolchain) {
            (None, None) => pins::check_rust(paths),
            _ => Ok(()),
        }
    }

    fn automatically(&self, ui: &Ui, paths: &Paths, strict: bool) -> Result<Settled> {
        self.check_pins(paths)?;
        let mut reasons = Vec::new();
        for program in ["docker", "podman"] {
            let found = Runtime::named(ui, program).and_then(|runtime| {
                let images = self.images(ui, paths, &runtime)?;
                Ok((runtime, images))
            });
            match found {
                // From here on what is wrong is an error, and no reason to take something else.
                Ok((runtime, images)) => return self.in_container(ui, paths, runtime, images),
                Err(error) if error.is::<Unusable>() => return Err(error),
                Err(error) => reasons.push(format!("{error:#}").replace('\n', "\n    ")),
            }
        }
        let reasons = reasons.join("\n  - ");
        if strict {
            bail!(
                "nothing here can compile in a container, and with CI=true or --push nothing falls back to this machine's \
                 toolchain; name it with --engine local\n  - {reasons}"
            );
        }
        ui.warning(format!(
            "nothing here can compile in a container, so this machine's toolchain compiles, for {}:\n  - {reasons}",
            self.base.as_deref().unwrap_or("scratch, with this machine's libc and no shell")
        ));
        self.locally(ui, paths)
    }

    fn locally(&self, ui: &Ui, paths: &Paths) -> Result<Settled> {
        let toolchain = Toolchain::find(ui, &paths.root, self.toolchain.as_deref())?;
        let runtime = Runtime::find(ui, &self.broken);
        let architecture = toolchain.architecture()?;
        let (text, limit) = (self.base.as_deref().unwrap_or("scratch"), Duration::from_secs(self.pull_timeout));
        let base = Base::find(ui, paths, text, runtime.as_ref(), architecture, limit)?;
        if let Err(why) = &runtime {
            ui.status("Skipping", format!("the runtime: {why:#}"));
        }
        let runtime = runtime.ok();
        let files = crate::base::layers::read(ui, paths, &base, runtime.as_ref(), architecture)?;
        Ok(Settled { engine: Engine::Local, toolchain, base, files, runtime })
    }

    /// The builder and what there is of a base in the runtime, or why they cannot be had.
    fn images(&self, ui: &Ui, paths: &Paths, runtime: &Runtime) -> Result<Images> {
        let limit = Duration::from_secs(self.pull_timeout);
        let builder = match &self.builder_image {
            Some(reference) => images::named(ui, runtime, reference, limit)?,
            None => images::described(ui, paths, runtime, BUILDER_FILE, limit)?,
        };
        let base = match &self.base {
            Some(text) => Base::find(ui, paths, text, Ok(runtime), &builder.1.architecture, limit)?,
            None => Base::image(images::described(ui, paths, runtime, BASE_FILE, limit)?, &builder.1.architecture)?,
        };
        Ok(Images { builder, base })
    }

    /// Compiles in the builder; the errors say what of it is wrong.
    fn in_container(&self, ui: &Ui, paths: &Paths, runtime: Runtime, images: Images) -> Result<Settled> {
        let pinned = toolchain::pinned(&paths.root)?;
        let channel = self.toolchain.clone().unwrap_or(pinned);
        let builder = Builder::ask(ui, paths, &runtime, images.builder, &channel)?;
        let host = builder.facts.line("host").context("the builder's rustc names no host")?.to_owned();
        let base = images.base;
        let files = crate::base::layers::read(ui, paths, &base, Some(&runtime), toolchain::architecture(&host)?)?;
        if self.builder_image.is_none() && self.base.is_none() {
            pins::check_musl(&builder, &files)?;
        }
        let toolchain = in_builder(&builder, channel, host, &files)?;
        Ok(Settled { engine: Engine::Container(Box::new(builder)), toolchain, base, files, runtime: Some(runtime) })
    }
}

/// What a container engine needs, as the runtime has it.
struct Images {
    builder: (String, ImageInfo),
    base: Base,
}

/// The builder's compiler is the wanted one, and its target follows the base's libc where the builder has std for it.
fn in_builder(builder: &Builder, channel: String, host: String, base: &BaseFiles) -> Result<Toolchain> {
    let (reference, facts) = (&builder.reference, &builder.facts);
    let release = facts.line("release").unwrap_or_default();
    if release != channel {
        return Err(anyhow!(
            "the builder {reference} has Rust {release}, wanted is {channel}; change one of {BUILDER_FILE} and {}, or name \
             --builder-image or --toolchain",
            toolchain::FILE
        ));
    }
    let config = toml::from_str(&facts.config)
        .with_context(|| format!("reading cargo's configuration in the builder {reference}"))?;
    let mut faults = Faults::default();
    variables::check_config(&config, &format!("cargo's configuration in the builder {reference}"), &mut faults);
    faults.report("the builder")?;
    let processor = host.split('-').next().unwrap_or_default();
    let musl = format!("{processor}-unknown-linux-musl");
    let base_is_musl = base.tree.read(&pins::musl_interpreter(processor))?.is_some();
    let target = if base_is_musl && facts.targets.contains(&musl) { musl } else { host.clone() };
    let linker = facts.linker(&target);
    if !facts.linkers.contains(&linker) {
        return Err(anyhow!(
            "the builder {reference} has no linker for {target}: there is no `{linker}` on its PATH; install one (the package \
             gcc, as a rule) in {BUILDER_FILE}, or name another image with --builder-image"
        ));
    }
    Ok(Toolchain { linker, verbose_version: facts.rustc.clone(), channel, host, target })
}
