//! Describes how the inputs of two images differ.

use std::collections::{BTreeMap, BTreeSet};

use crate::cargo::resolution::{Crate, Resolution, Source};
use crate::plan::forecast::TurnedOn;
use crate::plan::inputs::{Environment, Inputs};

pub struct Changes<'a> {
    pub before: &'a Inputs,
    pub after: &'a Inputs,
    /// The SDK's package.
    pub sdk: &'a str,
    pub turned_on: &'a [TurnedOn],
}

impl Changes<'_> {
    /// Describes changes that affect all layers.
    pub fn of_environment(&self) -> Vec<String> {
        let (before, after) = (&self.before.environment, &self.after.environment);
        let Environment { xtask, format, rustc, target, rustflags, builder, workspace, base } = before;
        let first = |text: &str| text.lines().next().unwrap_or_default().to_owned();
        let rustc_changed = match (first(rustc), first(&after.rustc)) {
            (old, new) if old != new => format!("rustc changed: {old} -> {new}"),
            _ => "rustc changed".to_owned(),
        };
        let target_changed = format!("the target changed: {target} -> {}", after.target);
        let flags_changed = format!("rustflags changed: {}", flags(rustflags, &after.rustflags));
        let workspace_changed = "the workspace's settings changed (Cargo.toml, .cargo/config.toml)";
        let changes = [
            (xtask != &after.xtask || format != &after.format, "the build system changed"),
            (rustc != &after.rustc, &rustc_changed),
            (target != &after.target, &target_changed),
            (rustflags != &after.rustflags, &flags_changed),
            (builder != &after.builder, "the builder changed"),
            (workspace != &after.workspace, workspace_changed),
            (base != &after.base, "the base image changed"),
        ];
        changes.into_iter().filter(|(changed, _)| *changed).map(|(_, text)| text.to_owned()).collect()
    }

    /// Describes a change of a file of the tree, or of a package's directory.
    pub fn of_source(&self, path: &str) -> Option<String> {
        (self.before.sources.get(path) != self.after.sources.get(path)).then(|| format!("{path} changed"))
    }

    /// Describes changes of the packages that a layer is compiled from: `old` then, `new` now.
    pub fn of_packages(&self, old: &[String], new: &[String]) -> Vec<String> {
        let (old, new) = (closure(&self.before.crates, old), closure(&self.after.crates, new));
        let both: Vec<&Crate> = new.intersection(&old).copied().collect();
        let mut changes: Vec<String> = both.iter().filter_map(|found| self.of_files(found)).collect();
        changes.extend(versions(&old, &new));
        changes.extend(both.iter().flat_map(|found| self.of_features(found)));
        if changes.is_empty() {
            let compiled = |of: &Inputs, found: &Crate| of.crates.crates().get(found).cloned();
            let differs = |found: &&Crate| compiled(self.before, found) != compiled(self.after, found);
            let changed = both.into_iter().filter(differs);
            changes.extend(changed.map(|found| format!("{} has other dependencies", found.name)));
        }
        changes
    }

    fn of_files(&self, found: &Crate) -> Option<String> {
        let Source::Tree(dir) = &found.source else { return None };
        let change = self.of_source(dir)?;
        Some(if found.name == self.sdk { "the SDK changed".to_owned() } else { change })
    }

    fn of_features(&self, found: &Crate) -> Vec<String> {
        let name = &found.name;
        let on = self.turned_on.iter().filter(|feature| feature.of == *found).map(ToString::to_string);
        let features = |of: &Inputs| of.crates.crates().get(found).map(|compiled| compiled.features.clone());
        let (before, after) = (features(self.before).unwrap_or_default(), features(self.after).unwrap_or_default());
        let off = before.difference(&after).map(|feature| format!("{name}/{feature} was turned off"));
        on.chain(off).collect()
    }
}

fn closure<'a>(crates: &'a Resolution, packages: &[String]) -> BTreeSet<&'a Crate> {
    let members = packages.iter().filter_map(|name| crates.member(name));
    members.flat_map(|member| crates.closure(member)).collect()
}

