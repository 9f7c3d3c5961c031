//! The SBOM: every file that the image adds, and every crate that is linked into one of them.
//! Source: CycloneDX 1.6, <https://cyclonedx.org/docs/1.6/json/>.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use serde_json::{Value, json};

use crate::assemble::{Image, config};
use crate::attest::package_url::{self, encoded};
use crate::attest::{base_digest, component};
use crate::cargo::lockfile::Lock;
use crate::cargo::resolution::{Crate, Resolution};
use crate::compile::{Dist, DistFile};
use crate::oci::digest::Digest;
use crate::oci::listing::Listed;
use crate::plan::{BuildPlan, ImagePlan};
use crate::source::outside::PluginOrigin;
use crate::support::files;

/// Where a plugin from outside of the tree came from, and a digest of its files, among a component's properties.
const ORIGIN: &str = "xtask:origin";
const CONTENT: &str = "xtask:content";

pub fn sbom(plan: &ImagePlan, dist: &Dist, image: &Image, lock: &Lock) -> Result<Value> {
    let mut sbom = Sbom {
        resolution: &plan.build.resolution,
        lock,
        sdk: member(&plan.build, &plan.build.host.sdk)?,
        std: None,
        components: BTreeMap::new(),
        needs: BTreeMap::new(),
    };
    let url = package_url::of_image(plan, image);
    let mut parts: BTreeSet<String> = sbom.add_base(plan, image).into_iter().collect();
    let (files, built) = (ImageFile::all(image), built(&plan.build, dist)?);
    sbom.std = std(dist, &files)?.map(ImageFile::reference);
    for file in &files {
        parts.insert(match built.get(file.sha256) {
            Some(built) => sbom.add_built(built, file),
            None => sbom.add_file(file),
        });
    }
    sbom.needs.insert(url.clone(), parts);
    let needs = sbom.needs.iter().map(|(of, on)| json!({ "ref": of, "dependsOn": on }));
    Ok(json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": serial_number(plan, image),
        "version": 1,
        "metadata": {
            "timestamp": config::rfc3339(image.origin.created),
            "lifecycles": [{ "phase": "build" }],
            "tools": { "components": [
                { "type": "application", "name": env!("CARGO_PKG_NAME"), "version": env!("CARGO_PKG_VERSION") },
            ] },
            "component": {
                "type": "container",
                "bom-ref": url,
                "name": plan.build.host.name,
                "version": plan.build.host_version,
                "purl": url,
                "hashes": hashes(&image.manifest_digest.hex()),
            },
        },
        "components": sbom.components.values().collect::<Vec<_>>(),
        "dependencies": needs.collect::<Vec<_>>(),
    }))
}

/// A package of the tree as cargo built it.
struct Built<'a> {
    package: &'a Crate,
    /// As CycloneDX has it.
    kind: &'static str,
    /// Of a plugin from outside of the tree.
    origin: Option<&'a PluginOrigin>,
}

/// A file that the image adds to the base.
struct ImageFile<'a> {
    /// Absolute.
    path: Utf8PathBuf,
    sha256: &'a str,
}

impl ImageFile<'_> {
    fn all(image: &Image) -> Vec<ImageFile<'_>> {
        image.own_layers.iter().flat_map(|named| &named.files).filter_map(ImageFile::new).collect()
    }

    fn new(listed: &Listed) -> Option<ImageFile<'_>> {
        let content = listed.content.as_ref()?;
        Some(ImageFile { path: Utf8Path::new("/").join(&listed.path), sha256: &content.sha256 })
    }

    fn reference(&self) -> String {
        format!("file:{}", encoded(self.path.as_str()))
    }

    fn hashes(&self) -> Value {
        hashes(self.sha256)
    }
}

struct Sbom<'a> {
    resolution: &'a Resolution,
    lock: &'a Lock,
    sdk: &'a Crate,
    /// The reference of std's file, where std is one.
    std: Option<String>,
    /// By reference.
    components: BTreeMap<String, Value>,
    /// What each component needs, by references.
    needs: BTreeMap<String, BTreeSet<String>>,
}

