//! What compiles, for which base: all of it is settled before anything does.

use anyhow::{Context, Result, anyhow, bail};
use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::assemble::base::BaseFiles;
use crate::paths::Paths;
use crate::plan::base::Base;
use crate::plan::builder::{BASE_FILE, BUILDER_FILE, Builder, obtain};
use crate::plan::toolchain::{self, Toolchain};
use crate::runtime::Runtime;
use crate::ui::Ui;

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
#[derive(Args, Clone, Debug, Default)]
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

    /// What the image stands on [default: the one of docker/deploy.Dockerfile]: `scratch`, a root file system ending in .tar or
    /// .tar.gz, or an image that docker or podman has
    #[arg(long, value_name = "BASE")]
    pub base: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Engine {
    Local,
    Container(Builder),
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
            EngineChoice::Docker => self.in_container(ui, paths, Runtime::named(ui, "docker")?),
            EngineChoice::Podman => self.in_container(ui, paths, Runtime::named(ui, "podman")?),
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

    fn automatically(&self, ui: &Ui, paths: &Paths, strict: bool) -> Result<Settled> {
        let mut reasons = Vec::new();
        for program in ["docker", "podman"] {
            let settled = Runtime::named(ui, program).and_then(|runtime| self.in_container(ui, paths, runtime));
            match settled {
                Ok(settled) => return Ok(settled),
                Err(error) => reasons.push(format!("{error:#}")),
            }
        }
        let reasons = reasons.join("\n  - ");
        if strict {
            bail!(
                "nothing here can compile in a container, and CI=true forbids to fall back to this machine's toolchain; \
                 name it with --engine local\n  - {reasons}"
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
        let runtime = Runtime::find(ui);
        let architecture = toolchain.architecture()?;
        let base = Base::find(ui, self.base.as_deref().unwrap_or("scratch"), &runtime, architecture)?;
        if let Err(why) = &runtime {
            ui.status("Skipping", format!("the runtime: {why:#}"));
        }
        let runtime = runtime.ok();
        let files = crate::assemble::base::read(ui, paths, &base, runtime.as_ref())?;
        Ok(Settled { engine: Engine::Local, toolchain, base, files, runtime })
    }

    /// Compiles in the builder; the errors say what of it is missing.
    fn in_container(&self, ui: &Ui, paths: &Paths, runtime: Runtime) -> Result<Settled> {
        let pinned = toolchain::pinned(&paths.root)?;
        let channel = self.toolchain.clone().unwrap_or(pinned);
        let builder = Builder::find(ui, paths, &runtime, self.builder_image.as_deref(), &channel)
            .with_context(|| format!("{runtime} as the engine"))?;
        let host = builder.facts.line("host").context("the builder's rustc names no host")?.to_owned();
        let base = match &self.base {
            Some(text) => Base::find(ui, text, &Ok(runtime.clone()), toolchain::architecture(&host)?)?,
            None => {
                let (reference, info) =
                    obtain(ui, paths, &runtime, None, BASE_FILE).with_context(|| format!("{runtime} as the engine"))?;
                Base::Image { reference, id: info.id.clone(), info }
            }
        };
        let files = crate::assemble::base::read(ui, paths, &base, Some(&runtime))?;
        let toolchain = in_builder(&builder, channel, host, &files)?;
        Ok(Settled { engine: Engine::Container(builder), toolchain, base, files, runtime: Some(runtime) })
    }
}

/// The builder's compiler is the wanted one, and its target follows the base's libc where the builder has std for it.
fn in_builder(builder: &Builder, channel: String, host: String, base: &BaseFiles) -> Result<Toolchain> {
    let release = builder.facts.line("release").unwrap_or_default();
    if release != channel {
        return Err(anyhow!(
            "the builder {} has Rust {release}, wanted is {channel}; change one of {BUILDER_FILE} and {}, or name \
             --builder-image or --toolchain",
            builder.reference,
            toolchain::FILE
        ));
    }
    let processor = host.split('-').next().unwrap_or_default();
    let musl = format!("{processor}-unknown-linux-musl");
    let base_is_musl = base.tree.read(format!("/lib/ld-musl-{processor}.so.1").as_str().into())?.is_some();
    let target = if base_is_musl && builder.facts.targets.contains(&musl) { musl } else { host.clone() };
    Ok(Toolchain {
        linker: builder.facts.linker(&target),
        verbose_version: builder.facts.rustc.clone(),
        channel,
        host,
        target,
    })
}
