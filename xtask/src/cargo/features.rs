//! Which packages need a feature of a crate, from `cargo tree --invert`.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use camino::Utf8Path;

use crate::cargo::tree;

/// The packages of the tree that turn a feature on, directly or through crates from outside the tree.
/// A line of the answer reads `name vVERSION (SOURCE)` or `name feature "FEATURE"`.
pub fn wanting(answer: &str, feature: &str, root: &Utf8Path) -> Result<BTreeSet<String>> {
    let mut below: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let lines = tree::lines(answer)?;
    for line in &lines {
        if let Some(parent) = line.parent {
            below.entry(lines[parent].text).or_default().insert(line.text);
        }
    }
    let crate_itself = lines.first().map(|line| line.text).unwrap_or_default();
    let name = crate_itself.split(' ').next().unwrap_or_default();
    let wanted = format!("{name} feature \"{feature}\"");
    let (mut seen, mut members) = (BTreeSet::new(), BTreeSet::new());
    let mut todo: Vec<&str> = below.get_key_value(wanted.as_str()).map(|(node, _)| *node).into_iter().collect();
    while let Some(node) = todo.pop() {
        if !seen.insert(node) {
            continue;
        }
        let in_tree = node.contains(&format!("({root}/")) && node != crate_itself;
        match node.split_once(" v") {
            Some((member, _)) if in_tree => drop(members.insert(member.to_owned())),
            _ => todo.extend(below.get(node).into_iter().flatten()),
        }
    }
    Ok(members)
}

#[cfg(test)]
mod tests {
    use super::wanting;

    const ANSWER: &str = "\
0json v1.0.1
1json feature \"default\"
2axis v0.8.0
3axis feature \"json\"
4host v0.1.0 (/tree/host)
2sdk v0.1.0 (/tree/host/sdk)
3sdk feature \"default\"
4mail v0.1.0 (/tree/plugins/mail)
1json feature \"order\"
2mail v0.1.0 (/tree/plugins/mail)
2axis feature \"json\" (*)
1json feature \"std\"
2json feature \"default\" (*)
";

    #[test]
    fn features_are_put_down_to_packages_of_the_tree() {
        let check = |feature, expected: &[&str]| {
            let members = wanting(ANSWER, feature, "/tree".into()).expect("an answer");
            assert_eq!(members.iter().collect::<Vec<_>>(), expected, "{feature}");
        };
        check("default", &["host", "sdk"]);
        check("order", &["host", "mail"]);
        check("std", &["host", "sdk"]);
        check("other", &[]);
        assert!(wanting("json v1.0.1", "order", "/tree".into()).is_err());
    }
}
