//! Package URLs, which identify packages.
//! Source: <https://github.com/package-url/purl-spec>.

use crate::assemble::Image;
use crate::cargo::lockfile::{CRATES_IO, Lock};
use crate::cargo::resolution::Crate;
use crate::oci::reference;
use crate::plan::ImagePlan;

/// Of a crate that is not in the tree.
pub fn of_crate(found: &Crate, lock: &Lock) -> String {
    let url = format!("pkg:cargo/{}@{}", encoded(&found.name), encoded(&found.version));
    match lock.origin(found) {
        None | Some((CRATES_IO, _)) => url,
        Some((source, _)) => match source.split_once('+') {
            Some(("git", _)) => format!("{url}?vcs_url={}", encoded(source)),
            Some((_, registry)) => format!("{url}?repository_url={}", encoded(registry)),
            None => format!("{url}?repository_url={}", encoded(source)),
        },
    }
}

/// By its digest, with the registry if the name has one.
pub fn of_image(plan: &ImagePlan, image: &Image) -> String {
    let (path, tag) = plan.image.rsplit_once(':').unwrap_or((&plan.image, ""));
    let name = path.rsplit('/').next().unwrap_or(path);
    let architecture = plan.platform.trim_start_matches("linux/");
    let repository = reference::names_registry(&plan.image).then(|| format!("&repository_url={}", encoded(path)));
    format!(
        "pkg:oci/{name}@{}?arch={architecture}{}&tag={}",
        encoded(&image.manifest_digest.to_string()),
        repository.unwrap_or_default(),
        encoded(tag)
    )
}

/// For a part of a URL; slashes stay.
pub fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::of_crate;
    use crate::cargo::lockfile::Lock;
    use crate::cargo::resolution::{Crate, Source};

    #[test]
    fn a_crate_from_elsewhere_says_where_from() {
        let git = "git+https://example.org/hex?branch=main#0123456789abcdef";
        let lock = Lock::parse(&format!(
            "[[package]]\nname = \"hex\"\nversion = \"1.0.0+a\"\nsource = \"registry+https://github.com/rust-lang/crates.io-index\"\n\
             [[package]]\nname = \"hex\"\nversion = \"1.0.0+a\"\nsource = \"{git}\"\n\
             [[package]]\nname = \"own\"\nversion = \"2.0.0\"\nsource = \"sparse+https://example.org/index/\"\n"
        ))
        .expect("a lock");
        let url = |name: &str, version: &str, source| {
            of_crate(&Crate { name: name.to_owned(), version: version.to_owned(), source }, &lock)
        };
        assert_eq!(url("hex", "1.0.0+a", Source::Registry), "pkg:cargo/hex@1.0.0%2Ba");
        let branch = Source::Other("https://example.org/hex?branch=main#01234567".to_owned());
        let expected =
            "pkg:cargo/hex@1.0.0%2Ba?vcs_url=git%2Bhttps%3A//example.org/hex%3Fbranch%3Dmain%230123456789abcdef";
        assert_eq!(url("hex", "1.0.0+a", branch), expected);
        let expected = "pkg:cargo/own@2.0.0?repository_url=https%3A//example.org/index/";
        assert_eq!(url("own", "2.0.0", Source::Other("registry `own`".to_owned())), expected);
    }
}
