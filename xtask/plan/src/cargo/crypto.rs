//! Implementations of cryptography for TLS beside the SDK's: who brings one, what it costs, and how to turn it off.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use anyhow::Result;

use crate::cargo::features;
use crate::cargo::query::Query;
use crate::cargo::resolution::{Crate, Resolution};
use crate::support::session::Session;
use crate::support::ui::size;

/// The crates, and how many bytes each one adds to the SDK, where that was measured.
const CRATES: [(&str, Option<u64>); 3] = [("aws-lc-rs", Some(4_500_000)), ("native-tls", None), ("openssl", None)];

/// An implementation that a plugin brings.
pub struct Other {
    found: Crate,
    pub plugin: String,
    /// The crates that lead to it, the plugin's own dependency first.
    by: Vec<String>,
}

/// All that `plugins` bring. Where the SDK's own crates need one because of a feature, cargo is asked who turns that on.
pub fn others(
    session: &Session,
    query: &Query,
    resolution: &Resolution,
    sdk: &str,
    plugins: &[&str],
) -> Result<Vec<Other>> {
    let Some(sdk) = resolution.member(sdk) else { return Ok(Vec::new()) };
    let shared = resolution.closure(sdk);
    let mut others = Vec::new();
    for found in resolution.crates().keys().filter(|found| CRATES.iter().any(|(name, _)| *name == found.name)) {
        let mut leading = BTreeMap::new();
        for plugin in plugins {
            let member = resolution.member(plugin);
            if let Some(path) = member.and_then(|member| path(resolution, member, found, sdk)) {
                leading.insert((*plugin).to_owned(), path);
            }
        }
        let needing = shared.iter().filter(|by| resolution.crates()[**by].dependencies.contains(found));
        for by in needing {
            let answer = query.features(session, by)?;
            for feature in resolution.crates()[*by].features.iter().filter(|feature| same(feature, &found.name)) {
                for (member, by) in features::paths(&answer, feature, &session.paths.sources())? {
                    if plugins.contains(&member.as_str()) {
                        let known = leading.entry(member).or_insert_with(|| by.clone());
                        // The shortest way says most: the crate itself may be in several of the SDK's.
                        if by.len() < known.len() {
                            *known = by;
                        }
                    }
                }
            }
        }
        others.extend(leading.into_iter().map(|(plugin, by)| Other { found: found.clone(), plugin, by }));
    }
    Ok(others)
}

/// A feature and the crate that it turns on: `aws_lc_rs` and `aws-lc-rs`.
fn same(feature: &str, name: &str) -> bool {
    feature.replace('_', "-") == name
}

/// The crates between two, by the shortest way that does not lead through the SDK.
fn path(resolution: &Resolution, from: &Crate, to: &Crate, sdk: &Crate) -> Option<Vec<String>> {
    let shared = resolution.closure(sdk);
    let mut seen = BTreeSet::from([from]);
    let mut ways = vec![(from, Vec::new())];
    while !ways.is_empty() {
        let mut next = Vec::new();
        for (at, way) in ways {
            for dependency in &resolution.crates().get(at)?.dependencies {
                if dependency == to {
                    return Some(way);
                }
                // What the SDK has anyway needs it because of a feature that somebody turned on.
                if !shared.contains(dependency) && seen.insert(dependency) {
                    next.push((dependency, [way.as_slice(), std::slice::from_ref(&dependency.name)].concat()));
                }
            }
        }
        ways = next;
    }
    None
}

impl fmt::Display for Other {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        let Other { found, plugin, by } = self;
        let cost = CRATES.iter().find(|(name, _)| *name == found.name).and_then(|(_, bytes)| *bytes);
        let cost = cost.map(|bytes| format!(", about {} in every image", size(bytes))).unwrap_or_default();
        write!(
            out,
            "{} {} is a second implementation of cryptography beside the SDK's{cost}; ",
            found.name, found.version
        )?;
        match by.as_slice() {
            [] => write!(out, "remove it from the dependencies of {plugin}"),
            [first, ..] => write!(
                out,
                "{plugin} turns it on by {}: write `default-features = false` for {first} in its Cargo.toml",
                by.join(" > ")
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{CRATES, Other, path, same};
    use crate::cargo::resolution::Resolution;

    const ANSWER: &str = "\
0sdk v0.2.0 (/tree/host/sdk)||
1tls v0.23.0||aws_lc_rs
2aws-lc-rs v1.17.0||
0cloud v0.3.0 (/tree/plugins/cloud)||
1sdk v0.2.0 (/tree/host/sdk)|| (*)
1client v1.0.0||
2old v0.1.0||
3openssl v0.10.0||
2tls v0.23.0||aws_lc_rs (*)
";

    #[test]
    fn what_brings_it_and_how_to_turn_it_off() {
        let resolution = Resolution::parse(ANSWER, "/tree".into()).expect("an answer");
        let (sdk, cloud) = (resolution.member("sdk").expect("a member"), resolution.member("cloud").expect("a member"));
        let found = |name: &str| resolution.crates().keys().find(|found| found.name == name).expect("it is there");
        assert_eq!(path(&resolution, cloud, found("openssl"), sdk), Some(vec!["client".to_owned(), "old".to_owned()]));
        // Only by a feature of what the SDK has anyway.
        assert_eq!(path(&resolution, cloud, found("aws-lc-rs"), sdk), None);
        assert!(same("aws_lc_rs", CRATES[0].0) && same("aws-lc-rs", CRATES[0].0) && !same("ring", CRATES[0].0));

        let text = |name: &str, by: &[&str]| {
            let by = by.iter().map(|name| (*name).to_owned()).collect();
            Other { found: found(name).clone(), plugin: "cloud".to_owned(), by }.to_string()
        };
        assert_eq!(
            text("aws-lc-rs", &["client", "tls"]),
            "aws-lc-rs 1.17.0 is a second implementation of cryptography beside the SDK's, about 4.5 MB in every image; cloud turns it on \
             by client > tls: write `default-features = false` for client in its Cargo.toml"
        );
        assert_eq!(
            text("openssl", &[]),
            "openssl 0.10.0 is a second implementation of cryptography beside the SDK's; remove it from the dependencies of cloud"
        );
    }
}
