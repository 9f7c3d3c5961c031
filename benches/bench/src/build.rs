//! How long an image takes, against plain `cargo build` of the same packages. Both work in copies of the tree, and have compiled before.

use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::process;
use crate::report::{Bound, Report};
use crate::statistics::median;
use crate::{Places, by_hand};

/// How often each is measured.
const ROUNDS: usize = 5;

/// What is edited, and in what.
const EDITED: &str = "plugins/file/src/lib.rs";

pub fn measure(places: &Places, engine: &str, options: &[String], report: &mut Report) {
    let image = Tree::new(places, "image");
    let plain = Tree::new(places, "plain");
    let xtask = |tree: &Tree| {
        let mut args = vec!["image", "--engine", engine];
        args.extend(options.iter().map(String::as_str));
        tree.run(&places.xtask, &args)
    };
    let cargo = |tree: &Tree| {
        let packages = ["provost", "provost-sdk", "file", "smtp", "webhook"];
        let mut args = vec!["build", "--release", "--quiet", "--lib", "--bin", "provost"];
        args.extend(packages.iter().flat_map(|package| ["--package", package]));
        tree.run(Path::new("cargo"), &args)
    };
    report.row(&format!("build: image from nothing ({engine})"), xtask(&image), "s", None);
    report.row("build: cargo build from nothing", cargo(&plain), "s", None);
    let (mut fresh, mut edited) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
    for round in 0..ROUNDS {
        fresh[0].push(xtask(&image));
        fresh[1].push(cargo(&plain));
        image.edit(round);
        edited[0].push(xtask(&image));
        plain.edit(round);
        edited[1].push(cargo(&plain));
    }
    let most = if engine == "local" { (0.4, 0.5) } else { (0.6, 1.5) };
    let [image, cargo] = fresh.map(median);
    report.row(&format!("build: image, nothing changed ({engine})"), image, "s", Some(Bound::AtMost(most.0)));
    report.row("build: cargo build, nothing changed", cargo, "s", None);
    let [image, cargo] = edited.map(median);
    report.row(&format!("build: image, one plugin edited ({engine})"), image, "s", None);
    report.row("build: cargo build, one plugin edited", cargo, "s", None);
    report.row("build: one plugin edited, image less cargo build", image - cargo, "s", Some(Bound::AtMost(most.1)));
    let option = |name: &str| options.iter().skip_while(|option| *option != name).nth(1);
    if let (true, Some(builder), Some(base)) = (engine == "docker", option("--builder-image"), option("--base")) {
        let hand = by_hand::measure(places, builder, base);
        report.row("build: Dockerfile by hand, nothing changed", hand.nothing, "s", None);
        report.row("build: Dockerfile by hand, one plugin edited", hand.without, "s", None);
        report.row("build: Dockerfile by hand with cache mounts, one plugin edited", hand.with, "s", None);
        report.row("build: by hand / image, one plugin edited", hand.without / image, "", Some(Bound::AtLeast(40.0)));
        let with = "build: by hand with cache mounts / image, one plugin edited";
        report.row(with, hand.with / image, "", Some(Bound::AtLeast(5.0)));
    }
}

/// A clone of the tree, with what is not committed.
pub struct Tree {
    dir: PathBuf,
}

impl Tree {
    pub fn new(places: &Places, name: &str) -> Tree {
        let dir = places.target.join(name);
        let _ = std::fs::remove_dir_all(&dir);
        let (from, to) = (places.root.to_str().expect("UTF-8"), dir.to_str().expect("UTF-8"));
        process::output(&places.root, Path::new("git"), &["clone", "--quiet", "--no-hardlinks", from, to]);
        Tree { dir }
    }

    pub fn write(&self, path: &str, text: &str) {
        std::fs::write(self.dir.join(path), text).expect("a file of the tree");
    }

    pub fn append(&self, path: &str, text: &str) {
        let old = std::fs::read_to_string(self.dir.join(path)).unwrap_or_default();
        self.write(path, &(old + text));
    }

    /// What a program that runs in it prints.
    pub fn output(&self, program: &Path, arguments: &[&str]) -> String {
        process::output(&self.dir, program, arguments)
    }

    /// How long a program runs in it, in seconds.
    pub fn run(&self, program: &Path, arguments: &[&str]) -> f64 {
        let begin = Instant::now();
        self.output(program, arguments);
        begin.elapsed().as_secs_f64()
    }

    pub fn edit(&self, round: usize) {
        let path = self.dir.join(EDITED);
        let text = std::fs::read_to_string(&path).expect("a source");
        let text: String =
            text.lines().filter(|line| !line.starts_with("pub const ROUND")).map(|line| format!("{line}\n")).collect();
        std::fs::write(&path, format!("{text}pub const ROUND: usize = {round};\n")).expect("a source");
    }
}
