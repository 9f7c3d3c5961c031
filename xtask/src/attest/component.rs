//! A crate as a component of the SBOM.

use serde_json::{Value, json};
use spdx::{Expression, ParseMode};

use crate::attest::package_url;
use crate::cargo::lockfile::Lock;
use crate::cargo::resolution::{Compiled, Crate, Source};

/// The name of a feature that is turned on, among a component's properties.
const FEATURE: &str = "xtask:feature";

/// The reference of a crate: its package URL, or its directory in the tree, since a crate that only looks like one of a
/// registry would be taken for it.
pub fn reference(found: &Crate, lock: &Lock) -> String {
    match &found.source {
        Source::Tree(dir) => format!("tree:{}", package_url::encoded(dir)),
        _ => package_url::of_crate(found, lock),
    }
}

pub fn of_crate(found: &Crate, compiled: &Compiled, lock: &Lock) -> Value {
    let reference = reference(found, lock);
    let mut component =
        json!({ "type": "library", "bom-ref": reference, "name": found.name, "version": found.version });
    if !matches!(found.source, Source::Tree(_)) {
        component["purl"] = json!(reference);
    }
    if let Some((_, Some(checksum))) = lock.origin(found) {
        component["hashes"] = json!([{ "alg": "SHA-256", "content": checksum }]);
    }
    if let Some(license) = &compiled.license {
        component["licenses"] = licenses(license);
    }
    let features = compiled.features.iter().map(|feature| json!({ "name": FEATURE, "value": feature }));
    component["properties"] = features.collect();
    component
}

/// An SPDX expression where it can be read as one, as `MIT/Apache-2.0` of old manifests can.
fn licenses(text: &str) -> Value {
    let canonical = Expression::canonicalize(text).ok().map(|changed| changed.unwrap_or_else(|| text.to_owned()));
    match canonical.filter(|expression| Expression::parse_mode(expression, ParseMode::STRICT).is_ok()) {
        Some(expression) => json!([{ "expression": expression }]),
        None => json!([{ "license": { "name": text } }]),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::licenses;

    #[test]
    fn licenses_are_expressions_or_names() {
        let expression = |text: &str| json!([{ "expression": text }]);
        assert_eq!(licenses("MIT"), expression("MIT"));
        assert_eq!(
            licenses("MIT OR Apache-2.0 WITH LLVM-exception"),
            expression("MIT OR Apache-2.0 WITH LLVM-exception")
        );
        assert_eq!(licenses("MIT/Apache-2.0"), expression("MIT OR Apache-2.0"));
        for name in ["Our own", "MIT OR", ""] {
            assert_eq!(licenses(name), json!([{ "license": { "name": name } }]));
        }
    }
}
