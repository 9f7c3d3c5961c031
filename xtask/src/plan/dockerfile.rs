//! What a Dockerfile builds on, and whether it does anything beyond naming that.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use camino::Utf8Path;

use crate::files;

#[derive(Debug, PartialEq)]
pub struct Dockerfile {
    /// The image that its last stage starts from, arguments put in.
    pub from: String,
    /// Whether there is no instruction beyond ARG and one FROM: then the image is used as it is.
    pub plain: bool,
}

pub fn read(path: &Utf8Path) -> Result<Dockerfile> {
    let Some(dockerfile) = parse(&files::read_text(path)?) else {
        bail!("{path} has no FROM line; write one that names an image by its digest");
    };
    Ok(dockerfile)
}

/// Source: <https://docs.docker.com/reference/dockerfile/>.
fn parse(text: &str) -> Option<Dockerfile> {
    let joined = text.replace("\\\r\n", " ").replace("\\\n", " ");
    let mut arguments = BTreeMap::new();
    let (mut from, mut plain) = (None, true);
    for line in joined.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (instruction, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        match instruction.to_uppercase().as_str() {
            "ARG" => {
                if let Some((name, value)) = rest.trim().split_once('=') {
                    arguments.insert(name.to_owned(), value.trim_matches(['"', '\'']).to_owned());
                }
            }
            "FROM" => {
                // A platform is for the builder of images to honour.
                plain &= from.is_none() && !rest.trim_start().starts_with("--");
                let image = rest.split_whitespace().find(|word| !word.starts_with("--"))?;
                from = Some(substitute(image, &arguments));
            }
            _ => plain = false,
        }
    }
    Some(Dockerfile { from: from?, plain })
}

fn substitute(text: &str, arguments: &BTreeMap<String, String>) -> String {
    // Longest names first: $ALPINE must not take the start of $ALPINE_VERSION.
    let mut names: Vec<&String> = arguments.keys().collect();
    names.sort_by_key(|name| std::cmp::Reverse(name.len()));
    names.into_iter().fold(text.to_owned(), |text, name| {
        let value = &arguments[name];
        text.replace(&format!("${{{name}}}"), value).replace(&format!("${name}"), value)
    })
}

#[cfg(test)]
mod tests {
    use super::{Dockerfile, parse};

    #[test]
    fn only_arg_and_from_are_plain() {
        let check = |text: &str, from: &str, plain: bool| {
            assert_eq!(parse(text), Some(Dockerfile { from: from.to_owned(), plain }), "{text}");
        };
        check("# why\nFROM alpine:3@sha256:1\n", "alpine:3@sha256:1", true);
        check("ARG V=3.23\nARG V_X=9\nFROM \\\n  alpine:${V} AS base\n", "alpine:3.23", true);
        check("FROM --platform=linux/amd64 alpine:3", "alpine:3", false);
        check("ARG V=3\nARG V_X=9\nfrom alpine:$V_X", "alpine:9", true);
        check("FROM alpine:3\nRUN apk add zlib\n", "alpine:3", false);
        check("FROM rust:1\nFROM alpine:3\n", "alpine:3", false);
        assert_eq!(parse("RUN true"), None);
    }
}
