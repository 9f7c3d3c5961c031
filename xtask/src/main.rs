//! The build system of a host and its plugins. It knows of the host only what `[workspace.metadata.image]` says.

mod assemble;
mod blobs;
mod build;
mod cli;
mod commands;
mod contents;
mod deliver;
mod documents;
mod elf;
mod environment;
mod exports;
mod fate;
mod faults;
mod files;
mod last_image;
mod lock;
mod oci;
mod output;
mod owner;
mod paths;
mod plan;
mod process;
mod push;
mod referrers;
mod reproduce;
mod revision;
mod runtime;
#[cfg(test)]
mod test_folder;
mod ui;
mod verify;

use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};
use paths::Paths;
use ui::Ui;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let ui = Ui::new(cli.verbose);
    let result = Paths::find().and_then(|paths| match cli.command {
        Command::Image(args) => args.run(&ui, &paths),
        Command::Plan(args) => args.run(&ui, &paths),
        Command::Build(args) => args.run(&ui, &paths),
        Command::Run(args) => args.run(&ui, &paths),
        Command::Test(args) => args.run(&ui, &paths),
        Command::Inspect(args) => args.run(),
        Command::Clean(args) => args.run(&ui, &paths),
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            ui.error(format!("{error:#}").trim_end());
            ExitCode::FAILURE
        }
    }
}
