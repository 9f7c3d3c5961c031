//! Reads a Dockerfile as far as needed. If it is exactly one FROM after ARGs, it names an image, which is used directly. docker
//! or podman build all others.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Result, bail};
use camino::Utf8Path;

use crate::support::files;

/// Something that exists and is wrong. Unlike something that is missing, it is no reason to fall back.
#[derive(Debug)]
pub struct Unusable(pub String);

impl fmt::Display for Unusable {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for Unusable {}

/// Docker skips it too.
const BYTE_ORDER_MARK: char = '\u{feff}';

#[derive(Debug, PartialEq)]
pub enum Dockerfile {
    /// The image that it names.
    Names(String),
    Built {
        /// The images that its stages start from, as far as they are known.
        from: Vec<String>,
        /// Whether this list is complete. Only then can a change of one of them be noticed.
        all: bool,
    },
}

impl Dockerfile {
    /// The image that its last stage starts from, if it is known.
    pub fn base(&self) -> Option<&str> {
        match self {
            Dockerfile::Names(image) => Some(image),
            Dockerfile::Built { from, .. } => from.last().map(String::as_str),
        }
    }
}

pub fn read(path: &Utf8Path) -> Result<Dockerfile> {
    let text = files::read_text(path)?;
    parse(text.trim_start_matches(BYTE_ORDER_MARK))
        .ok_or_else(|| Unusable(format!("{path} has no FROM line; add one, with an image pinned by digest")).into())
}

/// What a Dockerfile is as a part of another one.
pub struct Part {
    /// The ARGs before its first FROM.
    pub arguments: String,
    /// Its stages.
    pub stages: String,
    /// The name of its last stage.
    pub name: String,
}

/// Makes the last stage of a Dockerfile one of another Dockerfile, with a name.
///
/// # Errors
///
/// If its meaning would change: another Dockerfile has another directory beside it.
pub fn part(path: &Utf8Path, name: &str) -> Result<Part> {
    read(path)?;
    let text = files::read_text(path)?;
    let text = text.trim_start_matches(BYTE_ORDER_MARK);
    if text.contains("<<") || text.lines().any(is_directive) {
        bail!("{path} has a directive or a here-document, which cannot stand in another Dockerfile; write it without");
    }
    let (mut arguments, mut stages, mut last) = (String::new(), Vec::new(), None);
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().filter(|word| !word.starts_with("--")).collect();
        let instruction = words.first().map(|word| word.to_uppercase()).unwrap_or_default();
        match instruction.as_str() {
            "ARG" if last.is_none() => arguments.push_str(&format!("{line}\n")),
            "FROM" => {
                let alias = words.get(3).map(|alias| (*alias).to_owned());
                last = Some((stages.len(), alias));
                stages.push(line.to_owned());
            }
            "COPY" | "ADD" if !line.contains("--from=") => bail!(
                "{path} copies files that lie beside it, which another Dockerfile does not see: `{}`; make them in a RUN line",
                line.trim()
            ),
            _ if last.is_some() => stages.push(line.to_owned()),
            _ => {}
        }
    }
    let Some((at, alias)) = last else { bail!("{path} has no FROM at the beginning of a line") };
    if alias.is_none() {
        if stages[at].trim_end().ends_with('\\') {
            bail!("{path}: write its last FROM on one line");
        }
        stages[at].push_str(&format!(" AS {name}"));
    }
    let stages = stages.into_iter().map(|line| line + "\n").collect();
    Ok(Part { arguments, stages, name: alias.unwrap_or_else(|| name.to_owned()) })
}

/// Source: <https://docs.docker.com/reference/dockerfile/>.
fn parse(text: &str) -> Option<Dockerfile> {
    if let Some(image) = literal(text) {
        return Some(Dockerfile::Names(image));
    }
    let joined = text.replace("\\\r\n", " ").replace("\\\n", " ");
    // A directive may change the syntax of the whole file, and a here-document may contain anything.
    let readable = !text.contains("<<") && !text.lines().any(is_directive);
    let (mut arguments, mut stages) = (BTreeMap::new(), Vec::new());
    let (mut from, mut found, mut all) = (Vec::new(), false, readable);
    for line in joined.lines().map(str::trim) {
        let mut words = line.split_whitespace();
        let instruction = words.next().unwrap_or_default().to_uppercase();
        if instruction == "ARG" && !found {
            arguments.extend(argument(line));
        }
        if instruction != "FROM" {
            continue;
        }
        found = true;
        let mut words = words.skip_while(|word| word.starts_with("--"));
        match words.next().map(|image| substitute(image, &arguments)) {
            Some(image) if image.contains('$') => all = false,
            // An earlier stage, or nothing.
            Some(image) if image == "scratch" || stages.contains(&image.to_lowercase()) => {}
            Some(image) => from.push(image),
            None => all = false,
        }
        stages.extend(words.nth(1).map(str::to_lowercase));
    }
    if !readable {
        from.clear();
    }
    found.then_some(Dockerfile::Built { from, all })
}

