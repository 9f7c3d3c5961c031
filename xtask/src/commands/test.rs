//! `cargo xtask test`: every check there is, in one command.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use cargo_metadata::{Metadata, MetadataCommand, TargetKind};
use clap::Args;
use serde::Deserialize;

use crate::commands::Format;
use crate::commands::image::ImageArgs;
use crate::lock;
use crate::paths::Paths;
use crate::plan::ImagePlan;
use crate::plan::engine::EngineChoice;
use crate::plan::toolchain::Toolchain;
use crate::process::Invocation;
use crate::runtime::Runtime;
use crate::ui::Ui;

/// The tag of the image that the tests run: in the runtime nobody's own image changes.
const TAG: &str = "xtask-test";

/// Where tests find what they test. They say so when one of these is not set.
const DIST: &str = "XTASK_DIST";
const IMAGE: &str = "XTASK_IMAGE";
const RUNTIME: &str = "XTASK_RUNTIME";

#[derive(Args)]
pub struct TestArgs {
    /// Fail if anything could not be run: no docker or podman, a missing program
    #[arg(long)]
    require_containers: bool,
}

/// `[package.metadata.test-needs]`: what a test target cannot do without, by the target's name.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct PackageMetadata {
    #[serde(default)]
    test_needs: BTreeMap<String, Need>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
enum Need {
    /// Docker or podman.
    Runtime,
    /// Programs on PATH.
    Programs(Vec<String>),
    /// Images that docker or podman has.
    Images(Vec<String>),
}

/// One workspace's tests, and those that cannot run here with the reason.
struct Selection {
    args: Vec<String>,
    left_out: Vec<String>,
}

impl TestArgs {
    pub fn run(&self, ui: &Ui, paths: &Paths) -> Result<()> {
        let toolchain = Toolchain::find(ui, &paths.root, None)?;
        let root = Workspace { ui, toolchain: &toolchain, paths, folder: "" };
        let own = Workspace { ui, toolchain: &toolchain, paths, folder: "xtask" };
        for workspace in [&root, &own] {
            workspace.cargo("Formatting", &["fmt", "--all", "--check"], &[])?;
        }
        for workspace in [&root, &own] {
            let strict = ["clippy", "--workspace", "--all-targets", "--locked", "--quiet", "--", "-D", "warnings"];
            workspace.cargo("Linting", &strict, &[])?;
        }
        let runtime = Runtime::find(ui);
        let tested = paths.for_tests();
        let plan = image(ui, &tested)?;
        let mut environment = vec![(DIST, tested.dist().to_string()), (IMAGE, plan.image.clone())];
        environment.extend(runtime.as_ref().ok().map(|runtime| (RUNTIME, runtime.program().to_owned())));
        let mut left_out = Vec::new();
        for workspace in [&root, &own] {
            let selection = workspace.select(&runtime)?;
            let args: Vec<&str> = selection.args.iter().map(String::as_str).collect();
            workspace.cargo("Testing", &args, &environment)?;
            left_out.extend(selection.left_out);
        }
        if let Ok(runtime) = &runtime {
            runtime.remove(ui, &plan.image)?;
        }
        for test in &left_out {
            ui.status("Not run", test);
        }
        if self.require_containers && !left_out.is_empty() {
            bail!("--require-containers: some tests could not be run; they are named above");
        }
        ui.status("Passed", "every test that could be run here");
        Ok(())
    }
}

/// Builds the image that the tests start.
fn image(ui: &Ui, paths: &Paths) -> Result<ImagePlan> {
    let _lock = lock::take(ui, paths)?;
    let name = crate::plan::host::read(&paths.root)?.image().name.clone();
    let args = ImageArgs {
        engine: EngineChoice::Local,
        base: Some("scratch".to_owned()),
        builder_image: None,
        toolchain: None,
        tag: Some(format!("{name}:{TAG}")),
        output: None,
        format: Format::Human,
        locked: true,
        no_verify: false,
    };
    Ok(args.make(ui, paths)?.plan)
}

struct Workspace<'a> {
    ui: &'a Ui,
    toolchain: &'a Toolchain,
    paths: &'a Paths,
    /// Relative to the root.
    folder: &'a str,
}

