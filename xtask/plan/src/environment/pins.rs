//! Checks that the pinned versions agree: `rust-toolchain.toml`, the Dockerfile of the builder and that of the base image.

use anyhow::{Result, bail};
use camino::Utf8PathBuf;

use crate::base::layers::BaseFiles;
use crate::cargo::toolchain;
use crate::containers::dockerfile;
use crate::containers::images::{BASE_FILE, BUILDER_FILE};
use crate::environment::builder::Builder;
use crate::support::paths::Paths;

/// The path of musl's dynamic linker, which is musl itself.
pub fn musl_interpreter(processor: &str) -> Utf8PathBuf {
    format!("/lib/ld-musl-{processor}.so.1").into()
}

/// Before an image is pulled: the release in the tag of an official `rust` image is the pinned one.
pub fn check_rust(paths: &Paths) -> Result<()> {
    let path = paths.root.join(BUILDER_FILE);
    if !path.is_file() {
        return Ok(());
    }
    let (dockerfile, pinned) = (dockerfile::read(&path)?, toolchain::pinned(&paths.root)?);
    let from = dockerfile.base().unwrap_or_default();
    match release(from) {
        Some(release) if release != pinned => bail!(
            "{BUILDER_FILE} names Rust {release} ({from}), {} pins {pinned}; use the same release in both, or set \
             --builder-image or --toolchain",
            toolchain::FILE
        ),
        _ => Ok(()),
    }
}

/// `1.95.0` of `rust:1.95.0-alpine3.23@sha256:...`.
fn release(image: &str) -> Option<&str> {
    let (name, tag) = image.split('@').next()?.rsplit_once(':')?;
    let release = tag.split('-').next()?;
    let official = name.rsplit('/').next() == Some("rust");
    (official && release.split('.').count() == 3).then_some(release)
}

/// A program linked against one musl may not start with an older one, and musl has no symbol versions to check.
pub fn check_musl(builder: &Builder, base: &BaseFiles) -> Result<()> {
    let host = builder.facts.line("host").unwrap_or_default();
    let interpreter = musl_interpreter(host.split('-').next().unwrap_or_default());
    let Some(bytes) = base.tree.read(&interpreter)? else { return Ok(()) };
    match (&builder.facts.musl, musl_version(&bytes)) {
        (Some(builder), Some(base)) if *builder != base => bail!(
            "the image of {BUILDER_FILE} has musl {builder}, the one of {BASE_FILE} has musl {base}; use two images of the \
             same release of Alpine"
        ),
        _ => Ok(()),
    }
}

/// The version is a string in the file: three numbers, the only string of that form.
/// Source: musl's `src/internal/version.c`.
fn musl_version(libc: &[u8]) -> Option<String> {
    let version = |text: &&[u8]| {
        let mut parts = text.split(|byte| *byte == b'.');
        parts.by_ref().take(3).filter(|part| !part.is_empty() && part.iter().all(u8::is_ascii_digit)).count() == 3
            && parts.next().is_none()
    };
    let mut found = libc.split(|byte| *byte == 0).filter(version);
    match (found.next(), found.next()) {
        (Some(only), None) => Some(String::from_utf8_lossy(only).into_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{musl_version, release};

    #[test]
    fn a_release_stands_in_the_tag_of_an_official_image() {
        assert_eq!(release("rust:1.95.0-alpine3.23@sha256:00"), Some("1.95.0"));
        assert_eq!(release("docker.io/library/rust:1.95.0"), Some("1.95.0"));
        for other in ["rust:1-alpine", "rust", "localhost:5000/rust", "mine/rusty:1.95.0", "rust@sha256:00"] {
            assert_eq!(release(other), None, "{other}");
        }
    }

    #[test]
    fn the_version_of_musl_is_the_only_string_of_three_numbers() {
        assert_eq!(musl_version(b"\x7fELF\x00127.0.0.1\x001.2.5\x00x.y.z\x00").as_deref(), Some("1.2.5"));
        assert_eq!(musl_version(b"1.2.5\x001.2.6\x00"), None);
        assert_eq!(musl_version(b"1.2\x00"), None);
    }
}
