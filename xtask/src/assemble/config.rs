//! Writes the image's configuration and manifest for OCI tools and docker.

use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::oci::digest::Digest;
use crate::oci::documents::REVISION;
use crate::oci::layer::NamedLayer;
use crate::plan::{BuildPlan, ImagePlan};
use crate::source::manifest::HostSpec;
use crate::source::revision::Origin;

pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const OCI: &str = "org.opencontainers.image.";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// Source: OCI image specification, config.md.
pub fn config(plan: &ImagePlan, origin: &Origin, env: &[String], layers: &[&NamedLayer]) -> Vec<u8> {
    let host = &plan.build.host;
    let history = |named: &&NamedLayer| json!({ "created": rfc3339(origin.created), "created_by": format!("cargo xtask image: {}", named.name) });
    let diff_ids: Vec<Digest> = layers.iter().map(|named| named.layer.diff_id).collect();
    let mut config = json!({
        "User": format!("{}:{}", host.user.uid, host.user.gid),
        "ExposedPorts": { format!("{}/tcp", host.port): {} },
        "WorkingDir": host.working_dir,
        "Volumes": { host.state_dir.as_str(): {} },
        "Labels": labels(plan, origin),
        "StopSignal": "SIGTERM",
    });
    config[if plan.entrypoint { "Entrypoint" } else { "Cmd" }] = json!(plan.command);
    if let Some(flag) = &host.health_flag {
        config["Healthcheck"] = health_check(plan, flag);
    }
    if !env.is_empty() {
        config["Env"] = json!(env);
    }
    bytes(&json!({
        "architecture": plan.platform.trim_start_matches("linux/"),
        "os": "linux",
        "created": rfc3339(origin.created),
        "config": config,
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
        "history": layers.iter().map(history).collect::<Vec<_>>(),
    }))
}

/// How often and how long the image's health is asked for, in seconds.
pub const INTERVAL: u64 = 30;
pub const TIMEOUT: u64 = 5;
pub const START_PERIOD: u64 = 30;
pub const RETRIES: u64 = 3;

/// Docker and podman read it; OCI's own configuration has no such key, and says that unknown ones are ignored.
/// Source: <https://github.com/moby/docker-image-spec>, "Healthcheck"; durations in nanoseconds.
fn health_check(plan: &ImagePlan, flag: &str) -> Value {
    const SECOND: u64 = 1_000_000_000;
    let command = health_command(&plan.build.host, flag);
    json!({
        "Test": std::iter::once("CMD").chain(command.iter().map(String::as_str)).collect::<Vec<_>>(),
        "Interval": INTERVAL * SECOND,
        "Timeout": TIMEOUT * SECOND,
        "StartPeriod": START_PERIOD * SECOND,
        "Retries": RETRIES,
    })
}

pub fn health_command(host: &HostSpec, flag: &str) -> [String; 4] {
    [format!("./{}", host.package), host.config_flag.clone(), host.config.to_string(), flag.to_owned()]
}

/// Source: OCI image specification, annotations.md.
fn labels(plan: &ImagePlan, origin: &Origin) -> BTreeMap<String, String> {
    let engine = plan.build.environment.label();
    let mut labels = lasting_labels(&plan.build, engine, &plan.base.to_label(), plan.base.digest());
    labels.insert(format!("{OCI}created"), rfc3339(origin.created));
    labels.extend(origin.revision.clone().map(|revision| (REVISION.to_owned(), revision)));
    labels
}

/// Those that stay the same from commit to commit; `base` is the base image's name, then its digest.
pub fn lasting_labels(
    build: &BuildPlan,
    engine: &str,
    base: &str,
    base_digest: Option<&str>,
) -> BTreeMap<String, String> {
    let about = &build.about;
    let known = [
        ("title", Some(build.host.title.as_str())),
        ("version", Some(build.host_version.as_str())),
        ("description", about.description.as_deref()),
        ("licenses", about.license.as_deref()),
        ("source", about.repository.as_deref()),
        ("url", about.homepage.as_deref()),
        ("base.digest", base_digest),
        ("base.name", Some(base)),
    ];
    let known = known.into_iter().filter_map(|(name, value)| Some((format!("{OCI}{name}"), value?.to_owned())));
    known.chain([("xtask.engine".to_owned(), engine.to_owned())]).collect()
}

/// Source: OCI image specification, manifest.md.
pub fn manifest(config: &[u8], config_digest: &Digest, layers: &[&NamedLayer]) -> Vec<u8> {
    let layer =
        |named: &&NamedLayer| json!({ "mediaType": LAYER, "digest": named.layer.digest, "size": named.layer.size });
    bytes(&json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": { "mediaType": CONFIG, "digest": config_digest, "size": config.len() },
        "layers": layers.iter().map(layer).collect::<Vec<_>>(),
    }))
}

/// Keys sorted, since that is how serde_json's map is ordered.
pub fn bytes(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

/// Seconds since 1970 as RFC 3339 in UTC, in a year of four digits.
pub fn rfc3339(seconds: u64) -> String {
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(seconds)).to_string()
}

#[cfg(test)]
mod tests {
    use super::rfc3339;

    #[test]
    fn times_are_rfc_3339() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(951_827_696), "2000-02-29T12:34:56Z");
        assert_eq!(rfc3339(1_798_761_599), "2026-12-31T23:59:59Z");
    }
}
