//! Which packages need a feature of a crate, from `cargo tree --invert`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use anyhow::Result;
use camino::Utf8Path;

use crate::cargo::tree;

/// The packages of the tree that turn a feature on, directly or through crates from outside the tree. Of each, by the shortest way,
/// the crates that lead from it to the feature's own, which is the last.
/// A line of the answer reads `name vVERSION (SOURCE)` or `name feature "FEATURE"`.
pub fn paths(answer: &str, feature: &str, root: &Utf8Path) -> Result<BTreeMap<String, Vec<String>>> {
    let mut below: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let lines = tree::lines(answer)?;
    for line in &lines {
        if let Some(parent) = line.parent {
            below.entry(lines[parent].text).or_default().insert(line.text);
        }
    }
    let crate_itself = lines.first().map(|line| line.text).unwrap_or_default();
    let name_of = |node: &str| node.split(' ').next().unwrap_or_default().to_owned();
    let wanted = format!("{} feature \"{feature}\"", name_of(crate_itself));
    let (mut seen, mut members) = (BTreeSet::new(), BTreeMap::new());
    let first = below.get_key_value(wanted.as_str()).map(|(node, _)| (*node, vec![name_of(node)]));
    let mut todo: VecDeque<(&str, Vec<String>)> = first.into_iter().collect();
    while let Some((node, path)) = todo.pop_front() {
        if !seen.insert(node) {
            continue;
        }
        let in_tree = node.contains(&format!("({root}/")) && node != crate_itself;
        match node.split_once(" v") {
            Some((member, _)) if in_tree => {
                members.entry(member.to_owned()).or_insert(path);
            }
            _ => todo.extend(below.get(node).into_iter().flatten().map(|next| {
                let mut longer = path.clone();
                let (name, is_outside) = (name_of(next), !next.contains(&format!("({root}/")));
                if is_outside && longer.first() != Some(&name) {
                    longer.insert(0, name);
                }
                (*next, longer)
            })),
        }
    }
    Ok(members)
}

#[cfg(test)]
mod tests {
    use super::paths;

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
        let check = |feature, expected: &[(&str, &[&str])]| {
            let members = paths(ANSWER, feature, "/tree".into()).expect("an answer");
            let members: Vec<_> = members.iter().map(|(name, by)| format!("{name}: {}", by.join(" > "))).collect();
            let expected: Vec<_> = expected.iter().map(|(name, by)| format!("{name}: {}", by.join(" > "))).collect();
            assert_eq!(members, expected, "{feature}");
        };
        check("default", &[("host", &["axis", "json"]), ("sdk", &["json"])]);
        check("order", &[("host", &["axis", "json"]), ("mail", &["json"])]);
        check("std", &[("host", &["axis", "json"]), ("sdk", &["json"])]);
        check("other", &[]);
        assert!(paths("json v1.0.1", "order", "/tree".into()).is_err());
    }
}
