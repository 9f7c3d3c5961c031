//! `cargo xtask completions`: what a shell needs to complete the command line.

use anyhow::Result;
use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::support::ui;

#[derive(Args)]
#[command(after_help = "\
They complete the command `xtask`; define it for your shell:
  bash  alias xtask='cargo xtask'; source <(cargo xtask completions bash)
  zsh   alias xtask='cargo xtask'; source <(cargo xtask completions zsh)
  fish  alias xtask='cargo xtask'; cargo xtask completions fish | source")]
pub struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

impl CompletionsArgs {
    pub fn run<Cli: CommandFactory>(&self) -> Result<()> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "xtask", &mut script);
        ui::result(String::from_utf8_lossy(&script).trim_end())
    }
}
