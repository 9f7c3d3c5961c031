//! Chooses where to compile and on which base image, before anything is compiled.

use std::time::Duration;

use anyhow::{Result, bail};
use clap::ValueEnum;
use serde::Serialize;

use crate::base::Base;
use crate::base::layers::BaseFiles;
use crate::cargo::toolchain::{self, Toolchain};
use crate::containers::dockerfile::{self, Dockerfile, Unusable};
use crate::containers::engine::images::ImageInfo;
use crate::containers::engine::{Broken, Engine};
use crate::containers::images::{self, BASE_FILE, BUILDER_FILE};
use crate::environment::builder::Builder;
use crate::environment::{pins, target};
use crate::support::paths::Paths;
use crate::support::session::Session;
use crate::support::threads::at_once;

/// The request.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub enum EnvironmentChoice {
    /// In a container, if docker or podman can provide the builder and the base image; otherwise as `local`, on `scratch`
    Auto,
    /// In a container of docker
    Docker,
    /// In a container of podman
    Podman,
    /// With this machine's toolchain
    Local,
    /// By docker's buildx, on the builder that it names or that `--builder` names, from the Dockerfile of `cargo xtask dockerfile`
    Buildx,
}

/// Where to compile, and on which base image.
#[derive(Clone, Debug)]
pub struct EnvironmentOptions {
    pub choice: EnvironmentChoice,
    /// Replaces the image of docker/builder.Dockerfile.
    pub builder_image: Option<String>,
    /// Replaces the release that rust-toolchain.toml pins.
    pub toolchain: Option<String>,
    /// Replaces the image of docker/deploy.Dockerfile; see [`Base::find`].
    pub base: Option<String>,
    /// Of the image; the builder's own if nobody asks for one.
    pub architecture: Option<String>,
    /// Whether a builder of another architecture than the engine's may run.
    pub emulate: bool,
    /// How long pulling an image may take.
    pub pull_timeout: Duration,
    /// Container engines that were tried and do not work.
    pub broken: Vec<Broken>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum BuildEnvironment {
    Local,
    Container(Box<Builder>),
}

/// The complete result.
pub struct ResolvedEnvironment {
    pub environment: BuildEnvironment,
    pub toolchain: Toolchain,
    pub base: Base,
    pub files: BaseFiles,
    /// The engine that verifies and receives the image.
    pub engine: Option<Engine>,
}

impl BuildEnvironment {
    /// For the image's label: docker and podman make the same bytes.
    pub fn label(&self) -> &'static str {
        match self {
            BuildEnvironment::Local => "local",
            BuildEnvironment::Container(_) => "container",
        }
    }

    pub fn name(&self) -> &'static str {
        match self {
            BuildEnvironment::Local => "local",
            BuildEnvironment::Container(builder) => builder.engine.program(),
        }
    }
}

impl EnvironmentOptions {
    /// `strict`: a part that is missing is an error, and never a reason to fall back.
    pub fn resolve(&self, session: &Session, strict: bool) -> Result<ResolvedEnvironment> {
        let Session { ui, .. } = session;
        match self.choice {
            EnvironmentChoice::Docker => self.with_engine(session, "docker"),
            EnvironmentChoice::Podman => self.with_engine(session, "podman"),
            EnvironmentChoice::Local => {
                if self.base.is_none() {
                    ui.warning(
                        "the image has no base image, hence no shell, and it contains this machine's libc; choose a base \
                         image with --base IMAGE",
                    );
                }
                self.locally(session)
            }
            EnvironmentChoice::Auto => self.automatically(session, strict),
            EnvironmentChoice::Buildx => {
                bail!("--engine buildx builds an image from a Dockerfile; only `cargo xtask image` can do that")
            }
        }
    }

    fn with_engine(&self, session: &Session, program: &'static str) -> Result<ResolvedEnvironment> {
        let Session { ui, paths, .. } = session;
        self.check_pins(paths)?;
        let engine = Engine::named(ui, program)?;
        let images = self.images(session, &engine)?;
        self.in_container(session, engine, images)
    }

    /// The builder's pin and the toolchain's, unless one is overridden.
    fn check_pins(&self, paths: &Paths) -> Result<()> {
        match (&self.builder_image, &self.toolchain) {
            (None, None) => pins::check_rust(paths),
            _ => Ok(()),
        }
    }

