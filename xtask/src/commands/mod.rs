//! One command, one file: typed arguments and a short `run`.

pub mod add;
pub mod bench;
pub mod build;
pub mod check;
pub mod clean;
pub mod completions;
pub mod dockerfile;
pub mod image;
pub mod index;
pub mod inspect;
pub mod list;
pub mod matrix;
pub mod new;
pub mod options;
pub mod plan;
pub mod remove;
pub mod run;
pub mod send;
pub mod test;
pub mod update;

use clap::ValueEnum;

/// The format of results on stdout.
#[derive(Clone, Copy, Debug, Default, PartialEq, ValueEnum)]
pub enum Format {
    #[default]
    Human,
    Json,
}
