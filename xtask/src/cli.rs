//! The command line.

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::commands::add::AddArgs;
use crate::commands::bench::BenchArgs;
use crate::commands::build::BuildArgs;
use crate::commands::check::CheckArgs;
use crate::commands::clean::CleanArgs;
use crate::commands::completions::CompletionsArgs;
use crate::commands::dockerfile::DockerfileArgs;
use crate::commands::image::ImageArgs;
use crate::commands::index::IndexArgs;
use crate::commands::inspect::InspectArgs;
use crate::commands::list::ListArgs;
use crate::commands::matrix::MatrixArgs;
use crate::commands::new::NewArgs;
use crate::commands::plan::PlanArgs;
use crate::commands::remove::RemoveArgs;
use crate::commands::run::RunArgs;
use crate::commands::send::SendArgs;
use crate::commands::test::TestArgs;
use crate::commands::update::UpdateArgs;

/// The commands by what they are for.
const GROUPS: [(&str, &[&str]); 3] = [
    ("Images", &["image", "plan", "index", "dockerfile", "matrix", "inspect"]),
    ("Plugins", &["new", "check", "list", "add", "update", "remove"]),
    ("On this machine", &["build", "run", "send", "test", "bench", "clean", "completions"]),
];

/// Build a host and all its plugins together into one image
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
#[command(help_template = "{about-with-newline}\n{usage-heading} {usage}{after-help}\n\nOptions:\n{options}")]
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
    /// Join images of several platforms under one digest
    Index(IndexArgs),
    /// Print a Dockerfile that makes the image on any builder
    Dockerfile(DockerfileArgs),
    /// List what CI has to run, as a matrix of GitHub or a pipeline of GitLab
    Matrix(MatrixArgs),
    /// Show how a plugin, the host or an image was built
    Inspect(InspectArgs),
    /// Create a plugin from a template
    New(NewArgs),
    /// Find everything that is wrong with plugins
    Check(CheckArgs),
    /// List the plugins: version, size in the last image, origin, and what they define
    List(ListArgs),
    /// Copy a plugin from outside into plugins/, and record where it came from
    Add(AddArgs),
    /// Fetch added plugins again
    Update(UpdateArgs),
    /// Remove a plugin that was added
    Remove(RemoveArgs),
    /// Compile the host and all plugins into target/image/dist
    Build(BuildArgs),
    /// Compile, then start the host on this machine with every plugin
    Run(RunArgs),
    /// Send one message to a running host, and print the receipt
    Send(SendArgs),
    /// Run all checks: formatting, lints, unit tests, real plugins, a real image
    Test(TestArgs),
    /// Measure builds, plugins and the host
    Bench(BenchArgs),
    /// Remove everything that was built
    Clean(CleanArgs),
    /// Print completions for a shell
    Completions(CompletionsArgs),
}

impl Cli {
    /// The command line of this process; ends it where that is wrong, or asks for help.
    pub fn read() -> Cli {
        let command = Cli::command();
        let help = commands(&command);
        let matches = command.after_help(help).get_matches();
        Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }
}

/// The commands, one on a line, with what each does.
fn commands(cli: &clap::Command) -> String {
    let about = |name: &str| cli.find_subcommand(name).and_then(clap::Command::get_about).map(ToString::to_string);
    let line = |name: &&str| format!("\n  {name:<12} {}", about(name).unwrap_or_default());
    let group = |(title, names): &(&str, &[&str])| format!("{title}:{}", names.iter().map(line).collect::<String>());
    GROUPS.iter().map(group).collect::<Vec<_>>().join("\n\n")
}

#[cfg(test)]
mod tests {
    use super::{Cli, GROUPS};
    use clap::CommandFactory;

    #[test]
    fn the_help_lists_every_command() {
        let command = Cli::command();
        let mut listed: Vec<&str> = GROUPS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
        let mut commands: Vec<&str> = command.get_subcommands().map(clap::Command::get_name).collect();
        listed.sort_unstable();
        commands.sort_unstable();
        assert_eq!(listed, commands);
    }
}
