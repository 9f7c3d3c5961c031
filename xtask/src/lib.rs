//! The build system of a host and its plugins. It knows of the host only what `[workspace.metadata.image]` says.

mod assemble;
mod attest;
mod check;
mod cli;
mod commands;
mod compile;
mod pipeline;
mod publish;
mod reproduce;
mod verify;

use std::process::ExitCode;
use xtask_plan::{base, cargo, containers, elf, environment, oci, outside, plan, source, support};

use crate::cli::{Cli, Command};
use crate::support::paths::Paths;
use crate::support::ui::Ui;

/// Runs the command of this process.
pub fn main() -> ExitCode {
    let cli = Cli::read();
    let ui = Ui::new(cli.verbose);
    // `check` tells errors in plugins from what kept it from checking.
    let (mut all_right, failure) = (true, if matches!(cli.command, Command::Check(_)) { 2 } else { 1 });
    let result = Paths::find().and_then(|paths| match cli.command {
        Command::Image(args) => args.run(&ui, &paths),
        Command::Plan(args) => args.run(&ui, &paths),
        Command::Build(args) => args.run(&ui, &paths),
        Command::Run(args) => args.run(&ui, &paths),
        Command::New(args) => args.run(&ui, &paths),
        Command::Send(args) => args.run(&paths),
        Command::Check(args) => args.run(&ui, &paths).map(|right| all_right = right),
        Command::List(args) => args.run(&ui, &paths),
        Command::Index(args) => args.run(&ui, &paths),
        Command::Dockerfile(args) => args.run(&ui, &paths),
        Command::Matrix(args) => args.run(&ui, &paths),
        Command::Add(args) => args.run(&ui, &paths),
        Command::Remove(args) => args.run(&ui, &paths),
        Command::Update(args) => args.run(&ui, &paths),
        Command::Bench(args) => args.run(&ui, &paths),
        Command::Test(args) => args.run(&ui, &paths),
        Command::Inspect(args) => args.run(),
        Command::Completions(args) => args.run::<Cli>(),
        Command::Clean(args) => args.run(&ui, &paths),
    });
    match result {
        Ok(()) if all_right => ExitCode::SUCCESS,
        Ok(()) => ExitCode::FAILURE,
        Err(error) => {
            ui.error(format!("{error:#}").trim_end());
            ExitCode::from(failure)
        }
    }
}
