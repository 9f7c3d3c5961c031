//! Which crates are built, and with which features: cargo's own resolution of the packages that are built together.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use camino::Utf8Path;
use serde::{Deserialize, Serialize};

use crate::cargo::tree;

/// A crate of one version and source.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
pub struct Crate {
    pub name: String,
    pub version: String,
    pub source: Source,
}

/// Where a crate comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// crates.io.
    Registry,
    /// A directory, relative to the root.
    Tree(String),
    /// Another registry, or a repository, as cargo names it.
    Other(String),
}

/// The features of a crate, and the license in its manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Compiled {
    /// As the manifest has it.
    pub license: Option<String>,
    pub features: BTreeSet<String>,
    pub dependencies: BTreeSet<Crate>,
}

/// The crates that host, SDK and plugins need, with their dependencies.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(from = "Vec<(Crate, Compiled)>", into = "Vec<(Crate, Compiled)>")]
pub struct Resolution(BTreeMap<Crate, Compiled>);

/// Which of a crate's dependencies are followed.
#[derive(Clone, Copy, Debug)]
pub enum Reach {
    /// What is linked into the host, the SDK and the plugins.
    Linked,
    /// Also what their build scripts and macros need.
    Compiled,
    /// Also what their tests need.
    Tested,
}

impl Reach {
    pub fn name(self) -> &'static str {
        match self {
            Reach::Linked => "linked",
            Reach::Compiled => "compiled",
            Reach::Tested => "tested",
        }
    }

    fn edges(self) -> &'static str {
        match self {
            Reach::Linked => "normal,no-proc-macro",
            Reach::Compiled => "normal,build",
            Reach::Tested => "normal,build,dev",
        }
    }
}

impl From<Vec<(Crate, Compiled)>> for Resolution {
    fn from(crates: Vec<(Crate, Compiled)>) -> Resolution {
        Resolution(crates.into_iter().collect())
    }
}

impl From<Resolution> for Vec<(Crate, Compiled)> {
    fn from(resolution: Resolution) -> Vec<(Crate, Compiled)> {
        resolution.0.into_iter().collect()
    }
}

/// `cargo tree`'s arguments, for packages that are built together, for one target. A line of the answer reads
/// `name vVERSION (SOURCE)|LICENSE|FEATURES`.
pub fn question<'a>(reach: Reach, target: &str, packages: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut args = tree(reach.edges(), target, packages);
    args.extend(["--format", "{p}|{l}|{f}"].map(str::to_owned));
    args
}

/// The inverse: the features of one crate, and below each feature what turns it on.
pub fn inverted_question<'a>(of: &Crate, target: &str, packages: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut args = tree("normal,build,features", target, packages);
    args.extend(["--invert".to_owned(), format!("{}@{}", of.name, of.version)]);
    args
}

fn tree<'a>(edges: &str, target: &str, packages: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let question = ["tree", "--quiet", "--locked", "--prefix", "depth", "--edges", edges];
    let mut args: Vec<String> = question.map(str::to_owned).to_vec();
    args.extend(["--target", target].map(str::to_owned));
    args.extend(packages.into_iter().flat_map(|package| ["--package".to_owned(), package.to_owned()]));
    args
}

impl Resolution {
    /// Parses cargo's answer; `root` is the directory where cargo ran.
    pub fn parse(answer: &str, root: &Utf8Path) -> Result<Resolution> {
        let mut crates: BTreeMap<Crate, Compiled> = BTreeMap::new();
        // One for each line.
        let mut found: Vec<Crate> = Vec::new();
        for line in tree::lines(answer)? {
            let (this, license, features) = entry(line.text, root).with_context(|| tree::wrote(line.text))?;
            if let Some(parent) = line.parent.and_then(|parent| crates.get_mut(&found[parent])) {
                parent.dependencies.insert(this.clone());
            }
            let compiled = crates.entry(this.clone()).or_default();
            compiled.license = license;
            compiled.features.extend(features);
            found.push(this);
        }
        Ok(Resolution(crates))
    }

    /// The crates by name, with what they are compiled with.
    pub fn crates(&self) -> &BTreeMap<Crate, Compiled> {
        &self.0
    }

    /// A package of the tree.
    pub fn member(&self, name: &str) -> Option<&Crate> {
        self.0.keys().find(|found| found.name == name && matches!(found.source, Source::Tree(_)))
    }

