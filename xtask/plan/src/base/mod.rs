//! The base image: finds the one that the user asked for.

pub mod layers;
pub mod layout;

use std::fmt;
use std::time::Duration;

use anyhow::{Context, Error, Result, anyhow, bail};
use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;

use crate::base::layout::Layout;
use crate::containers::engine::Engine;
use crate::containers::engine::images::{ANOTHER_IMAGE, ImageInfo};
use crate::containers::{images, skopeo};
use crate::oci::digest::Digest;
use crate::oci::documents::{Index, Platform};
use crate::oci::reference::{self, qualified, without_tag};
use crate::support::command::{Invocation, not_found, tail};
use crate::support::files;
use crate::support::paths::Paths;
use crate::support::session::Session;
use crate::support::ui::Ui;

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Base {
    /// Nothing: the image brings everything that host and plugins need.
    Scratch,
    /// A root file system in a tar, plain or gzipped.
    Tar(Utf8PathBuf),
    /// An image in an OCI layout.
    Layout {
        reference: String,
        /// Without a path of this machine.
        #[serde(skip)]
        label: String,
        /// The digest by which others find it.
        #[serde(skip)]
        digest: Option<String>,
        #[serde(skip)]
        layout: Layout,
    },
    /// An image that the container engine has.
    Image {
        reference: String,
        id: String,
        #[serde(skip)]
        info: ImageInfo,
    },
}

/// Names of root file systems end so.
const TARS: [&str; 3] = [".tar", ".tar.gz", ".tgz"];

/// Whether a base is something else than a reference to an image.
pub fn is_no_image(text: &str) -> bool {
    let is_file = text == "scratch" || text.starts_with("oci:") || Utf8Path::new(text).exists();
    is_file || TARS.iter().any(|ending| text.ends_with(ending))
}

impl Base {
    /// `scratch`; a file, or a path that ends in `.tar`, `.tar.gz` or `.tgz`; an OCI layout, by its directory or as `oci:DIR[:NAME]`; or
    /// a reference to an image, which is pulled unless the container engine has it, by skopeo where there is no container engine.
    pub fn find(
        session: &Session,
        text: &str,
        engine: Result<&Engine, &Error>,
        architecture: &str,
        limit: Duration,
    ) -> Result<Base> {
        let Session { ui, .. } = session;
        if text == "scratch" {
            return Ok(Base::Scratch);
        }
        if TARS.iter().any(|ending| text.ends_with(ending)) || Utf8Path::new(text).is_file() {
            let path = Utf8Path::new(text).canonicalize_utf8();
            return Ok(Base::Tar(path.with_context(|| format!("finding the base image {text}"))?));
        }
        if Utf8Path::new(text).is_dir() && !Layout::is_layout(Utf8Path::new(text)) {
            let image =
                if text.contains('/') { String::new() } else { format!("; for the image, write {text}:latest") };
            bail!(
                "the base image {text} is a directory but not an OCI layout; pack a root file system with `tar --create --file \
                 {text}.tar --directory {text} .` and use the tar{image}"
            );
        }
        let layout = text.strip_prefix("oci:").or(Layout::is_layout(Utf8Path::new(text)).then_some(text));
        if let Some(layout) = layout {
            let (dir, name) = layout.split_once(':').map_or((layout, None), |(dir, name)| (dir, Some(name)));
            let layout = Layout::read(Utf8Path::new(dir), name, architecture)
                .with_context(|| format!("reading the base image {text}"))?;
            let label = layout.dir.file_name().unwrap_or_default().to_owned();
            let digest = Some(layout.digest.to_string());
            return Ok(Base::Layout { reference: text.to_owned(), label, digest, layout });
        }
        let engine = match engine {
            Ok(engine) => engine,
            Err(why) => return by_skopeo(session, text, why, architecture, limit),
        };
        let (reference, info) = images::named(ui, engine, text, limit)?;
        Base::image((reference, info), architecture)
    }

    /// The same for another architecture than the engine's. An engine has one platform of a name, and keeps it: the other comes by skopeo.
    pub fn find_foreign(
        session: &Session,
        text: &str,
        engine: &Engine,
        architecture: &str,
        limit: Duration,
    ) -> Result<Base> {
        let Session { ui, .. } = session;
        if is_no_image(text) {
            return Base::find(session, text, Ok(engine), architecture, limit);
        }
        let there = engine.inspect(ui, text)?;
        if let Some(info) = there.as_ref().filter(|info| info.architecture == architecture) {
            return Base::image((text.to_owned(), info.clone()), architecture);
        }
        let why = anyhow!("{engine} does not have it for linux/{architecture}");
        by_skopeo(session, text, &why, architecture, limit).map_err(|error| {
            let platforms = platforms(ui, text, there.as_ref());
            if platforms.is_empty() || platforms.contains(&format!("linux/{architecture}")) {
                return error;
            }
            anyhow!(
                "the base image {text} is not for linux/{architecture}, but for {}; choose another one with --base",
                platforms.join(", ")
            )
        })
    }

