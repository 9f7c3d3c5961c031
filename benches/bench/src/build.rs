//! How long an image takes, against plain `cargo build` of the same packages where the image compiles: on this machine, or in the same
//! builder. Both work in clones of the tree.

use std::path::Path;

use serde_json::Value;

use crate::Places;
use crate::by_hand;
use crate::process;
use crate::report::{Bound, Report};
use crate::statistics::median;
use crate::tree::Tree;

/// How often each is measured; what compiles much, once, but for builds from nothing.
const ROUNDS: usize = 5;
const COLD_ROUNDS: usize = 4;
const XTASK_ROUNDS: usize = 3;

const PLUGIN: &str = "plugins/file/src/lib.rs";

/// Images with few plugins, and trees with so many: those that the tree does not have are created from the smallest template.
const FEW: [&str; 3] = ["file", "smtp", "webhook"];
const MANY: [usize; 3] = [30, 100, 500];

/// The most seconds: nothing changed, and one plugin edited beyond what cargo takes.
const LOCAL: (f64, f64) = (0.4, 0.5);
const CONTAINER: (f64, f64) = (0.6, 1.5);

pub fn measure(places: &Places, engine: &str, options: &[String], report: &mut Report) {
    let bench = Builds { places, engine, options, place: Place::find(places, engine, options) };
    bench.xtask(report);
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
    place: Option<Place>,
}

/// Where an image is compiled in a container.
struct Place {
    builder: String,
    base: Option<String>,
    toolchain: String,
}

impl Place {
    /// What the plan says.
    fn find(places: &Places, engine: &str, options: &[String]) -> Option<Place> {
        let mut args = vec!["plan", "--format", "json", "--engine", engine];
        args.extend(options.iter().map(String::as_str));
        let plan: Value =
            serde_json::from_str(&process::output(&places.root, &places.xtask, &args)).expect("a plan is JSON");
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let builder = text(&plan["engine"]["container"]["reference"])?;
        let toolchain = text(&plan["toolchain"]["channel"]).expect("a plan has a toolchain");
        Some(Place { builder, base: text(&plan["base"]["image"]["reference"]), toolchain })
    }
}

impl Builds<'_> {
    /// Seconds for an image, with more options.
    fn image_with(&self, tree: &Tree, more: &[&str]) -> f64 {
        let mut args = vec!["image", "--engine", self.engine];
        args.extend(self.options.iter().map(String::as_str).chain(more.iter().copied()));
        tree.run(&self.places.xtask, &args)
    }

    fn image(&self, tree: &Tree) -> f64 {
        self.image_with(tree, &[])
    }

    /// The build system itself, from nothing to its first answer.
    fn xtask(&self, report: &mut Report) {
        let args = ["run", "--quiet", "--offline", "--manifest-path", "xtask/Cargo.toml", "--", "--help"];
        let help = || Tree::new(self.places, "xtask").run(Path::new("cargo"), &args);
        let seconds = median((0..XTASK_ROUNDS).map(|_| help()).collect());
        report.row("build: xtask from nothing to its first --help", seconds, "s", Some(Bound::AtMost(25.0)));
    }

    /// Seconds for plain cargo; in a builder with the start of its container.
    fn cargo(&self, tree: &Tree) -> f64 {
        let build = format!("build --release --quiet --offline --lib --bin provost {}", tree.packages());
        let build: Vec<&str> = build.split(' ').collect();
        let Some(Place { builder, toolchain, .. }) = &self.place else {
            return tree.run(Path::new("cargo"), &build);
        };
        let home = std::env::var("CARGO_HOME")
            .unwrap_or_else(|_| format!("{}/.cargo", std::env::var("HOME").expect("a home")));
        let volumes = [format!("{}:/tree", tree.path()), format!("{home}:/cargo")];
        let toolchain = format!("RUSTUP_TOOLCHAIN={toolchain}");
        let mut args = vec!["run", "--rm", "--network", "none", "--user", "0:0", "--workdir", "/tree"];
        args.extend(volumes.iter().flat_map(|volume| ["--volume", volume.as_str()]));
        args.extend(["--env", "CARGO_HOME=/cargo", "--env", toolchain.as_str(), "--entrypoint", "cargo", builder]);
        args.extend(build);
        tree.run(Path::new(self.engine), &args)
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
        let fresh_with = |more: &[&str]| median((0..ROUNDS).map(|_| self.image_with(tree, more)).collect());
        let fresh = || fresh_with(&[]);
        let few = FEW.join(",");
        let only = ["--only", few.as_str()];
        self.image_with(tree, &only);
        let few = fresh_with(&only);
        report.row(
            &format!("build: image of {} plugins, nothing changed ({})", FEW.len(), self.engine),
            few,
            "s",
            None,
        );
        self.image(tree);
        let (mut before, mut there) = (fresh(), tree.plugins().len() + 1);
        let add = |number: usize| {
            let name = format!("added{number}");
            tree.output(&self.places.xtask, &["new", &name, "--template", "minimal"]);
        };
        add(there);
        report.row(&format!("build: image, one plugin added ({})", self.engine), self.image(tree), "s", None);
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
        let Some(Place { builder, base: Some(base), toolchain }) = &self.place else { return };
        if self.engine != "docker" {
            return;
        }
        let hand = by_hand::measure(self.places, builder, base, toolchain);
        report.row("build: Dockerfile by hand, from nothing", hand.cold, "s", None);
        report.row("build: Dockerfile by hand with cache mounts, from nothing", hand.cold_with, "s", None);
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
