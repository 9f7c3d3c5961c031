//! OCI layouts, as tests read and change them.

use std::fs;

use camino::Utf8Path;
use serde_json::Value;

use super::sha256;

pub fn read(dir: &Utf8Path, path: &str) -> Value {
    serde_json::from_slice(&fs::read(dir.join(path)).expect("a file")).expect("JSON")
}

pub fn blob(dir: &Utf8Path, descriptor: &Value) -> Value {
    read(dir, &format!("blobs/{}", descriptor["digest"].as_str().expect("a digest").replace(':', "/")))
}

/// Writes a blob in place of another; its descriptor.
pub fn put(dir: &Utf8Path, content: &Value, old: &Value) -> Value {
    let bytes = content.to_string();
    let digest = sha256(bytes.as_bytes());
    fs::write(dir.join("blobs/sha256").join(&digest), &bytes).expect("a blob");
    let mut descriptor = old.clone();
    descriptor["digest"] = format!("sha256:{digest}").into();
    descriptor["size"] = bytes.len().into();
    descriptor
}