    fn automatically(&self, session: &Session, strict: bool) -> Result<ResolvedEnvironment> {
        let Session { ui, paths, .. } = session;
        self.check_pins(paths)?;
        let mut reasons = Vec::new();
        for program in ["docker", "podman"] {
            let found = Engine::named(ui, program).and_then(|engine| {
                let images = self.images(session, &engine)?;
                Ok((engine, images))
            });
            match found {
                // From here on an error is reported, and nothing else is tried.
                Ok((engine, images)) => return self.in_container(session, engine, images),
                Err(error) if error.is::<Unusable>() => return Err(error),
                Err(error) => reasons.push(format!("{error:#}").replace('\n', "\n    ")),
            }
        }
        let reasons = reasons.join("\n  - ");
        if strict {
            bail!(
                "no container engine here can compile, and with CI=true or --push this machine's toolchain compiles only if \
                 you choose it with --engine local\n  - {reasons}"
            );
        }
        ui.warning(format!(
            "no container engine here can compile; compiling with this machine's toolchain, for {}:\n  - {reasons}",
            self.base.as_deref().unwrap_or("scratch (this machine's libc, no shell)")
        ));
        self.locally(session)
    }

    fn locally(&self, session: &Session) -> Result<ResolvedEnvironment> {
        let Session { ui, paths, .. } = session;
        let (engine, toolchain) =
            at_once(|| Engine::find(ui, &self.broken), || Toolchain::find(ui, &paths.root, self.toolchain.as_deref()));
        let toolchain = toolchain?;
        let architecture = toolchain.architecture()?;
        if let Some(wanted) = self.architecture.as_deref().filter(|wanted| *wanted != architecture) {
            bail!(
                "--platform linux/{wanted}: this machine compiles for linux/{architecture} alone; use a builder in a container, \
                 or a machine of that platform, and join the images with `cargo xtask index`"
            );
        }
        let (text, limit) = (self.base.as_deref().unwrap_or("scratch"), self.pull_timeout);
        let base = Base::find(session, text, engine.as_ref(), architecture, limit)?;
        if let Err(why) = &engine {
            ui.status("Skipping", format!("the container engine: {why:#}"));
        }
        let engine = engine.ok();
        let files = crate::base::layers::read(session, &base, engine.as_ref(), architecture, limit)?;
        let toolchain = target::on_this_machine(ui, toolchain, &files)?;
        Ok(ResolvedEnvironment { environment: BuildEnvironment::Local, toolchain, base, files, engine })
    }

    /// The builder, and the base image for the platform; or why they are not available.
    fn images(&self, session: &Session, engine: &Engine) -> Result<Images> {
        let Session { ui, .. } = session;
        let limit = self.pull_timeout;
        let builder = match &self.builder_image {
            Some(reference) => images::named(ui, engine, reference, limit)?,
            None => images::described(session, engine, BUILDER_FILE, limit)?,
        };
        let architecture = self.architecture.clone().unwrap_or_else(|| builder.1.architecture.clone());
        let is_foreign = architecture != builder.1.architecture;
        let native = engine.architecture(ui)?;
        if builder.1.architecture != native && !self.emulate {
            bail!(Unusable(format!(
                "the builder {} is for linux/{}, but {engine} runs linux/{native}; choose a builder of that platform, which can \
                 compile for others too, or allow emulation, which takes many times as long, with --emulate",
                builder.0, builder.1.architecture
            )));
        }
        let base = match &self.base {
            Some(text) if is_foreign => Base::find_foreign(session, text, engine, &architecture, limit)?,
            Some(text) => Base::find(session, text, Ok(engine), &architecture, limit)?,
            None if is_foreign => match dockerfile::read(&session.paths.root.join(BASE_FILE))? {
                Dockerfile::Names(image) => Base::find_foreign(session, &image, engine, &architecture, limit)?,
                Dockerfile::Built { .. } => bail!(Unusable(format!(
                    "{BASE_FILE} has instructions, which cannot run for linux/{architecture} here; name a base image of that \
                     platform with --base"
                ))),
            },
            None => Base::image(images::described(session, engine, BASE_FILE, limit)?, &architecture)?,
        };
        Ok(Images { builder, base, architecture })
    }

    /// Compiles in the builder; the errors say what is wrong with it.
    fn in_container(&self, session: &Session, engine: Engine, images: Images) -> Result<ResolvedEnvironment> {
        let Session { paths, .. } = session;
        let pinned = toolchain::pinned(&paths.root)?;
        let channel = self.toolchain.clone().unwrap_or(pinned);
        let builder = Builder::query(session, &engine, images.builder, &channel)?;
        let (base, architecture) = (images.base, images.architecture);
        let files = crate::base::layers::read(session, &base, Some(&engine), &architecture, self.pull_timeout)?;
        if self.builder_image.is_none() && self.base.is_none() {
            pins::check_musl(&builder, &files)?;
        }
        let toolchain = target::in_builder(&builder, channel, &architecture, &files)?;
        Ok(ResolvedEnvironment {
            environment: BuildEnvironment::Container(Box::new(builder)),
            toolchain,
            base,
            files,
            engine: Some(engine),
        })
    }
}

/// The images that are needed, as the container engine has them.
struct Images {
    builder: (String, ImageInfo),
    base: Base,
    /// Of the image that is made.
    architecture: String,
}