impl Sbom<'_> {
    /// The host, the SDK or a plugin, with everything that is linked into its file; returns its reference.
    fn add_built(&mut self, built: &Built, file: &ImageFile) -> String {
        let package = built.package;
        let linked = self.resolution.linked(package, self.sdk);
        let mut needs: BTreeSet<String> = self.std.iter().cloned().collect();
        for found in linked.into_iter().filter(|found| *found != package) {
            needs.insert(self.add_crate(found));
        }
        let reference = self.add_crate(package);
        self.needs.insert(reference.clone(), needs);
        if let Some(component) = self.components.get_mut(&reference) {
            component["type"] = json!(built.kind);
            component["hashes"] = file.hashes();
            if let (Some(origin), Some(properties)) = (built.origin, component["properties"].as_array_mut()) {
                properties.push(json!({ "name": ORIGIN, "value": origin.public().unwrap_or_default() }));
                properties.push(json!({ "name": CONTENT, "value": origin.content }));
            }
        }
        reference
    }

    /// A crate, which needs what its manifest names; returns its reference.
    fn add_crate(&mut self, found: &Crate) -> String {
        let reference = component::reference(found, self.lock);
        if !self.components.contains_key(&reference) {
            let Some(compiled) = self.resolution.crates().get(found) else { return reference };
            self.components.insert(reference.clone(), component::of_crate(found, compiled, self.lock));
            let needs = compiled.dependencies.iter().map(|needed| component::reference(needed, self.lock));
            self.needs.insert(reference.clone(), needs.collect());
        }
        reference
    }

    /// A file that no package of the tree was built to: a shared library, a configuration, what a plugin ships.
    fn add_file(&mut self, file: &ImageFile) -> String {
        let reference = file.reference();
        let component = json!({ "type": "file", "bom-ref": reference, "name": file.path, "hashes": file.hashes() });
        self.add(reference, component)
    }

    fn add_base(&mut self, plan: &ImagePlan, image: &Image) -> Option<String> {
        let digest = base_digest(&plan.base, image)?;
        let name = plan.base.to_label();
        let reference = format!("base:{}", encoded(&name));
        let mut component = json!({ "type": "container", "bom-ref": reference, "name": name });
        // A reference may pin by another algorithm.
        if let Some(sha256) = digest.strip_prefix("sha256:") {
            component["hashes"] = hashes(sha256);
        }
        Some(self.add(reference, component))
    }

    /// A component without known dependencies.
    fn add(&mut self, reference: String, component: Value) -> String {
        self.components.insert(reference.clone(), component);
        self.needs.insert(reference.clone(), BTreeSet::new());
        reference
    }
}

/// The files of host, SDK and plugins, by content: a base's symlinks may change their paths.
fn built<'a>(build: &'a BuildPlan, dist: &Dist) -> Result<BTreeMap<String, Built<'a>>> {
    let sdk = (&dist.sdk, build.host.sdk.as_str(), "library");
    let plugins = dist.plugins.iter().map(|plugin| (&plugin.file, plugin.name.as_str(), "library"));
    let host = (&dist.host, build.host.package.as_str(), "application");
    let mut built = BTreeMap::new();
    for (file, name, kind) in [host, sdk].into_iter().chain(plugins) {
        built.insert(sha256(file)?, Built { package: member(build, name)?, kind, origin: origin(build, name) });
    }
    Ok(built)
}

fn origin<'a>(build: &'a BuildPlan, name: &str) -> Option<&'a PluginOrigin> {
    build.plugins.iter().find(|plugin| plugin.name == name)?.origin.as_ref()
}

fn member<'a>(build: &'a BuildPlan, name: &str) -> Result<&'a Crate> {
    build.resolution.member(name).with_context(|| format!("`cargo tree` named no package `{name}` of the tree"))
}

fn std<'a>(dist: &Dist, files: &'a [ImageFile<'a>]) -> Result<Option<&'a ImageFile<'a>>> {
    let Some(std) = &dist.std else { return Ok(None) };
    let sha256 = sha256(std)?;
    Ok(files.iter().find(|file| file.sha256 == sha256))
}

fn sha256(file: &DistFile) -> Result<String> {
    Ok(Digest::sha256(files::read(&file.path)?).hex())
}

fn hashes(sha256: &str) -> Value {
    json!([{ "alg": "SHA-256", "content": sha256 }])
}

/// Depends on the content: a UUID of version 8, whose bits may come from a hash.
/// Source: RFC 9562, 5.8.
fn serial_number(plan: &ImagePlan, image: &Image) -> String {
    let mut bytes = Digest::sha256(format!("{} {}", plan.image, image.manifest_digest)).bytes();
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("urn:uuid:{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}
