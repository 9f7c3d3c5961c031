//! What an image adds to its base, and what a push sends after one plugin was edited.

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::Places;
use crate::process::Server;
use crate::report::{Bound, Report};
use crate::static_link;
use crate::tree::Tree;

pub fn measure(places: &Places, engine: &str, options: &[String], report: &mut Report) {
    let tree = Tree::new(places, "image");
    let registry = Registry::start(places);
    let name = format!("{}/provost:bench", registry.server.address);
    let image = || -> Value {
        let mut args = vec!["image", "--format", "json", "--engine", engine, "--push", &name];
        args.extend(options.iter().map(String::as_str));
        serde_json::from_str(&tree.output(&places.xtask, &args)).expect("a report")
    };
    let first = image();
    let megabytes = |value: &Value| value.as_f64().unwrap_or_default() / 1e6;
    let layers = first["layers"].as_array().expect("layers").iter();
    let own: Vec<&Value> = layers.filter(|layer| layer["what"] != "the base image").collect();
    for layer in &own {
        let name = layer["name"].as_str().unwrap_or_default();
        report.row(&format!("image: {name}, unpacked"), megabytes(&layer["unpacked"]), "MB", None);
        report.row(&format!("image: {name}, compressed"), megabytes(&layer["size"]), "MB", None);
    }
    let sum = |key: &str| own.iter().map(|layer| megabytes(&layer[key])).sum::<f64>();
    report.row("image: added to its base, unpacked", sum("unpacked"), "MB", Some(Bound::AtMost(13.0)));
    report.row("image: added to its base, compressed", sum("size"), "MB", Some(Bound::AtMost(5.0)));
    report.row("image: first push", megabytes(&first["pushed"]["moved"]), "MB", None);
    let dist = std::fs::read_dir(std::path::Path::new(tree.path()).join("target/image/dist")).expect("built files");
    let dist: u64 = dist
        .map(|entry| entry.and_then(|entry| entry.metadata()).expect("a file"))
        .filter(|file| file.is_file())
        .map(|file| file.len())
        .sum();
    report.row("image: host, SDK, std and plugins, unpacked", dist as f64 / 1e6, "MB", None);
    let program = static_link::size(places) as f64 / 1e6;
    report.row("image: the same as one static program, with fat LTO", program, "MB", None);
    tree.edit("plugins/file/src/lib.rs", 1);
    report.row("image: push after one plugin was edited", megabytes(&image()["pushed"]["moved"]), "MB", None);
}

/// Debian's docker-registry, on this machine.
struct Registry {
    server: Server,
}

impl Registry {
    fn start(places: &Places) -> Registry {
        let dir = places.target.join("registry");
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).expect("a directory");
        let config = format!(
            "version: 0.1\nlog: {{ level: info }}\nstorage: {{ filesystem: {{ rootdirectory: {} }} }}\nhttp: {{ addr: 127.0.0.1:0 }}\n",
            dir.display()
        );
        std::fs::write(dir.join("config.yml"), config).expect("a configuration");
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(dir.join("config.yml")).stdout(Stdio::null());
        Registry { server: Server::start_with(&mut command, "listening on ") }
    }
}