/// The image of a file that has nothing but ARGs with plain values, and then one FROM.
fn literal(text: &str) -> Option<String> {
    let (mut arguments, mut image) = (BTreeMap::new(), None);
    if text.lines().any(is_directive) {
        return None;
    }
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match (words.first()?.to_uppercase().as_str(), &words[1..], &image) {
            ("ARG", [_], None) => drop(arguments.insert(argument(line)?.0, argument(line)?.1)),
            ("FROM", [from], None) => image = Some(substitute(from, &arguments)),
            ("FROM", [from, word, _], None) if word.eq_ignore_ascii_case("as") => {
                image = Some(substitute(from, &arguments));
            }
            _ => return None,
        }
    }
    image.filter(|image| !image.starts_with("--") && !image.contains(['$', '\\', '"', '\'']))
}

/// `# syntax=...`, `# escape=...`, `# check=...`.
fn is_directive(line: &str) -> bool {
    let rest = line.trim_start().strip_prefix('#').map(str::trim_start).unwrap_or_default().to_lowercase();
    ["syntax", "escape", "check"]
        .iter()
        .any(|name| rest.strip_prefix(name).is_some_and(|rest| rest.trim_start().starts_with('=')))
}

/// Name and value, if the value is a literal.
fn argument(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_whitespace().nth(1)?.split_once('=')?;
    (!value.contains(['$', '\\', '"', '\''])).then(|| (name.to_owned(), value.to_owned()))
}

/// Replaces `$NAME` and `${NAME}` by the values of arguments. Other names stay: only docker knows them.
fn substitute(text: &str, arguments: &BTreeMap<String, String>) -> String {
    let mut parts = text.split('$');
    let mut done = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let is_of_a_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        let (name, rest) = match part.strip_prefix('{').and_then(|part| part.split_once('}')) {
            Some(braced) => braced,
            None => part.split_at(part.find(|letter| !is_of_a_name(letter)).unwrap_or(part.len())),
        };
        match arguments.get(name) {
            Some(value) => done.extend([value, rest]),
            None => done.extend(["$", part]),
        }
    }
    done
}

#[cfg(test)]
mod tests {
    use super::{Dockerfile, parse};

    #[test]
    fn only_arg_and_one_from_are_read() {
        let check =
            |text: &str, image: &str| assert_eq!(parse(text), Some(Dockerfile::Names(image.to_owned())), "{text}");
        check("# why\nFROM alpine:3@sha256:1\n", "alpine:3@sha256:1");
        check("ARG V=3.23\nARG V_X=9\nFROM alpine:${V} AS base\n", "alpine:3.23");
        check("ARG V=3\nARG V_X=9\nfrom alpine:$V_X", "alpine:9");
        check("ARG R=docker.io/library\nARG V=3\nFROM ${R}/alpine:$V", "docker.io/library/alpine:3");
    }

    #[test]
    fn all_else_is_built() {
        let check = |text: &str, from: &[&str], all: bool| {
            let from = from.iter().map(|image| (*image).to_owned()).collect();
            assert_eq!(parse(text), Some(Dockerfile::Built { from, all }), "{text}");
        };
        check("FROM \\\n  alpine:3 AS base\n", &["alpine:3"], true);
        check("FROM --platform=linux/amd64 alpine:3", &["alpine:3"], true);
        check("FROM alpine:3\nRUN apk add zlib\n", &["alpine:3"], true);
        check("FROM rust:1\nFROM alpine:3\n", &["rust:1", "alpine:3"], true);
        check("FROM alpine:3 AS Common\nRUN a\nFROM common\nRUN b\n", &["alpine:3"], true);
        check("FROM scratch\nCOPY a /\n", &[], true);
        check("ARG V\nFROM alpine:$V\n", &[], false);
        check("ARG V=\"3\"\nFROM alpine:$V\n", &[], false);
        check("FROM alpine:${V:-3}\n", &[], false);
        check("ARG V=3\nFROM alpine:$V_X\n", &[], false);
        check("ARG V=3\nFROM alpine:${V\n", &[], false);
        check("# escape=`\nFROM alpine:3\n", &[], false);
        check("FROM alpine:3\nRUN <<END\nFROM nowhere\nEND\n", &[], false);
        assert_eq!(parse("RUN true"), None);
    }
}
