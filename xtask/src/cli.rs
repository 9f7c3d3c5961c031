//! The command line.

use clap::{Parser, Subcommand};

use crate::commands::build::BuildArgs;
use crate::commands::clean::CleanArgs;
use crate::commands::image::ImageArgs;
use crate::commands::inspect::InspectArgs;
use crate::commands::plan::PlanArgs;
use crate::commands::run::RunArgs;
use crate::commands::test::TestArgs;

/// Builds a host and all its plugins together, and puts them into one image
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,

    /// Show every command that is run, and how long each stage takes
    #[arg(short, long, global = true)]
    pub verbose: bool,
}

#[derive(Subcommand)]
pub enum Command {
    /// Build host and plugins and make an image of them
    Image(ImageArgs),
    /// Show what `image` would do
    Plan(PlanArgs),
    /// Build host and plugins into a directory
    Build(BuildArgs),
    /// Build, then start the host here with every plugin
    Run(RunArgs),
    /// Run every check there is: formatting, lints, unit tests, plugins loaded, the image built and run
    Test(TestArgs),
    /// Show a built plugin's ABI record
    Inspect(InspectArgs),
    /// Remove what was built
    Clean(CleanArgs),
}
