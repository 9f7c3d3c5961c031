//! What a plugin's crates mean for the host and for the other plugins.

use std::collections::BTreeSet;

use anyhow::Result;

use crate::cargo::crypto;
use crate::cargo::query::Query;
use crate::cargo::resolution::{Crate, Reach, Resolution};
use crate::compile::tools;
use crate::plan::{BuildPlan, Plugin};
use crate::support::errors::Errors;
use crate::support::session::Session;

/// Crates that need a library of the system, by the library's name.
const SYSTEM: [(&str, &str); 9] = [
    ("alsa-sys", "alsa"),
    ("libdbus-sys", "dbus-1"),
    ("libgit2-sys", "libgit2"),
    ("libudev-sys", "libudev"),
    ("mysqlclient-sys", "mysqlclient"),
    ("openssl-sys", "openssl"),
    ("pq-sys", "libpq"),
    ("rdkafka-sys", "rdkafka"),
    ("zmq-sys", "libzmq"),
];

/// Checks the crates of a plugin. Notes are no errors: things that cost something.
pub fn check(
    session: &Session,
    plan: &BuildPlan,
    plugin: &Plugin,
    errors: &mut Errors,
    notes: &mut Errors,
) -> Result<()> {
    let resolution = &plan.resolution;
    let (Some(sdk), Some(own)) = (resolution.member(&plan.host.sdk), resolution.member(&plugin.name)) else {
        return Ok(());
    };
    let (shared, own) = (resolution.closure(sdk), resolution.own(own, sdk));
    let dir = &plugin.path;
    for other in crypto::others(session, &plan.query(), resolution, &plan.host.sdk, &[&plugin.name])? {
        errors.push_as("crypto", dir, format!("{dir}: {other}"));
    }
    for found in own {
        let name = found.name.as_str();
        let of_sdk = shared.iter().find(|other| other.name == name);
        let library = SYSTEM.iter().find(|(system, _)| *system == name).map(|(_, library)| *library);
        if let Some((debian, alpine)) = library.and_then(tools::packages) {
            notes.push_as("system-package", dir, format!(
                "{dir}: {} needs a library of the system: add {debian} (Debian) or {alpine} (Alpine) to docker/builder.Dockerfile",
                shown(found)
            ));
        }
        match of_sdk {
            Some(other) if name == "tokio" => errors.push_as(
                "tokio",
                dir,
                format!(
                    "{dir}: {} is not the SDK's {}: use `{}::tokio`",
                    shown(found),
                    shown(other),
                    plan.host.sdk.replace('-', "_")
                ),
            ),
            Some(other) => {
                notes.push_as(
                    "duplicate",
                    dir,
                    format!(
                        "{dir}: {} beside the SDK's {}: both are compiled, and its layer has a copy of its own",
                        shown(found),
                        shown(other)
                    ),
                );
            }
            None => {}
        }
    }
    note_features(session, plan, plugin, &shared, notes)
}

fn shown(found: &Crate) -> String {
    format!("{} {}", found.name, found.version)
}

/// Features of the SDK's crates that are on because of the plugin alone.
fn note_features(
    session: &Session,
    plan: &BuildPlan,
    plugin: &Plugin,
    shared: &BTreeSet<&Crate>,
    notes: &mut Errors,
) -> Result<()> {
    let without = Query {
        packages: plan.packages().filter(|id| **id != plugin.id).map(|id| id.repr.as_str()).collect(),
        ..plan.query()
    };
    let without = without.crates(session, Reach::Linked)?;
    let features =
        |resolution: &Resolution, of: &Crate| resolution.crates().get(of).map(|found| found.features.clone());
    for found in shared {
        let (Some(with), Some(without)) = (features(&plan.resolution, found), features(&without, found)) else {
            continue;
        };
        let more: Vec<&str> = with.difference(&without).map(String::as_str).collect();
        if !more.is_empty() {
            let note = format!("{}: turns on {} of {} for everybody", plugin.path, more.join(", "), shown(found));
            notes.push_as("features", &plugin.path, note);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{SYSTEM, tools};

    #[test]
    fn the_packages_of_every_library_are_known() {
        let unknown = SYSTEM.iter().filter(|(_, library)| tools::packages(library).is_none());
        assert_eq!(unknown.collect::<Vec<_>>(), <[&(&str, &str); 0]>::default());
    }
}
