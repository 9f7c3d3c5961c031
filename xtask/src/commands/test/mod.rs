//! `cargo xtask test`: every check there is, in one command.

mod needs;

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail};
use cargo_metadata::{Metadata, MetadataCommand, TargetKind};
use clap::Args;

use crate::cargo::toolchain::Toolchain;
use crate::commands::options::EnvironmentArgs;
use crate::commands::test::needs::{Engines, PackageMetadata};
use crate::containers::engine::{Broken, Engine};
use crate::environment::options::{EnvironmentChoice, EnvironmentOptions};
use crate::oci::digest::Digest;
use crate::pipeline;
use crate::pipeline::request::{ImageRequest, PlanRequest};
use crate::plan::ImagePlan;
use crate::support::command::{self, Invocation};
use crate::support::errors::Errors;
use crate::support::paths::Paths;
use crate::support::session::Session;
use crate::support::ui::Ui;

/// The tag of the image that the tests run: in the container engine nobody's own image changes.
const TAG: &str = "xtask-test";

/// Where tests find what they test. They say so when one of these is not set.
const DIST: &str = "XTASK_DIST";
const IMAGE: &str = "XTASK_IMAGE";
const ENGINE: &str = "XTASK_ENGINE";

#[derive(Args)]
pub struct TestArgs {
    /// Fail if anything could not be run: no docker or podman, a missing program
    #[arg(long)]
    require_containers: bool,

    /// Run formatting, lints and unit tests only: no image is built, and nothing but Rust is needed
    #[arg(long, conflicts_with_all = ["require_containers", "long", "only", "engine", "builder_image", "toolchain", "base"])]
    quick: bool,

    /// The tests that take minutes, too
    #[arg(long)]
    long: bool,

    /// Only this test target, as PACKAGE/NAME or by its name alone, and nothing else; may be repeated
    #[arg(long, value_name = "TARGET")]
    only: Vec<String>,

    /// How the image that the tests start is made [default: --engine local --base scratch]
    #[command(flatten)]
    environment: EnvironmentArgs,
}

/// One workspace's tests, and those that cannot run here with the reason.
struct Selection {
    args: Vec<String>,
    /// All test targets that there are, as `PACKAGE/NAME`.
    targets: Vec<String>,
    left_out: Vec<String>,
    /// Those that nobody asked for, since they take minutes.
    postponed: Vec<String>,
}

impl TestArgs {
    pub fn run(&self, ui: &Ui, paths: &Paths) -> Result<()> {
        let broken = if self.quick { Vec::new() } else { Engine::broken(ui) };
        if self.require_containers && !broken.is_empty() {
            let broken: Vec<String> = broken.iter().map(ToString::to_string).collect();
            bail!("--require-containers: {}; fix its configuration, or remove it", broken.join("; "));
        }
        let toolchain = Toolchain::find(ui, &paths.root, None)?;
        let root = Workspace { ui, toolchain: &toolchain, paths, dir: "" };
        let own = Workspace { ui, toolchain: &toolchain, paths, dir: "xtask" };
        if self.quick {
            // Cargo takes `--lib` only where there is one.
            for (workspace, parts) in [(&root, &["--lib", "--bins"][..]), (&own, &["--bins"])] {
                workspace.check()?;
                let args = [&["test", "--workspace", "--locked", "--quiet"], parts].concat();
                workspace.cargo("Testing", &args, &[])?;
            }
            ui.status("Passed", "formatting, lints and unit tests");
            return Ok(());
        }
        if self.only.is_empty() {
            root.check()?;
            own.check()?;
        }
        let tested = paths.for_tests();
        let (plan, engine) = self.image(ui, &tested, &broken)?;
        let mut environment = vec![(DIST, tested.dist().to_string()), (IMAGE, plan.image.clone())];
        environment.extend(engine.as_ref().ok().map(|engine| (ENGINE, engine.program().to_owned())));
        let there = Engines { any: &engine, broken: &broken };
        let selections = [root.select(&there, self)?, own.select(&there, self)?];
        self.check_names(&selections)?;
        for (workspace, selection) in [&root, &own].into_iter().zip(&selections) {
            let args: Vec<&str> = selection.args.iter().map(String::as_str).collect();
            if !args.is_empty() {
                workspace.cargo("Testing", &args, &environment)?;
            }
        }
        if let Ok(engine) = &engine {
            engine.remove(ui, &plan.image)?;
        }
        let left_out: Vec<&String> = selections.iter().flat_map(|selection| &selection.left_out).collect();
        for test in left_out.iter().copied().chain(selections.iter().flat_map(|selection| &selection.postponed)) {
            ui.status("Not run", test);
        }
        match left_out.is_empty() {
            false if self.require_containers => {
                bail!("--require-containers: some tests could not be run; they are named above")
            }
            false if !self.only.is_empty() => bail!("--only: a test that was named could not be run; see above"),
            _ => ui.status("Passed", "every test that could be run here"),
        }
        Ok(())
    }

