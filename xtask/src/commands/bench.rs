//! `cargo xtask bench`: starts the benchmarks of the host, which are a workspace of their own.

use anyhow::{Context, Result};
use camino::Utf8PathBuf;
use clap::Args;

use crate::cargo::toolchain;
use crate::source::manifest;
use crate::support::paths::Paths;
use crate::support::ui::Ui;

#[derive(Args)]
#[command(after_help = "Example:
  cargo xtask bench host --format json
  cargo xtask bench build --engine docker")]
pub struct BenchArgs {
    /// Arguments for the benchmarks: what is measured, and options; `--help` lists them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

impl BenchArgs {
    /// Replaces this process by the benchmarks: they build what they measure with this same program.
    pub fn run(&self, ui: &Ui, paths: &Paths) -> Result<()> {
        let benches = manifest::read(&paths.root)?.image().benches.clone();
        let benches = benches.context("[workspace.metadata.image] names no `benches` in Cargo.toml")?;
        let (target, own) = (paths.target().join("bench"), std::env::current_exe().context("finding this program")?);
        let own = Utf8PathBuf::try_from(own).context("finding this program")?;
        let manifest = paths.root.join(benches).join("Cargo.toml");
        // The plugin that is called, in one run with the program that calls it.
        let common = ["--release", "--locked", "--manifest-path", manifest.as_str(), "--target-dir", target.as_str()];
        ui.status("Compiling", "the benchmarks");
        toolchain::cargo(&paths.root, ["build", "--quiet", "--workspace"])?.args(common).dir(&paths.root).read(ui)?;
        let run = toolchain::cargo(&paths.root, ["run", "--quiet"])?.args(common).dir(&paths.root).args(["--"]);
        let given = self.args.iter().cloned();
        let places = ["--root", paths.root.as_str(), "--xtask", own.as_str(), "--target", target.as_str()];
        run.args(places).args(given).replace_this_process(ui)
    }
}
