//! What the image stands on: as it was asked for, and as it was found.

use std::fmt;

use anyhow::{Context, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;

use crate::runtime::{ImageInfo, Runtime};
use crate::ui::Ui;

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Base {
    /// Nothing: everything that host and plugins need comes along.
    Scratch,
    /// A root file system in a tar, plain or gzipped.
    Tar(Utf8PathBuf),
    /// An image that the runtime has.
    Image {
        reference: String,
        id: String,
        #[serde(skip)]
        info: ImageInfo,
    },
}

impl Base {
    /// `scratch`, a path that ends in `.tar`, `.tar.gz` or `.tgz`, or a reference to an image that the runtime has.
    pub fn find(ui: &Ui, text: &str, runtime: &Result<Runtime>, architecture: &str) -> Result<Base> {
        if text == "scratch" {
            return Ok(Base::Scratch);
        }
        if [".tar", ".tar.gz", ".tgz"].iter().any(|ending| text.ends_with(ending)) {
            let path = Utf8Path::new(text).canonicalize_utf8();
            return Ok(Base::Tar(path.with_context(|| format!("finding the base {text}"))?));
        }
        let runtime = match runtime {
            Ok(runtime) => runtime,
            Err(why) => bail!("the base {text} is an image, which only a runtime can give out: {why:#}"),
        };
        let Some(info) = runtime.inspect(ui, text)? else {
            bail!(
                "the base {text} is no image that {runtime} has; run `{runtime} pull {text}`, or name another with --base \
                 (an image, a root file system ending in .tar, or scratch)"
            );
        };
        if (info.os.as_str(), info.architecture.as_str()) != ("linux", architecture) {
            bail!("the base {text} is {}/{}, what is built is linux/{architecture}", info.os, info.architecture);
        }
        Ok(Base::Image { reference: text.to_owned(), id: info.id.clone(), info })
    }
}

impl fmt::Display for Base {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Base::Scratch => write!(out, "scratch"),
            Base::Tar(path) => write!(out, "{path}"),
            Base::Image { reference, .. } => write!(out, "{reference}"),
        }
    }
}

impl Base {
    /// The base as the image's labels name it: no path of this machine.
    pub fn to_label(&self) -> String {
        match self {
            Base::Tar(path) => path.file_name().unwrap_or_default().to_owned(),
            other => other.to_string(),
        }
    }
}
