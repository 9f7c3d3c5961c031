//! What loading a plugin costs, its checks included: the built host with `--check` and 100 plugins, less the same host with
//! none. Prints figures and asserts none of them.
//!
//!     XTASK_DIST=target/image/dist cargo bench -p provost --bench load

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How many plugins are loaded.
const PLUGINS: usize = 100;

/// How often each start is measured; the median counts.
const STARTS: usize = 21;

fn main() {
    let dist = std::env::var_os("XTASK_DIST").map(PathBuf::from);
    let dist = dist.expect("XTASK_DIST names the directory of the built host and plugins: run `cargo xtask build`");
    // Cargo runs this in the package's directory; a relative path is meant from the root.
    let dist = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(dist).canonicalize().expect("a directory");
    for plugin in ["file", "webhook", "smtp"] {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let dir = dir.path();
        let entries = std::fs::read_dir(&dist).expect("the built files").map(|entry| entry.expect("a built file"));
        // What plugins ship lies in a directory, and is not loaded.
        for name in entries.filter(|entry| entry.path().is_file()).map(|entry| entry.file_name()) {
            std::fs::copy(dist.join(&name), dir.join(&name)).expect("a temporary file");
        }
        std::fs::write(dir.join("config.toml"), "").expect("a temporary file");
        let copies = copies(&dist.join(format!("{plugin}.prov")), plugin, dir);
        let (none, all) = (median(dir, &[]), median(dir, &copies));
        let each = all.saturating_sub(none) / PLUGINS as u32;
        let size = std::fs::metadata(dir.join(&copies[0])).expect("a copy").len() / 1000;
        println!("{plugin} ({size} KB): {each:.1?} a plugin ({PLUGINS} plugins {all:.1?}, none {none:.1?})");
    }
}

/// Copies of one plugin under names of the same length, which is all that is changed in them.
fn copies(original: &Path, plugin: &str, dir: &Path) -> Vec<String> {
    let bytes = std::fs::read(original).expect("the plugin");
    let field = format!("\"plugin\":\"{plugin}\"");
    let at = bytes.windows(field.len()).position(|window| window == field.as_bytes()).expect("the record is text");
    let copy = |index: usize| {
        let name = format!("{index:0>width$}", width = plugin.len());
        let mut bytes = bytes.clone();
        bytes[at..at + field.len()].copy_from_slice(format!("\"plugin\":\"{name}\"").as_bytes());
        provost_record::seal::apply(&mut bytes, None).expect("it has a record");
        let file = format!("{name}.prov");
        std::fs::write(dir.join(&file), bytes).expect("a temporary file");
        file
    };
    (0..PLUGINS).map(copy).collect()
}

/// How long the host runs, from its start to its end.
fn median(dir: &Path, plugins: &[String]) -> Duration {
    let run = || {
        let mut command = Command::new(dir.join("provost"));
        // Cargo's LD_LIBRARY_PATH would make the host load another SDK.
        command.current_dir(dir).env_clear().stdin(Stdio::null()).stdout(Stdio::null());
        command.args(["--config", "config.toml", "--check"]);
        command.args(plugins.iter().map(|plugin| format!("--prov={plugin}")));
        let start = Instant::now();
        let status = command.status().expect("the host starts");
        let took = start.elapsed();
        assert!(status.success(), "the host ended with {status}");
        took
    };
    let mut times: Vec<Duration> = (0..STARTS).map(|_| run()).collect();
    times.sort();
    times[STARTS / 2]
}