    /// Builds the image that the tests start; the container engine is the one that has it.
    fn image(&self, ui: &Ui, paths: &Paths, broken: &[Broken]) -> Result<(ImagePlan, Result<Engine>)> {
        let session = Session::open(ui, paths)?;
        let name = crate::source::manifest::read(&paths.root)?.image().name.clone();
        let mut environment = EnvironmentOptions { broken: broken.to_vec(), ..self.environment.options() };
        environment.choice = self.environment.engine.unwrap_or(EnvironmentChoice::Local);
        if environment.choice == EnvironmentChoice::Local {
            environment.base.get_or_insert("scratch".to_owned());
        }
        // Of this checkout: another one may test at the same time.
        let checkout = Digest::sha256(paths.image.as_str().as_bytes());
        let image = format!("{name}:{TAG}-{}", checkout.prefix(8));
        let strict = command::is_ci();
        // What only tests start, nobody else relies on.
        let plan =
            PlanRequest { environment, image: Some(image), locked: true, isolated: false, strict, test_plugins: true };
        let request = ImageRequest { plan, outputs: Vec::new(), push: None, verify: true, verify_reproducible: false };
        let made = pipeline::image(&session, &request)?;
        let engine = made.loaded_into.map_or_else(|| Engine::find(ui, broken), |program| Engine::named(ui, program));
        Ok((made.plan, engine))
    }

    fn check_names(&self, selections: &[Selection]) -> Result<()> {
        let known: BTreeSet<&String> = selections.iter().flat_map(|selection| &selection.targets).collect();
        let mut errors = Errors::default();
        let is = |name: &String| known.iter().any(|known| *known == name || known.rsplit('/').next() == Some(name));
        for name in self.only.iter().filter(|name| !is(name)) {
            let known: Vec<&str> = known.iter().map(|name| name.as_str()).collect();
            errors.push(format!("--only {name} is no test target; these are: {}", known.join(", ")));
        }
        errors.report("the command line")
    }
}

struct Workspace<'a> {
    ui: &'a Ui,
    toolchain: &'a Toolchain,
    paths: &'a Paths,
    /// Relative to the root.
    dir: &'a str,
}

impl Workspace<'_> {
    fn command<S: Into<String>>(&self, args: impl IntoIterator<Item = S>) -> Invocation {
        let command = self.toolchain.run("cargo", args).dir(self.paths.root.join(self.dir));
        // It moves the target directory of whoever works on the tree; what starts programs leaves it out.
        match std::env::var("CARGO_TARGET_DIR") {
            Ok(target) => command.env("CARGO_TARGET_DIR", self.paths.root.join(target).as_str()),
            Err(_) => command,
        }
    }

    /// Formatting and lints.
    fn check(&self) -> Result<()> {
        self.cargo("Formatting", &["fmt", "--all", "--check"], &[])?;
        let strict = ["clippy", "--workspace", "--all-targets", "--locked", "--quiet", "--", "-D", "warnings"];
        self.cargo("Linting", &strict, &[])
    }

    /// Runs cargo with its output where it is.
    fn cargo(&self, verb: &str, args: &[&str], environment: &[(&str, String)]) -> Result<()> {
        let name = if self.dir.is_empty() { "host and plugins" } else { self.dir };
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

    /// All tests of the workspace, or the named ones, but those that need what is not here.
    fn select(&self, engines: &Engines, wanted: &TestArgs) -> Result<Selection> {
        let only = &wanted.only;
        let metadata = self.command(["metadata", "--no-deps", "--format-version", "1"]).read(self.ui)?;
        let metadata: Metadata = MetadataCommand::parse(metadata).context("reading what `cargo metadata` wrote")?;
        let mut args: Vec<String> = ["test", "--workspace", "--locked"].map(str::to_owned).to_vec();
        if only.is_empty() {
            args.extend(unit_tests(&metadata));
        }
        let unasked = args.len();
        let (mut targets, mut left_out, mut postponed) = (Vec::new(), Vec::new(), Vec::new());
        for package in metadata.workspace_packages() {
            let own: Option<PackageMetadata> = serde_json::from_value(package.metadata.clone())
                .with_context(|| format!("reading [package.metadata] in {}", package.manifest_path))?;
            let mut needs = own.map(|own| own.test_needs).unwrap_or_default();
            let tests = package.targets.iter().filter(|target| target.kind.contains(&TargetKind::Test));
            for test in tests {
                let name = format!("{}/{}", package.name, test.name);
                let need = needs.remove(&test.name).unwrap_or_default();
                let chosen = only.is_empty() || only.iter().any(|only| *only == test.name || *only == name);
                targets.push(name);
                if !chosen {
                    continue;
                }
                let path = self.paths.relative(&test.src_path);
                if need.long && !wanted.long && only.is_empty() {
                    postponed.push(format!("{path}: takes minutes; --long runs it"));
                    continue;
                }
                match need.missing(self.ui, engines) {
                    Some(reason) => left_out.push(format!("{path}: {reason}")),
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
        if !only.is_empty() && args.len() == unasked {
            args.clear();
        }
        Ok(Selection { args, targets, left_out, postponed })
    }
}

fn unit_tests(metadata: &Metadata) -> Vec<String> {
    let mut kinds =
        metadata.workspace_packages().into_iter().flat_map(|package| &package.targets).flat_map(|of| &of.kind);
    let not_libraries =
        [TargetKind::Bin, TargetKind::Test, TargetKind::CustomBuild, TargetKind::Example, TargetKind::Bench];
    // Cargo refuses --lib where there is no library.
    let libraries = kinds.any(|kind| !not_libraries.contains(kind));
    ["--bins"].into_iter().chain(libraries.then_some("--lib")).map(str::to_owned).collect()
}
