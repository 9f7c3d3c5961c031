//! How long an image takes, against plain `cargo build` of the same packages where the image compiles: on this machine, or in the same
//! builder. Both work in clones of the tree.

use std::path::Path;

use crate::Places;
use crate::by_hand;
use crate::report::{Bound, Report};
use crate::statistics::median;
use crate::tree::Tree;

/// How often each is measured; what compiles much, once, but for builds from nothing.
const ROUNDS: usize = 5;
const COLD_ROUNDS: usize = 4;

const PLUGIN: &str = "plugins/file/src/lib.rs";

/// Trees with so many plugins, beside the three that the tree has: the others are created from the smallest template.
const MANY: [usize; 3] = [30, 100, 500];

/// The most seconds: nothing changed, and one plugin edited beyond what cargo takes.
const LOCAL: (f64, f64) = (0.4, 0.5);
const CONTAINER: (f64, f64) = (0.6, 1.5);

pub fn measure(places: &Places, engine: &str, options: &[String], report: &mut Report) {
    let bench = Builds { places, engine, options };
    let (image, plain) = bench.cold(report);
    let [fresh, edited] = bench.again(&image, &plain, report);
    bench.edits_of_shared_code(&image, &plain, report);
    bench.many_plugins(&image, report);
    bench.by_hand(fresh, edited, report);
}

struct Builds<'a> {
    places: &'a Places,
    engine: &'a str,
    options: &'a [String],
}

