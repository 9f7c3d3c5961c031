//! What the host says of the files that it refuses, as the tests compare it.

use std::fs;
use std::path::Path;
use std::process::Output;

pub const TOGETHER: &str = "host and plugins must be built together: `cargo xtask image`";

/// What the host wrote to stderr when it refused, with `@` for the directory and ` | ` between the cells of the table.
pub fn refused(output: Output, dir: &Path) -> String {
    let stderr = String::from_utf8(output.stderr).expect("messages are text");
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(1), &b""[..]), "{}: {stderr}", output.status);
    let shown = dir.to_str().expect("a temporary directory's name is text");
    let cells = |line: &str| {
        let cells = line.split("  ").map(str::trim).filter(|cell| !cell.is_empty());
        cells.collect::<Vec<_>>().join(" | ") + "\n"
    };
    stderr.replace(shown, "@").lines().map(cells).collect()
}

/// What the host says of these files, of `given` ones.
pub fn report(files: usize, given: usize, rows: &str, fix: &str) -> String {
    let (plural, verb) = (if given == 1 { "" } else { "s" }, if files == 1 { "is" } else { "are" });
    format!(
        "error: {files} of {given} plugin{plural} {verb} refused, and none is loaded\n\
        file | field | have | want\n{rows}fix: {fix}\n"
    )
}

/// Prints how many were refused.
pub fn print(cases: usize, of: &str) {
    crate::support::print(&format!("corpus: {cases} {of} refused"));
}

/// Writes the file of a case into a directory of its own.
pub fn write(dir: &Path, name: &str, bytes: &[u8]) -> String {
    let own = dir.join(name);
    fs::create_dir_all(&own).expect("a temporary directory");
    let path = own.join("file.prov");
    fs::write(&path, bytes).expect("a temporary file");
    path.to_str().expect("a temporary directory's name is text").to_owned()
}