impl Workspace<'_> {
    fn command<S: Into<String>>(&self, args: impl IntoIterator<Item = S>) -> Invocation {
        let command = self.toolchain.run("cargo", args).folder(self.paths.root.join(self.folder));
        // It moves the target folder of whoever works on the tree; what starts programs leaves it out.
        match std::env::var("CARGO_TARGET_DIR") {
            Ok(target) => command.env("CARGO_TARGET_DIR", self.paths.root.join(target).as_str()),
            Err(_) => command,
        }
    }

    /// Runs cargo with its output where it is.
    fn cargo(&self, verb: &str, args: &[&str], environment: &[(&str, String)]) -> Result<()> {
        let name = if self.folder.is_empty() { "host and plugins" } else { self.folder };
        self.ui.status(verb, name);
        let command = environment
            .iter()
            .fold(self.command(args.iter().copied()), |command, (name, value)| command.env(name, value));
        let output = command.expression(self.ui).stdout_to_stderr().unchecked().run();
        let output = output.with_context(|| format!("starting `{command}`"))?;
        if !output.status.success() {
            bail!("{verb} {name} failed: `{command}` ended with {}", output.status);
        }
        Ok(())
    }

    /// All tests of the workspace but those that need what is not here.
    fn select(&self, runtime: &Result<Runtime>) -> Result<Selection> {
        let metadata = self.command(["metadata", "--no-deps", "--format-version", "1"]).read(self.ui)?;
        let metadata: Metadata = MetadataCommand::parse(metadata).context("reading what `cargo metadata` wrote")?;
        let mut args: Vec<String> = ["test", "--workspace", "--locked", "--bins"].map(str::to_owned).to_vec();
        let kinds =
            metadata.workspace_packages().into_iter().flat_map(|package| &package.targets).flat_map(|of| &of.kind);
        let not_libraries =
            [TargetKind::Bin, TargetKind::Test, TargetKind::CustomBuild, TargetKind::Example, TargetKind::Bench];
        // Cargo refuses --lib where there is no library.
        if !kinds.clone().all(|kind| not_libraries.contains(kind)) {
            args.push("--lib".to_owned());
        }
        let mut left_out = Vec::new();
        for package in metadata.workspace_packages() {
            let own: Option<PackageMetadata> = serde_json::from_value(package.metadata.clone())
                .with_context(|| format!("reading [package.metadata] in {}", package.manifest_path))?;
            let mut needs = own.map(|own| own.test_needs).unwrap_or_default();
            let tests = package.targets.iter().filter(|target| target.kind.contains(&TargetKind::Test));
            for test in tests {
                match needs.remove(&test.name).and_then(|need| need.missing(self.ui, runtime)) {
                    Some(reason) => left_out.push(format!("{}: {reason}", self.paths.relative(&test.src_path))),
                    None => args.extend(["--test".to_owned(), test.name.clone()]),
                }
            }
            if let Some(name) = needs.keys().next() {
                bail!(
                    "{}: [package.metadata.test-needs] names `{name}`, which is no test of it",
                    package.manifest_path
                );
            }
        }
        Ok(Selection { args, left_out })
    }
}

impl Need {
    /// Why it is not there.
    fn missing(&self, ui: &Ui, runtime: &Result<Runtime>) -> Option<String> {
        match self {
            Need::Runtime => runtime.as_ref().err().map(|why| format!("{why:#}")),
            Need::Images(images) => match runtime {
                Err(why) => Some(format!("{why:#}")),
                Ok(runtime) => {
                    let there = |image: &str| runtime.inspect(ui, image).is_ok_and(|info| info.is_some());
                    let absent: Vec<&str> = images.iter().map(String::as_str).filter(|image| !there(image)).collect();
                    (!absent.is_empty())
                        .then(|| format!("{runtime} has no {}; .ci/images makes them", absent.join(", ")))
                }
            },
            Need::Programs(programs) => {
                let folders = std::env::var_os("PATH").unwrap_or_default();
                let there =
                    |program: &str| std::env::split_paths(&folders).any(|folder| folder.join(program).is_file());
                let absent: Vec<&str> = programs.iter().map(String::as_str).filter(|program| !there(program)).collect();
                (!absent.is_empty()).then(|| format!("not on PATH: {}", absent.join(", ")))
            }
        }
    }
}