impl Builds<'_> {
    /// Seconds for an image.
    fn image(&self, tree: &Tree) -> f64 {
        let mut args = vec!["image", "--engine", self.engine];
        args.extend(self.options.iter().map(String::as_str));
        tree.run(&self.places.xtask, &args)
    }

    /// Seconds for plain cargo; in a builder with the start of its container.
    fn cargo(&self, tree: &Tree) -> f64 {
        let build = format!("build --release --quiet --offline --lib --bin provost {}", tree.packages());
        let build: Vec<&str> = build.split(' ').collect();
        let Some(builder) = self.builder() else {
            return tree.run(Path::new("cargo"), &build);
        };
        let home = std::env::var("CARGO_HOME")
            .unwrap_or_else(|_| format!("{}/.cargo", std::env::var("HOME").expect("a home")));
        let volumes = [format!("{}:/tree", tree.path()), format!("{home}:/cargo")];
        let toolchain = format!("RUSTUP_TOOLCHAIN={}", self.option("--toolchain").unwrap_or(&self.places.channel()));
        let mut args = vec!["run", "--rm", "--network", "none", "--user", "0:0", "--workdir", "/tree"];
        args.extend(volumes.iter().flat_map(|volume| ["--volume", volume.as_str()]));
        args.extend(["--env", "CARGO_HOME=/cargo", "--env", toolchain.as_str(), "--entrypoint", "cargo", builder]);
        args.extend(build);
        tree.run(Path::new(self.engine), &args)
    }

    fn option(&self, name: &str) -> Option<&str> {
        self.options.iter().skip_while(|option| *option != name).nth(1).map(String::as_str)
    }

    /// The image that compiles, where one was named.
    fn builder(&self) -> Option<&str> {
        self.option("--builder-image").filter(|_| self.engine != "local")
    }

    /// Returns the trees, compiled.
    fn cold(&self, report: &mut Report) -> (Tree, Tree) {
        let (mut images, mut cargos) = (Vec::new(), Vec::new());
        let trees = loop {
            let (image, plain) = (Tree::new(self.places, "image"), Tree::new(self.places, "plain"));
            // What an earlier run has compiled in a container is not in the tree.
            image.output(&self.places.xtask, &["clean", "--volumes"]);
            // Not the same first each time: machines slow down and speed up again within minutes.
            if images.len() % 2 == 0 {
                images.push(self.image(&image));
                cargos.push(self.cargo(&plain));
            } else {
                cargos.push(self.cargo(&plain));
                images.push(self.image(&image));
            }
            if images.len() == COLD_ROUNDS {
                break (image, plain);
            }
        };
        let (image, cargo) = (median(images), median(cargos));
        report.row(&format!("build: image from nothing ({})", self.engine), image, "s", None);
        report.row("build: cargo build from nothing", cargo, "s", None);
        report.row("build: from nothing, image / cargo build", image / cargo, "", Some(Bound::AtMost(1.1)));
        trees
    }

    /// With nothing changed, and with one plugin edited; returns the seconds for either image.
    fn again(&self, image: &Tree, plain: &Tree, report: &mut Report) -> [f64; 2] {
        let (mut fresh, mut edited) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
        for round in 0..ROUNDS {
            fresh[0].push(self.image(image));
            fresh[1].push(self.cargo(plain));
            image.edit(PLUGIN, round);
            edited[0].push(self.image(image));
            plain.edit(PLUGIN, round);
            edited[1].push(self.cargo(plain));
        }
        let (nothing, more) = if self.engine == "local" { LOCAL } else { CONTAINER };
        let [unchanged, cargo] = fresh.map(median);
        report.row(
            &format!("build: image, nothing changed ({})", self.engine),
            unchanged,
            "s",
            Some(Bound::AtMost(nothing)),
        );
        report.row("build: cargo build, nothing changed", cargo, "s", None);
        let [image, cargo] = edited.map(median);
        report.row(&format!("build: image, one plugin edited ({})", self.engine), image, "s", None);
        report.row("build: cargo build, one plugin edited", cargo, "s", None);
        report.row("build: one plugin edited, image less cargo build", image - cargo, "s", Some(Bound::AtMost(more)));
        [unchanged, image]
    }

    fn edits_of_shared_code(&self, image: &Tree, plain: &Tree, report: &mut Report) {
        for (what, file) in [("the host", "host/src/main.rs"), ("the SDK", "host/sdk/src/lib.rs")] {
            image.edit(file, 0);
            plain.edit(file, 0);
            report.row(&format!("build: image, {what} edited ({})", self.engine), self.image(image), "s", None);
            report.row(&format!("build: cargo build, {what} edited"), self.cargo(plain), "s", None);
        }
    }

    fn many_plugins(&self, tree: &Tree, report: &mut Report) {
        let fresh = || median((0..ROUNDS).map(|_| self.image(tree)).collect());
        let mut before = fresh();
        let few = before;
        let add = |number: usize| {
            let name = format!("added{number}");
            tree.output(&self.places.xtask, &["new", &name, "--template", "minimal"]);
        };
        add(4);
        report.row(&format!("build: image, one plugin added ({})", self.engine), self.image(tree), "s", None);
        let mut there = 4;
        for number in MANY {
            (there + 1..=number).for_each(add);
            self.image(tree);
            let now = fresh();
            let of = format!("build: image of {number} plugins");
            report.row(&format!("{of}, nothing changed ({})", self.engine), now, "s", None);
            tree.edit(PLUGIN, number);
            report.row(&format!("{of}, one plugin edited ({})", self.engine), self.image(tree), "s", None);
            if number == 100 {
                report.row("build: nothing changed, 100 plugins / 3 plugins", now / few, "", Some(Bound::AtMost(3.0)));
            }
            if number == 500 {
                report.row(
                    "build: nothing changed, 500 plugins / 100 plugins",
                    now / before,
                    "",
                    Some(Bound::AtMost(5.0)),
                );
            }
            (before, there) = (now, number);
        }
    }

    /// With what the image took: with nothing changed, and after one plugin was edited.
    fn by_hand(&self, fresh: f64, edited: f64, report: &mut Report) {
        let (Some(builder), Some(base)) = (self.builder(), self.option("--base")) else { return };
        if self.engine != "docker" {
            return;
        }
        let hand = by_hand::measure(self.places, builder, base);
        report.row("build: Dockerfile by hand, nothing changed", hand.nothing, "s", None);
        let nothing = "build: nothing changed, image / by hand";
        report.row(nothing, fresh / hand.nothing, "", Some(Bound::AtMost(1.0)));
        report.row("build: Dockerfile by hand, one plugin edited", hand.without, "s", None);
        report.row("build: Dockerfile by hand with cache mounts, one plugin edited", hand.with, "s", None);
        report.row("build: Dockerfile with cargo-chef, one plugin edited", hand.chef, "s", None);
        report.row("build: by hand / image, one plugin edited", hand.without / edited, "", Some(Bound::AtLeast(40.0)));
        let with = "build: by hand with cache mounts / image, one plugin edited";
        report.row(with, hand.with / edited, "", Some(Bound::AtLeast(5.0)));
    }
}
