//! How an image was made: an unsigned in-toto statement with a SLSA provenance.
//! Source: <https://github.com/in-toto/attestation/tree/main/spec/v1>, <https://slsa.dev/spec/v1.0/provenance>.

use serde_json::{Map, Value, json};

use crate::assemble::{Image, config};
use crate::attest::base_digest;
use crate::environment::options::BuildEnvironment;
use crate::oci::digest::Digest;
use crate::oci::reference;
use crate::plan::{ImagePlan, Plugin};
use crate::source::revision::DIRTY;

/// docs/architecture.md says what the parameters mean.
const BUILD_TYPE: &str = "urn:xtask:image:v1";

/// `lock` is the digest of Cargo.lock.
pub fn statement(plan: &ImagePlan, image: &Image, lock: &Digest) -> Value {
    let build = &plan.build;
    let plugins = build.plugins.iter().map(described);
    let parameters = parameters(plan);
    let options = parameters.iter().map(|(option, value)| match value {
        Value::String(value) => format!(" --{option} {value}"),
        _ => format!(" --{option}"),
    });
    let command = format!("cargo xtask image{}", options.collect::<String>());
    let mut named: Map<String, Value> = Map::new();
    for (option, value) in &parameters {
        match named.get_mut(*option) {
            // An option that was repeated.
            Some(Value::Array(values)) => values.push(value.clone()),
            Some(first) => *first = json!([first, value]),
            None => drop(named.insert((*option).to_owned(), value.clone())),
        }
    }
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{ "name": plan.image, "digest": digest_set(&image.manifest_digest.to_string()) }],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": named,
                "internalParameters": {
                    "command": command,
                    "created": config::rfc3339(image.origin.created),
                    "plugins": plugins.collect::<Vec<_>>(),
                    "rustc": build.toolchain.verbose_version,
                    "target": build.toolchain.target,
                },
                "resolvedDependencies": dependencies(plan, image, lock),
            },
            "runDetails": {
                "builder": {
                    "id": format!("urn:xtask:engine:{}", build.environment.name()),
                    "version": { "xtask": env!("CARGO_PKG_VERSION") },
                },
            },
        },
    })
}

fn described(plugin: &Plugin) -> Value {
    let mut described = json!({ "name": plugin.name, "path": plugin.path });
    if let Some(origin) = &plugin.origin {
        described["content"] = digest_set(&origin.content.to_string());
        described["origin"] = json!(origin.public());
    }
    described
}

/// The options of `image` that decide the result, given or resolved by default, each with its value, or `true` if it has none; no path of
/// the machine.
fn parameters(plan: &ImagePlan) -> Vec<(&'static str, Value)> {
    let build = &plan.build;
    let mut parameters = vec![("engine", build.environment.name().to_owned())];
    if let BuildEnvironment::Container(builder) = &build.environment {
        parameters.push(("builder-image", builder.reference.clone()));
    }
    parameters.extend(build.selection.options());
    let outside = build.plugins.iter().filter_map(|plugin| Some((plugin, plugin.origin.as_ref()?)));
    parameters.extend(outside.map(|(plugin, origin)| ("with", origin.public().unwrap_or_else(|| plugin.name.clone()))));
    parameters.extend([
        ("toolchain", build.toolchain.channel.clone()),
        ("base", plan.base.to_label()),
        ("tag", plan.image.clone()),
    ]);
    let mut parameters: Vec<_> = parameters.into_iter().map(|(option, value)| (option, json!(value))).collect();
    if plan.entrypoint {
        parameters.push(("entrypoint", json!(true)));
    }
    parameters
}

/// A digest as OCI writes it, by the name of its algorithm. Source: in-toto attestation framework, DigestSet.
fn digest_set(digest: &str) -> Value {
    let (algorithm, encoded) = digest.split_once(':').unwrap_or(("sha256", digest));
    json!({ algorithm: encoded })
}

/// What was used for the image and is not a file in it.
fn dependencies(plan: &ImagePlan, image: &Image, lock: &Digest) -> Vec<Value> {
    let toolchain = &plan.build.toolchain;
    let named = |name: &str, digest: &str| json!({ "name": name, "digest": digest_set(digest) });
    let mut dependencies = Vec::new();
    if let Some(revision) = &image.origin.revision {
        let commit = revision.strip_suffix(DIRTY);
        let source = json!({ "name": "source", "digest": { "gitCommit": commit.unwrap_or(revision) } });
        dependencies.push(source);
        if commit.is_some() {
            dependencies[0]["annotations"] = json!({ "dirty": true });
        }
    }
    dependencies.push(named("Cargo.lock", &lock.to_string()));
    let line = |key: &str| toolchain.verbose_version.lines().find_map(|line| line.strip_prefix(key));
    let commit = line("commit-hash: ").filter(|commit| *commit != "unknown");
    dependencies.push(match commit {
        Some(commit) => json!({ "name": "rustc", "digest": { "gitCommit": commit } }),
        None => json!({ "name": "rustc" }),
    });
    if let BuildEnvironment::Container(builder) = &plan.build.environment {
        dependencies.push(named(&builder.reference, reference::digest(&builder.reference).unwrap_or(&builder.id)));
    }
    if let Some(digest) = base_digest(&plan.base, image) {
        dependencies.push(named(&plan.base.to_label(), &digest));
    }
    dependencies
}
