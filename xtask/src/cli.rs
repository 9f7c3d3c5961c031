//! The command line.

use clap::{Parser, Subcommand};

use crate::commands::add::AddArgs;
use crate::commands::build::BuildArgs;
use crate::commands::check::CheckArgs;
use crate::commands::clean::CleanArgs;
use crate::commands::image::ImageArgs;
use crate::commands::inspect::InspectArgs;
use crate::commands::list::ListArgs;
use crate::commands::new::NewArgs;
use crate::commands::plan::PlanArgs;
use crate::commands::remove::RemoveArgs;
use crate::commands::run::RunArgs;
use crate::commands::send::SendArgs;
use crate::commands::test::TestArgs;
use crate::commands::update::UpdateArgs;

/// Build a host and all its plugins together into one image
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,

    /// Print each command before it runs, and the time of each stage
    #[arg(short, long, global = true)]
    pub verbose: bool,
}

#[derive(Subcommand)]
pub enum Command {
    /// Build the image, verify it, and load it into docker or podman
    Image(ImageArgs),
    /// Show what `image` would do, without compiling
    Plan(PlanArgs),
    /// Compile the host and all plugins into target/image/dist
    Build(BuildArgs),
    /// Compile, then start the host on this machine with every plugin
    Run(RunArgs),
    /// Send one message to a running host
    Send(SendArgs),
    /// Create a plugin from a template
    New(NewArgs),
    /// Find everything that is wrong with plugins
    Check(CheckArgs),
    /// List the plugins
    List(ListArgs),
    /// Copy a plugin from outside into plugins/
    Add(AddArgs),
    /// Remove a plugin that was added
    Remove(RemoveArgs),
    /// Fetch added plugins again
    Update(UpdateArgs),
    /// Run all checks: formatting, lints, unit tests, real plugins, a real image
    Test(TestArgs),
    /// Show how a plugin, the host or an image was built
    Inspect(InspectArgs),
    /// Remove everything that was built
    Clean(CleanArgs),
}
