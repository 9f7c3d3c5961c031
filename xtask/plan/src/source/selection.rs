//! Which plugins a build has: `--only`, `--without` and `--with`.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::source::outside::OutsideSource;

/// All plugins of the tree, unless something is named. A plugin has two names: its package's and its directory's, which can be read even
/// if the manifest cannot.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Selection {
    /// Only these, if there are any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub only: Vec<String>,
    /// All but these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub without: Vec<String>,
    /// These from outside of the tree, too.
    #[serde(skip)]
    pub with: Vec<OutsideSource>,
}

impl Selection {
    pub fn is_everything(&self) -> bool {
        self.only.is_empty() && self.without.is_empty() && self.with.is_empty()
    }

    /// As options of `cargo xtask image`, by name.
    pub fn options(&self) -> impl Iterator<Item = (&'static str, String)> {
        let options = [("only", &self.only), ("without", &self.without)];
        options.into_iter().filter(|(_, names)| !names.is_empty()).map(|(option, names)| (option, names.join(",")))
    }

    /// Whether the plugin with these names is built.
    pub fn has(&self, names: &[&str]) -> bool {
        let named = |list: &[String]| list.iter().any(|name| names.contains(&name.as_str()));
        (self.only.is_empty() || named(&self.only)) && !named(&self.without)
    }

    /// An error for each name that no plugin has; `names` are those of all plugins.
    pub fn unknown(&self, names: &BTreeSet<String>) -> Vec<String> {
        let options = [("--only", &self.only), ("--without", &self.without)];
        let given = options.into_iter().flat_map(|(option, given)| given.iter().map(move |name| (option, name)));
        let unknown = given.filter(|(_, name)| !names.contains(*name));
        unknown
            .map(|(option, name)| format!("{option} {name}: there is no such plugin; {}", hint(name, names)))
            .collect()
    }
}

/// What else may be meant by a name that no plugin has.
pub fn hint(name: &str, names: &BTreeSet<String>) -> String {
    // As near as a slip of the hand or two.
    let near = |other: &&String| strsim::osa_distance(name, other) <= name.chars().count().max(3) / 3;
    match names.iter().filter(near).min_by_key(|other| strsim::osa_distance(name, other)) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None if names.is_empty() => "plugins/ is empty".to_owned(),
        None => format!("there are {}", names.iter().map(String::as_str).collect::<Vec<_>>().join(", ")),
    }
}