    pub fn image((reference, info): (String, ImageInfo), architecture: &str) -> Result<Base> {
        if (info.os.as_str(), info.architecture.as_str()) != ("linux", architecture) {
            bail!(
                "the base image {reference} is {}/{}, but the build is for linux/{architecture}",
                info.os,
                info.architecture
            );
        }
        Ok(Base::Image { reference, id: info.id.clone(), info })
    }

    /// The digest by which others find the base, if it has one. The id of a container engine is no such digest.
    pub fn digest(&self) -> Option<&str> {
        match self {
            Base::Scratch | Base::Tar(_) => None,
            Base::Layout { digest, .. } => digest.as_deref(),
            Base::Image { reference, .. } => reference::digest(reference),
        }
    }

    /// The base as the image's labels name it: no path of this machine.
    pub fn to_label(&self) -> String {
        match self {
            Base::Tar(path) => path.file_name().unwrap_or_default().to_owned(),
            Base::Layout { label, .. } => label.clone(),
            other => other.to_string(),
        }
    }
}

/// The layers come from a registry: there is no engine, or it has another platform.
fn by_skopeo(session: &Session, reference: &str, why: &Error, architecture: &str, limit: Duration) -> Result<Base> {
    let layout = match copy_from_registry(session, reference, architecture, limit) {
        Err(error) if not_found(&error) => bail!(
            "the base image {reference} is an image, but docker, podman and skopeo cannot provide it: {why:#}; \
             skopeo: not installed"
        ),
        layout => layout?,
    };
    let label = reference.to_owned();
    // The copy may be converted, so the digest is the one that was requested.
    let digest = reference::digest(reference).map(str::to_owned);
    Ok(Base::Layout { reference: reference.to_owned(), label, digest, layout })
}

/// The copy of a registry's image, if it was made.
fn registry_copy(paths: &Paths, reference: &str, architecture: &str) -> Result<Layout> {
    Layout::read(&copy_dir(paths, reference, architecture), Some(NAME), architecture)
}

/// The name of an image in its copy.
const NAME: &str = "base";

fn copy_dir(paths: &Paths, reference: &str, architecture: &str) -> Utf8PathBuf {
    paths.bases().join(Digest::sha256(format!("{reference} {architecture}").as_bytes()).prefix(16))
}

/// Copies an image from a registry into a layout. An image that is named by digest is copied once.
fn copy_from_registry(session: &Session, reference: &str, architecture: &str, limit: Duration) -> Result<Layout> {
    let Session { ui, paths, .. } = session;
    if let Some(layout) = registry_copy(paths, reference, architecture).ok().filter(|_| reference.contains("@sha256:"))
    {
        return Ok(layout);
    }
    files::create_dir(&paths.bases())?;
    ui.status("Pulling", format!("{reference} (skopeo)"));
    let pull = skopeo::pull(reference, &copy_dir(paths, reference, architecture), NAME, architecture);
    match pull.output_within(ui, limit)? {
        None => bail!(
            "skopeo cannot pull {reference}: not finished after {} s; allow more time with --pull-timeout",
            limit.as_secs()
        ),
        Some(output) if !output.status.success() => {
            let said = tail(&output);
            let why = said.lines().last().unwrap_or("it gave no reason");
            bail!("skopeo cannot pull {reference}: {why}\n{ANOTHER_IMAGE}")
        }
        Some(_) => registry_copy(paths, reference, architecture),
    }
}

/// The platforms that an image is for, as its registry says, or else as the engine's own image does.
fn platforms(ui: &Ui, reference: &str, there: Option<&ImageInfo>) -> Vec<String> {
    let shown = |os: &str, architecture: &str| format!("{os}/{architecture}");
    let asked = |invocation: Invocation| invocation.output(ui).ok().filter(|output| output.status.success());
    let index = asked(skopeo::inspect(&without_tag(&qualified(reference))));
    let index = index.and_then(|output| serde_json::from_slice::<Index>(&output.stdout).ok());
    if let Some(index) = index {
        let listed = index.manifests.iter().filter(|descriptor| !descriptor.is_artifact());
        let platforms = listed.filter_map(|descriptor| descriptor.platform.as_ref());
        // What attests to an image has no platform.
        let known = platforms.filter(|platform| platform.os != "unknown");
        return known.map(|platform| shown(&platform.os, &platform.architecture)).collect();
    }
    let config = asked(skopeo::inspect_config(reference));
    let config = config.and_then(|output| serde_json::from_slice::<Platform>(&output.stdout).ok());
    match (config, there) {
        (Some(platform), _) => vec![shown(&platform.os, &platform.architecture)],
        (None, Some(info)) => vec![shown(&info.os, &info.architecture)],
        (None, None) => Vec::new(),
    }
}

impl fmt::Display for Base {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Base::Scratch => write!(out, "scratch"),
            Base::Tar(path) => write!(out, "{path}"),
            Base::Layout { reference, .. } | Base::Image { reference, .. } => write!(out, "{reference}"),
        }
    }
}
