//! Writes the image's configuration and manifest for OCI tools and docker.

use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::oci::digest::Digest;
use crate::oci::layer::NamedLayer;
use crate::plan::ImagePlan;
use crate::source::revision::Origin;

pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
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
        "Cmd": plan.command,
        "WorkingDir": host.working_dir,
        "Volumes": { host.state_dir.as_str(): {} },
        "Labels": labels(plan, origin),
        "StopSignal": "SIGTERM",
    });
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

/// Docker and podman read it; OCI's own configuration has no such key, and says that unknown ones are ignored.
/// Source: <https://github.com/moby/docker-image-spec>, "Healthcheck"; durations in nanoseconds.
fn health_check(plan: &ImagePlan, flag: &str) -> Value {
    const SECOND: u64 = 1_000_000_000;
    let host = &plan.build.host;
    let program = format!("./{}", host.package);
    json!({
        "Test": ["CMD", program, host.config_flag, host.config, flag],
        "Interval": 30 * SECOND,
        "Timeout": 5 * SECOND,
        "StartPeriod": 30 * SECOND,
        "Retries": 3,
    })
}

/// Source: OCI image specification, annotations.md.
fn labels(plan: &ImagePlan, origin: &Origin) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    let mut oci = |name: &str, value: &str| labels.insert(format!("org.opencontainers.image.{name}"), value.to_owned());
    oci("title", &plan.build.host.title);
    oci("version", &plan.build.host_version);
    oci("created", &rfc3339(origin.created));
    let about = &plan.build.about;
    let known = [
        ("description", about.description.as_deref()),
        ("licenses", about.license.as_deref()),
        ("source", about.repository.as_deref()),
        ("url", about.homepage.as_deref()),
        ("revision", origin.revision.as_deref()),
        ("base.digest", plan.base.digest()),
    ];
    for (name, value) in known {
        value.map(|value| oci(name, value));
    }
    oci("base.name", &plan.base.to_label());
    labels.insert("xtask.engine".to_owned(), plan.build.environment.label().to_owned());
    labels
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