/// The flags that only one of the two has.
fn flags(before: &[String], after: &[String]) -> String {
    let only = |of: &[String], other: &[String], word: &str| {
        let flags: Vec<&str> = of.iter().filter(|flag| !other.contains(flag)).map(String::as_str).collect();
        (!flags.is_empty()).then(|| format!("{} {word}", flags.join(" ")))
    };
    let parts = [only(after, before, "added"), only(before, after, "removed")];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() { "their order".to_owned() } else { parts.join(", ") }
}

/// The crates that only one of the two has, by name.
fn versions(before: &BTreeSet<&Crate>, after: &BTreeSet<&Crate>) -> Vec<String> {
    let mut names: BTreeMap<&str, [Vec<&str>; 2]> = BTreeMap::new();
    for (index, only) in [before.difference(after), after.difference(before)].into_iter().enumerate() {
        only.for_each(|found| names.entry(&found.name).or_default()[index].push(&found.version));
    }
    let change = |(name, [before, after]): (&str, [Vec<&str>; 2])| match (before.join(", "), after.join(", ")) {
        (before, after) if before == after => format!("{name} {after} comes from another source"),
        (before, after) if before.is_empty() => format!("{name} {after} added"),
        (before, after) if after.is_empty() => format!("{name} {before} removed"),
        (before, after) => format!("{name} {before} -> {after}"),
    };
    names.into_iter().map(change).collect()
}

#[cfg(test)]
mod tests {
    use super::Changes;
    use crate::cargo::resolution::Resolution;
    use crate::oci::digest::Digest;
    use crate::plan::forecast::TurnedOn;
    use crate::plan::inputs::Inputs;

    fn inputs(tree: &str) -> Inputs {
        let mut inputs =
            Inputs { crates: Resolution::parse(tree, "/tree".into()).expect("a tree"), ..Inputs::default() };
        inputs.sources.extend(["sdk", "mail"].map(|dir| (dir.to_owned(), Digest::sha256("1"))));
        inputs
    }

    const BEFORE: &str = "0mail v0.1.0 (/tree/mail)||\n1sdk v0.1.0 (/tree/sdk)||\n2json v1.0.1||std\n1hex v0.4.0||\n";

    fn check(after: &Inputs, expected: &[&str]) {
        let before = inputs(BEFORE);
        let json = after.crates.crates().keys().find(|found| found.name == "json").expect("json").clone();
        let feature = |feature: &str| TurnedOn {
            of: json.clone(),
            feature: feature.to_owned(),
            by: ["mail".to_owned()].into(),
            shared: true,
        };
        let turned_on: Vec<TurnedOn> =
            if expected.iter().any(|text| text.contains("turned on")) { vec![feature("order")] } else { Vec::new() };
        let changes = Changes { before: &before, after, sdk: "sdk", turned_on: &turned_on };
        let mail = ["mail".to_owned()];
        assert_eq!([changes.of_environment(), changes.of_packages(&mail, &mail)].concat(), expected);
    }

    #[test]
    fn what_changed_is_said_in_words() {
        check(&inputs(BEFORE), &[]);
        check(
            &inputs(&BEFORE.replace("1.0.1", "1.0.2").replace("hex v0.4.0", "base v0.1.0")),
            &["base 0.1.0 added", "hex 0.4.0 removed", "json 1.0.1 -> 1.0.2"],
        );
        check(&inputs(&BEFORE.replace("std", "order")), &["mail turned on json/order", "json/std was turned off"]);
        check(&inputs(&BEFORE.replace("1hex", "2hex")), &["mail has other dependencies", "sdk has other dependencies"]);
        check(
            &inputs(&BEFORE.replace("hex v0.4.0", "hex v0.4.0 (/tree/hex)")),
            &["hex 0.4.0 comes from another source"],
        );

        let mut edited = inputs(BEFORE);
        edited.sources.extend(["sdk", "mail"].map(|dir| (dir.to_owned(), Digest::sha256("2"))));
        edited.environment.rustflags = ["--cfg", "loud"].map(str::to_owned).to_vec();
        edited.environment.target = "new".to_owned();
        edited.environment.rustc = "rustc 2\nmore".to_owned();
        check(
            &edited,
            &[
                "rustc changed:  -> rustc 2",
                "the target changed:  -> new",
                "rustflags changed: --cfg loud added",
                "mail changed",
                "the SDK changed",
            ],
        );
    }
}
