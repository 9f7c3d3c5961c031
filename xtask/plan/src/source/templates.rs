//! Templates of plugins: directories of the host's, with `{{...}}` where a plugin's own words go.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};
use serde::Deserialize;
use walkdir::WalkDir;

use crate::source::manifest::HostSpec;
use crate::support::files;
use crate::support::paths;

/// What goes into the places of a template.
const VALUES: &str = "values.toml";
/// What a plugin in a repository of its own has too.
const REPOSITORY: &str = "repository";

/// The templates of a host.
pub struct Templates {
    dir: Utf8PathBuf,
    values: Values,
}

/// By the names of the places.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Values {
    tree: BTreeMap<String, String>,
    repository: BTreeMap<String, String>,
}

/// Where a new plugin is.
pub enum Place<'a> {
    /// In `plugins/`.
    Tree,
    /// In a repository of its own: an absolute directory, not in `root`. `release` of Rust compiles it.
    Repository { dir: &'a Utf8Path, root: &'a Utf8Path, release: &'a str },
}

impl Templates {
    /// Reads what the host says about its templates.
    pub fn read(root: &Utf8Path, host: &HostSpec) -> Result<Templates> {
        let dir = host.plugin_templates.as_ref().context(
            "this host has no templates of plugins; set `plugin-templates` in [workspace.metadata.image], or copy a plugin",
        )?;
        let dir = root.join(dir);
        let path = dir.join(VALUES);
        let values = toml::from_str(&files::read_text(&path)?).with_context(|| format!("reading {path}"))?;
        Ok(Templates { dir, values })
    }

    /// Their names, sorted.
    pub fn names(&self) -> Result<Vec<String>> {
        let reading = || format!("reading the directory {}", self.dir);
        let mut names = Vec::new();
        for entry in self.dir.read_dir_utf8().with_context(reading)? {
            let entry = entry.with_context(reading)?;
            if entry.path().is_dir() && entry.file_name() != REPOSITORY {
                names.push(entry.file_name().to_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    /// The files of a new plugin by path, from the template with this name.
    pub fn render(&self, template: &str, name: &str, place: &Place) -> Result<BTreeMap<Utf8PathBuf, String>> {
        let names = self.names()?;
        if !names.iter().any(|known| known == template) {
            bail!("there is no template `{template}`; use one of {}", names.join(", "));
        }
        let mut files = texts(&self.dir.join(template))?;
        let kind = type_name(name, &files);
        let mut places = vec![("name".to_owned(), name.to_owned()), ("Type".to_owned(), kind)];
        let values = match place {
            Place::Tree => &self.values.tree,
            Place::Repository { dir, root, release } => {
                files.extend(texts(&self.dir.join(REPOSITORY))?);
                let [tree, own, checkout] = beside(dir, root);
                let more = [("tree", tree), ("own", own), ("checkout", checkout), ("rust", (*release).into())];
                places.extend(more.map(|(name, value)| (name.to_owned(), value.to_string())));
                &self.values.repository
            }
        };
        let values: Vec<_> = values.iter().map(|(name, value)| (name.clone(), fill(value, &places))).collect();
        places.extend(values);
        Ok(files.into_iter().map(|(path, text)| (path, fill(&text, &places))).collect())
    }
}

/// Every file below `dir`, by its path there.
fn texts(dir: &Utf8Path) -> Result<BTreeMap<Utf8PathBuf, String>> {
    let mut files = BTreeMap::new();
    for entry in WalkDir::new(dir) {
        let entry = entry.with_context(|| format!("reading the directory {dir}"))?;
        if entry.file_type().is_file() {
            let path: &Utf8Path = <&Utf8Path>::try_from(entry.path() as &Path).context("reading a template")?;
            let inside = path.strip_prefix(dir).unwrap_or(path).to_owned();
            files.insert(inside, files::read_text(path)?);
        }
    }
    Ok(files)
}

/// `text` with `{{NAME}}` replaced by its value. What is no place of a template stays.
fn fill(text: &str, places: &[(String, String)]) -> String {
    places.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("{{{{{name}}}}}"), value))
}

/// `smtp-relay` as `SmtpRelay`. A word that the template itself uses gets `Plugin` behind it.
fn type_name(name: &str, template: &BTreeMap<Utf8PathBuf, String>) -> String {
    let words = name.split(['-', '_']).filter_map(|word| {
        let (first, rest) = word.split_at_checked(1)?;
        Some(first.to_uppercase() + rest)
    });
    let kind: String = words.collect();
    let is_word = |letter: char| letter.is_alphanumeric() || letter == '_';
    let used = template.values().any(|text| text.split(|letter| !is_word(letter)).any(|word| word == kind));
    if used || kind == "Self" { format!("{kind}Plugin") } else { kind }
}

/// The path from `dir` to `root`, and both paths from the nearest directory that they share.
fn beside(dir: &Utf8Path, root: &Utf8Path) -> [Utf8PathBuf; 3] {
    let shared = dir.ancestors().find(|dir| root.starts_with(dir)).unwrap_or(dir);
    [paths::from(dir, root), paths::from(shared, dir), paths::from(shared, root)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_named_after_plugins() {
        let template = BTreeMap::from([("src/lib.rs".into(), "use sdk::Message;".to_owned())]);
        for (name, expected) in [
            ("smtp", "Smtp"),
            ("smtp-relay_2", "SmtpRelay2"),
            ("a--b", "AB"),
            ("message", "MessagePlugin"),
            ("messages", "Messages"),
            ("self", "SelfPlugin"),
        ] {
            assert_eq!(type_name(name, &template), expected);
        }
    }

    #[test]
    fn a_repository_knows_the_way_to_the_tree() {
        for (dir, expected) in [
            ("/src/weather", ["../provost", "weather", "provost"]),
            ("/src/plugins/weather", ["../../provost", "plugins/weather", "provost"]),
            ("/home/weather", ["../../src/provost", "home/weather", "src/provost"]),
        ] {
            assert_eq!(beside(dir.into(), "/src/provost".into()), expected.map(Utf8PathBuf::from));
        }
    }

    #[test]
    fn only_known_places_are_filled() {
        let places = [("name".to_owned(), "log".to_owned())];
        assert_eq!(fill("{{name}} ${{ vars.A }} {{other}}", &places), "log ${{ vars.A }} {{other}}");
    }
}