    /// A crate and all that it needs, directly or not.
    pub fn closure<'a>(&'a self, of: &'a Crate) -> BTreeSet<&'a Crate> {
        let mut closure = BTreeSet::new();
        let mut todo = vec![of];
        while let Some(found) = todo.pop() {
            if closure.insert(found) {
                todo.extend(self.0.get(found).into_iter().flat_map(|compiled| &compiled.dependencies));
            }
        }
        closure
    }

    /// The same without the SDK's dependencies: host and plugins use the SDK's copy.
    pub fn own<'a>(&'a self, of: &'a Crate, sdk: &'a Crate) -> BTreeSet<&'a Crate> {
        let shared = self.closure(sdk);
        self.closure(of).into_iter().filter(|found| !shared.contains(found)).collect()
    }

    /// What is linked into the file of a package: the SDK's is all that it needs, host and plugins have the SDK and what is their own.
    pub fn linked<'a>(&'a self, package: &'a Crate, sdk: &'a Crate) -> BTreeSet<&'a Crate> {
        match package == sdk {
            true => self.closure(sdk),
            false => self.own(package, sdk).into_iter().chain([sdk]).collect(),
        }
    }
}

fn entry(line: &str, root: &Utf8Path) -> Option<(Crate, Option<String>, Vec<String>)> {
    let (package, rest) = line.split_once('|')?;
    let (license, features) = rest.rsplit_once('|')?;
    let license = (!license.is_empty()).then(|| license.to_owned());
    let features = features.split(',').filter(|feature| !feature.is_empty()).map(str::to_owned).collect();
    let (name, rest) = package.split_once(" v")?;
    let rest = rest.replacen(" (proc-macro)", "", 1);
    let (version, source) = match rest.split_once(" (") {
        Some((version, source)) => (version, Some(source.trim_end_matches(')'))),
        None => (rest.as_str(), None),
    };
    let inside = |dir: &str| Utf8Path::new(dir).strip_prefix(root).ok().map(Utf8Path::to_string);
    let source = match source {
        None => Source::Registry,
        Some(source) => inside(source).map_or_else(|| Source::Other(source.to_owned()), Source::Tree),
    };
    let found = Crate { name: name.to_owned(), version: version.to_owned(), source };
    Some((found, license, features))
}

#[cfg(test)]
mod tests {
    use super::{Crate, Resolution, Source};

    const ANSWER: &str = "\
0host v0.1.0 (/tree/host)||
1sdk v0.2.0 (/tree/host/sdk)||
2json v1.0.1|MIT OR Apache-2.0|default,std
3memory v2.0.0|MIT|
2macros v0.2.0 (proc-macro) (/tree/host/macros)||
1axis v0.8.0|MIT|
2json v1.0.1|MIT OR Apache-2.0|default,std (*)
0mail v0.3.0 (/tree/plugins/mail)||
1hex v0.4.0 (https://example.org/hex#abc)|MIT|alloc
1json v1.0.1|MIT OR Apache-2.0|default,std (*)
1sdk v0.2.0 (/tree/host/sdk)|| (*)
";

    fn names<'a>(crates: impl IntoIterator<Item = &'a Crate>) -> Vec<&'a str> {
        crates.into_iter().map(|found| found.name.as_str()).collect()
    }

    #[test]
    fn an_answer_of_cargo_is_a_graph() {
        let resolution = Resolution::parse(ANSWER, "/tree".into()).expect("an answer");
        let member = |name| resolution.member(name).expect("a member");
        assert_eq!(member("mail").source, Source::Tree("plugins/mail".to_owned()));
        assert_eq!(resolution.member("json"), None);
        assert_eq!(names(resolution.closure(member("sdk"))), ["json", "macros", "memory", "sdk"]);
        assert_eq!(member("macros").source, Source::Tree("host/macros".to_owned()));
        assert_eq!(names(resolution.own(member("host"), member("sdk"))), ["axis", "host"]);
        assert_eq!(names(resolution.own(member("mail"), member("sdk"))), ["hex", "mail"]);
        let (hex, compiled) = resolution.crates().iter().find(|(found, _)| found.name == "hex").expect("hex");
        assert_eq!(hex.source, Source::Other("https://example.org/hex#abc".to_owned()));
        assert_eq!(compiled.features.iter().collect::<Vec<_>>(), ["alloc"]);
        assert_eq!(compiled.license.as_deref(), Some("MIT"));
        assert_eq!(resolution.crates()[member("host")].license, None);
    }

    #[test]
    fn another_answer_is_an_error() {
        for answer in ["nothing", "0name 1.0||", "0name v1.0|", "0a||"] {
            assert!(Resolution::parse(answer, "/".into()).is_err(), "{answer}");
        }
    }
}
