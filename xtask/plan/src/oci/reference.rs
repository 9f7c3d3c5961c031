//! Names of images.

use anyhow::{Result, bail};

/// A reference with its tag, `latest` if it has none. Errors name what is wrong with it.
/// Source: the grammar of <https://pkg.go.dev/github.com/distribution/reference>.
pub fn parse(text: &str) -> Result<String> {
    let (name, tag) = match text.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        _ => (text, "latest"),
    };
    let lower = |character: char| character.is_ascii_lowercase() || character.is_ascii_digit();
    // Words of letters and digits, between them one of `.`, `_`, `__` or any number of dashes.
    let component = |part: &str| {
        let allowed = |gap: &str| [".", "_", "__"].contains(&gap) || gap.bytes().all(|byte| byte == b'-');
        part.starts_with(lower) && part.ends_with(lower) && part.split(lower).all(allowed)
    };
    let (domain, path) = split(name);
    let host = |domain: &str| domain.chars().all(|c| c.is_ascii_alphanumeric() || "-.:[]".contains(c));
    if text.contains('@') || !domain.is_none_or(host) || !path.split('/').all(component) {
        bail!("`{text}` is not an image name; write NAME:TAG, with the name in lower case");
    }
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if tag.len() > 128 || !tag.starts_with(word) || !tag.chars().all(|c| word(c) || "-.".contains(c)) {
        bail!("`{tag}` in `{text}` is not a tag; use letters, digits, `_`, `.` and `-`, at most 128 characters");
    }
    Ok(format!("{name}:{tag}"))
}

/// The registry's domain, if one is named, and the rest.
fn split(name: &str) -> (Option<&str>, &str) {
    match name.split_once('/') {
        Some((domain, path)) if domain.contains(['.', ':']) || domain == "localhost" => (Some(domain), path),
        _ => (None, name),
    }
}

/// A parsed reference with the domain and the directory that docker puts before one that has none.
pub fn qualified(reference: &str) -> String {
    match split(reference) {
        (Some(_), _) => reference.to_owned(),
        (None, path) if path.contains('/') => format!("docker.io/{path}"),
        (None, path) => format!("docker.io/library/{path}"),
    }
}

/// Without the tag if there is a digest: skopeo accepts only one of the two.
pub fn without_tag(reference: &str) -> String {
    match reference.split_once('@') {
        Some((name, digest)) => match name.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => format!("{name}@{digest}"),
            _ => reference.to_owned(),
        },
        None => reference.to_owned(),
    }
}

/// A parsed reference with a digest in place of its tag.
pub fn pinned(reference: &str, digest: &str) -> String {
    let name = reference.rsplit_once(':').map_or(reference, |(name, _)| name);
    format!("{name}@{digest}")
}

/// The digest at the end of a reference, if there is one.
pub fn digest(reference: &str) -> Option<&str> {
    reference.split_once('@').map(|(_, digest)| digest)
}

/// Whether the registry is on this machine, which docker asks without TLS too.
/// Source: <https://docs.docker.com/reference/cli/dockerd/#insecure-registries>.
pub fn is_loopback(reference: &str) -> bool {
    let Some(domain) = split(reference).0 else { return false };
    let host = match domain.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => domain,
    };
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// A parsed reference to an image in a registry, which an option of this name gets.
pub fn in_registry(option: &str, text: &str) -> Result<String> {
    let reference = parse(text)?;
    if !names_registry(&reference) {
        bail!("{option} {text} has no registry; write it as in ghcr.io/you/{text}");
    }
    Ok(reference)
}

/// Whether a registry is named.
pub fn names_registry(reference: &str) -> bool {
    split(reference).0.is_some()
}

#[cfg(test)]
mod tests {
    use super::{is_loopback, parse, qualified, without_tag};

    #[test]
    fn a_digest_is_enough() {
        assert_eq!(without_tag("alpine:3@sha256:00"), "alpine@sha256:00");
        for same in ["localhost:5000/a@sha256:00", "alpine:3", "a@sha256:00"] {
            assert_eq!(without_tag(same), same);
        }
    }

    #[test]
    fn references_have_tags() {
        let accepted = |text: &str| parse(text).expect("a reference");
        assert_eq!(accepted("provost"), "provost:latest");
        assert_eq!(accepted("localhost:5000/a/b:1.0"), "localhost:5000/a/b:1.0");
        assert_eq!(accepted("a--b__c.d"), "a--b__c.d:latest");
        assert_eq!(accepted("[::1]:5000/a/b:1.0"), "[::1]:5000/a/b:1.0");
        assert_eq!(accepted("[2001:db8::1]/a"), "[2001:db8::1]/a:latest");
        for there in
            ["localhost/a:1", "localhost:5000/a:1", "127.0.0.1/a:1", "127.9.9.9:1/a:1", "[::1]:5000/a:1", "[::1]/a:1"]
        {
            assert!(is_loopback(there), "{there}");
        }
        for elsewhere in
            ["a:1", "docker.io/a:1", "128.0.0.1:5000/a:1", "[2001:db8::1]:5000/a:1", "localhost.example.org/a:1"]
        {
            assert!(!is_loopback(elsewhere), "{elsewhere}");
        }
        assert_eq!(qualified("a:1"), "docker.io/library/a:1");
        assert_eq!(qualified("a/b:1"), "docker.io/a/b:1");
        assert_eq!(qualified("ghcr.io/a/b:1"), "ghcr.io/a/b:1");
        assert_eq!(accepted("localhost:5000/a"), "localhost:5000/a:latest");
        for refused in ["Provost:1", "a:", "", "a b", "a@sha256:00", "a:-x", "a//b", "-a", "a..b:1", "a-_b"] {
            assert!(parse(refused).is_err(), "{refused}");
        }
    }
}
