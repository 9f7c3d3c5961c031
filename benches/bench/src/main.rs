//! Measures and prints figures; `cargo xtask bench` builds and starts it. Nothing is asserted: machines differ, and are noisy. So
//! every bound is on a ratio, or on a difference, of two things that were measured in one run.

mod bare;
mod build;
mod by_hand;
mod calls;
mod chart;
mod compose;
mod grpc;
mod host;
mod image;
mod load;
#[path = "../../noop/src/provider.rs"]
mod noop;
mod process;
mod report;
mod static_link;
mod statistics;
mod tree;
mod wasm;

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use crate::report::{Format, Report};

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum What {
    /// How long builds take
    Build,
    /// What an image adds to its base, and what a push sends
    Image,
    /// What a call into a plugin costs, and loading it; what a mail costs
    Plugin,
    /// Requests for each second through the host
    Host,
}

#[derive(Parser)]
struct Args {
    /// All of it if nothing is named
    what: Option<What>,

    /// The tree
    #[arg(long)]
    root: PathBuf,

    /// The build system's program
    #[arg(long)]
    xtask: PathBuf,

    /// The directory for what is built
    #[arg(long)]
    target: PathBuf,

    /// Where `build` and `image` compile; `host` also measures the host in the image that it makes there
    #[arg(long, default_value = "local")]
    engine: String,

    /// Options of `cargo xtask image` for it: the builder and the base image
    #[arg(long, value_delimiter = ' ', allow_hyphen_values = true)]
    image_options: Vec<String>,

    #[arg(long, value_enum, default_value_t)]
    format: Format,

    /// Draw the charts of docs/benchmarks whose figures were measured
    #[arg(long)]
    draw: bool,
}

/// Where everything is.
pub struct Places {
    pub root: PathBuf,
    pub xtask: PathBuf,
    pub target: PathBuf,
}

fn main() {
    // What the host and its plugins are compared with are processes of their own.
    let mut words = std::env::args().skip(1);
    match (words.next().as_deref(), words.next()) {
        (Some(bare::ARGUMENT), _) => return bare::serve(),
        (Some(grpc::ARGUMENT), Some(socket)) => return grpc::serve(socket.as_ref()),
        _ => {}
    }
    let args = Args::parse();
    let places = Places { root: args.root, xtask: args.xtask, target: args.target };
    let is_wanted = |what| args.what.is_none_or(|wanted| wanted == what);
    let mut report = Report::new(args.format);
    if is_wanted(What::Plugin) {
        calls::measure(&places, &mut report);
        load::measure(&places, &mut report);
        compose::measure(&mut report);
    }
    if is_wanted(What::Host) {
        host::measure(&places, &args.engine, &args.image_options, &mut report);
    }
    if is_wanted(What::Build) {
        build::measure(&places, &args.engine, &args.image_options, &mut report);
    }
    if is_wanted(What::Image) {
        image::measure(&places, &args.engine, &args.image_options, &mut report);
    }
    let rows = report.end();
    if args.draw {
        for file in chart::draw(&rows, &places.root.join("docs/benchmarks")) {
            eprintln!("drawn: docs/benchmarks/{file}");
        }
    }
}
