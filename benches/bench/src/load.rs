//! What loading plugins costs, checks included: the built host with `--check` and copies of one plugin, less the same host with
//! none. And the memory that a plugin and a provider take.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::Places;
use crate::process::{self, Server};
use crate::report::{Bound, Report};
use crate::statistics::median;

const PLUGIN: &str = "noop";

/// How often each start is measured.
const STARTS: usize = 21;

pub fn measure(places: &Places, report: &mut Report) {
    let dist = dist(places);
    let dir = tempfile::tempdir().expect("a temporary directory");
    let dir = dir.path();
    let files = std::fs::read_dir(&dist).expect("the built files").map(|entry| entry.expect("a built file"));
    for name in files.filter(|entry| entry.path().is_file()).map(|entry| entry.file_name()) {
        std::fs::copy(dist.join(&name), dir.join(&name)).expect("a temporary file");
    }
    std::fs::write(dir.join("config.toml"), "[server]\nlisten = \"127.0.0.1:0\"\n").expect("a temporary file");
    let copies = copies(&dist, dir, 500);
    let counts = [0, 1, 10, 100, 500];
    let mut times = counts.map(|_| Vec::new());
    for _ in 0..STARTS {
        for (count, times) in counts.iter().zip(&mut times) {
            times.push(start(dir, &copies[..*count]));
        }
    }
    for (count, with) in counts.iter().zip(&times).skip(1) {
        // Each less its own neighbour: what else the machine does changes more than one plugin takes.
        let each = with.iter().zip(&times[0]).map(|(with, without)| (with - without) / *count as f64);
        let bound = (*count == 1).then_some(Bound::AtMost(1.0));
        report.row(&format!("plugin: load one of {count}, checks included"), median(each.collect()), "ms", bound);
    }
    let [.., most] = times;
    report.row("plugin: start with 500 plugins", median(most) / 1000.0, "s", Some(Bound::AtMost(0.5)));

    let memory = |plugins: &[String], providers: usize| {
        let tables = (0..providers).map(|index| format!("[providers.p{index}]\nplugin = \"{}\"\n", "0000"));
        let config = format!("[server]\nlisten = \"127.0.0.1:0\"\n{}", tables.collect::<String>());
        std::fs::write(dir.join("config.toml"), config).expect("a temporary file");
        Server::start(&mut command(dir, plugins, &[])).resident()
    };
    let (none, plugins, providers) = (memory(&[], 0), memory(&copies[..100], 0), memory(&copies[..100], 100));
    report.row("plugin: resident memory of the host with none", none / 1024.0, "MiB", None);
    report.row("plugin: resident memory for each plugin", (plugins - none) / 100.0, "KiB", None);
    report.row("plugin: resident memory for each provider", (providers - plugins) / 100.0, "KiB", None);
}

/// Builds host and plugin, as for an image.
pub fn dist(places: &Places) -> PathBuf {
    let noop = places.root.join("benches/noop");
    let noop = noop.to_str().expect("UTF-8");
    process::output(&places.root, &places.xtask, &["build", "--with", noop]).into()
}

/// Copies of the plugin under names of the same length, which is all that is changed in them.
fn copies(dist: &Path, dir: &Path, count: usize) -> Vec<String> {
    let bytes = std::fs::read(dist.join(format!("{PLUGIN}.prov"))).expect("the plugin");
    let field = format!("\"plugin\":\"{PLUGIN}\"");
    let at = bytes.windows(field.len()).position(|window| window == field.as_bytes()).expect("the record is text");
    let copy = |index: usize| {
        let name = format!("{index:0>width$}", width = PLUGIN.len());
        let mut bytes = bytes.clone();
        bytes[at..at + field.len()].copy_from_slice(format!("\"plugin\":\"{name}\"").as_bytes());
        provost_record::seal::apply(&mut bytes, None).expect("it has a record");
        let file = format!("{name}.prov");
        std::fs::write(dir.join(&file), bytes).expect("a temporary file");
        file
    };
    (0..count).map(copy).collect()
}

fn command(dir: &Path, plugins: &[String], more: &[&str]) -> Command {
    let mut command = Command::new(dir.join("provost"));
    // Cargo's LD_LIBRARY_PATH would make the host load another SDK.
    command.current_dir(dir).env_clear().stdin(Stdio::null()).stdout(Stdio::null());
    command.args(["--config", "config.toml"]).args(more);
    command.args(plugins.iter().map(|plugin| format!("--prov={plugin}")));
    command
}

/// How long the host runs, from its start to its end, in milliseconds.
fn start(dir: &Path, plugins: &[String]) -> f64 {
    let mut command = command(dir, plugins, &["--check"]);
    let begin = Instant::now();
    let status = command.status().expect("the host starts");
    let took = begin.elapsed();
    assert!(status.success(), "the host ended with {status}");
    took.as_secs_f64() * 1000.0
}
