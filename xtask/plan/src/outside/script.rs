//! Plugins in a single file, with their manifest in front: cargo's frontmatter.
//! Source: <https://doc.rust-lang.org/nightly/cargo/reference/unstable.html#script>.

use anyhow::{Context, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};
use toml::{Table, Value};

use crate::source::manifest::HostSpec;
use crate::support::files;

/// Writes the crate around the file into `dir`; returns its directory.
pub fn wrap(script: &Utf8Path, dir: &Utf8Path, host: &HostSpec) -> Result<Utf8PathBuf> {
    let name = script.file_stem().context("a file has a name")?;
    let (front, code) = split(&files::read_text(script)?).with_context(|| format!("reading {script}"))?;
    let mut manifest: Table = front.parse().with_context(|| format!("reading the frontmatter of {script}"))?;
    let package = [("name", name), ("version", "0.1.0"), ("edition", "2024")];
    defaults(&mut manifest, "package", package.map(|(key, value)| (key, value.into())))?;
    defaults(&mut manifest, "lib", [("crate-type", Value::Array(vec!["cdylib".into()]))])?;
    defaults(
        &mut manifest,
        "dependencies",
        [(host.sdk.as_str(), Table::from_iter([("workspace".into(), true.into())]).into())],
    )?;
    let dir = dir.join("script").join(name);
    files::write_changed(&dir.join("Cargo.toml"), manifest.to_string().as_bytes())?;
    files::write_changed(&dir.join("src/lib.rs"), code.as_bytes())?;
    dir.canonicalize_utf8().with_context(|| format!("finding {dir}"))
}

/// Sets what the table does not have.
fn defaults<const N: usize>(manifest: &mut Table, name: &str, defaults: [(&str, Value); N]) -> Result<()> {
    let table = manifest.entry(name).or_insert_with(|| Table::new().into()).as_table_mut();
    let table = table.with_context(|| format!("`{name}` of the frontmatter is not a table"))?;
    for (key, value) in defaults {
        table.entry(key).or_insert(value);
    }
    Ok(())
}

/// The manifest and the code. The fence is a line of three or more dashes, which may name the format: `---cargo`.
fn split(text: &str) -> Result<(String, String)> {
    let mut lines =
        text.split_inclusive('\n').skip_while(|line| line.starts_with("#!") || line.trim().is_empty()).peekable();
    let fence =
        |line: &str| line.starts_with("---").then(|| line.chars().take_while(|dash| *dash == '-').collect::<String>());
    let Some(opened) = lines.peek().and_then(|line| fence(line)) else { return Ok((String::new(), text.to_owned())) };
    lines.next();
    let mut front = String::new();
    for line in lines.by_ref() {
        if line.trim_end() == opened {
            return Ok((front, lines.collect()));
        }
        front.push_str(line);
    }
    bail!("its frontmatter has no end: a line `{opened}` is missing")
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn the_manifest_is_between_the_fences() {
        let check = |text: &str, front: &str, code: &str| {
            assert_eq!(split(text).expect("it has an end"), (front.to_owned(), code.to_owned()));
        };
        check("---\n[dependencies]\n---\nfn a() {}\n", "[dependencies]\n", "fn a() {}\n");
        check("#!/usr/bin/env cargo\n\n----cargo\na = 1\n---\n----\n//! Doc\n", "a = 1\n---\n", "//! Doc\n");
        check("//! Doc\n", "", "//! Doc\n");
        assert!(split("---\na = 1\n").is_err());
    }
}
