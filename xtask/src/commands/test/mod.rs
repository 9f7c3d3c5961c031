//! `cargo xtask test`: all checks in one command.

mod needs;
mod suite;
mod workspace;

use std::collections::BTreeSet;

use anyhow::{Result, bail};
use clap::Args;

use crate::cargo::toolchain::Toolchain;
use crate::commands::options::EnvironmentArgs;
use crate::commands::test::needs::Engines;
use crate::commands::test::suite::{Suite, TestTime};
use crate::commands::test::workspace::{EXAMPLES, Workspace};
use crate::containers::engine::{Broken, Engine};
use crate::environment::options::{EnvironmentChoice, EnvironmentOptions};
use crate::oci::digest::Digest;
use crate::pipeline;
use crate::pipeline::registry_cache::RegistryCache;
use crate::pipeline::request::{ImageRequest, PlanRequest};
use crate::plan::ImagePlan;
use crate::source::manifest;
use crate::source::matrix::Platform;
use crate::source::selection::{Selection, hint};
use crate::support::command;
use crate::support::errors::Errors;
use crate::support::paths::Paths;
use crate::support::session::Session;
use crate::support::ui::Ui;

/// The tag of the tested image: no other image in the container engine changes.
const TAG: &str = "xtask-test";

/// The variables that tell tests what to test.
const DIST: &str = "XTASK_DIST";
const IMAGE: &str = "XTASK_IMAGE";
const ENGINE: &str = "XTASK_ENGINE";
/// Says that ten minutes are no matter: set by `--long`, except in CI.
const LONG: &str = "XTASK_LONG";

#[derive(Args)]
#[command(
    mut_arg("engine", |arg| arg.help("Where to compile the tested image [default: local]")),
    mut_arg("base", |arg| arg.help("Base image of the tested image [default with --engine local: scratch]")),
)]
pub struct TestArgs {
    /// Fail if a test cannot run here, for example because docker or a program is missing
    #[arg(long)]
    require_containers: bool,

    /// Run formatting, lints and unit tests only; needs nothing but Rust
    #[arg(long, conflicts_with_all = ["require_containers", "long", "only", "engine", "builder_image", "toolchain", "base", "pull_timeout", "platform"])]
    quick: bool,

    /// Also run the tests that take minutes
    #[arg(long)]
    long: bool,

    /// Run only this test module, given as MODULE or PACKAGE/MODULE; can be repeated
    #[arg(long, value_name = "MODULE", conflicts_with = "long")]
    only: Vec<String>,

    #[command(flatten)]
    environment: EnvironmentArgs,

    /// Platform of the tested image, which this machine must be able to start [default: the builder's]
    #[arg(long)]
    platform: Option<Platform>,
}

/// How many of the slowest tests are named.
const SLOWEST: usize = 10;

impl TestArgs {
    pub fn run(&self, ui: &Ui, paths: &Paths) -> Result<()> {
        let broken = if self.quick { Vec::new() } else { Engine::broken(ui) };
        if self.require_containers && !broken.is_empty() {
            let broken: Vec<String> = broken.iter().map(ToString::to_string).collect();
            bail!("--require-containers: {}; fix its configuration, or remove it", broken.join("; "));
        }
        for Broken { program, why } in &broken {
            ui.status("Skipping", format!("{program}, which cannot run a container: {why}"));
        }
        let toolchain = Toolchain::find(ui, &paths.root, None)?;
        let benches = manifest::read(&paths.root)?.image().benches.clone();
        let workspace = |dir| Workspace { ui, toolchain: &toolchain, paths, dir };
        let workspaces = ["", "xtask"].map(workspace);
        if self.only.is_empty() {
            workspaces.iter().chain(&[workspace(EXAMPLES)]).try_for_each(Workspace::check)?;
            // Compiling their dependencies takes longer than all the rest.
            if let Some(benches) = &benches {
                workspace(benches.as_str()).formatting()?;
            }
            workspaces.iter().chain(&[workspace(EXAMPLES)]).try_for_each(Workspace::unit_tests)?;
        } else {
            let modules: Result<Vec<Vec<String>>> = workspaces.iter().map(Workspace::modules).collect();
            self.check_names(&modules?.concat())?;
        }
        if self.quick {
            ui.status("Passed", "formatting, lints and unit tests");
            return Ok(());
        }
        self.integration_tests(ui, paths, &workspaces, &broken)
    }

    fn integration_tests(&self, ui: &Ui, paths: &Paths, workspaces: &[Workspace], broken: &[Broken]) -> Result<()> {
        let mut suites = Vec::new();
        for workspace in workspaces {
            suites.extend(workspace.suites()?);
        }
        // A module of the sources may have no test.
        let modules = suites.iter().flat_map(|suite| suite.modules().map(|(module, _)| suite.module_name(module)));
        self.check_names(&modules.collect::<Vec<_>>())?;
        let tested = paths.for_tests();
        let (plan, engine) = self.image(ui, &tested, broken)?;
        let mut environment = vec![(DIST, tested.dist().to_string()), (IMAGE, plan.image.clone())];
        environment.extend((self.long && !command::is_ci()).then(|| (LONG, "1".to_owned())));
        environment.extend(engine.as_ref().ok().map(|engine| (ENGINE, engine.program().to_owned())));
        let there = Engines { any: &engine, broken };
        let (mut times, mut failed) = (Vec::new(), Errors::default());
        let (mut missing, mut postponed) = (Vec::new(), Vec::new());
        for suite in &suites {
            for (module, need) in suite.modules().filter(|(module, _)| self.is_chosen(suite, module)) {
                let name = suite.module_name(module);
                if need.long && !self.long && self.only.is_empty() {
                    postponed.push(format!("{name}: takes minutes; --long runs it"));
                } else if let Some(reason) = need.missing(ui, &there) {
                    missing.push(format!("{name}: {reason}"));
                } else if let Err(error) = suite.run(ui, module, &environment, &mut times) {
                    failed.push(format!("{error:#}"));
                }
            }
        }
        if let Ok(engine) = &engine {
            engine.remove(ui, &plan.image)?;
        }
        show_slowest(ui, times);
        for test in missing.iter().chain(&postponed) {
            ui.status("Not run", test);
        }
        failed.report("the tests")?;
        match missing.is_empty() {
            false if self.require_containers => {
                bail!("--require-containers: some tests could not run; see `Not run` above")
            }
            false if !self.only.is_empty() => bail!("--only: a test could not run; see `Not run` above"),
            _ => ui.status("Passed", "every test that could run here"),
        }
        Ok(())
    }

    fn is_chosen(&self, suite: &Suite, module: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == module || *only == suite.module_name(module))
    }

    /// Builds the tested image; returns the container engine that has it.
    fn image(&self, ui: &Ui, paths: &Paths, broken: &[Broken]) -> Result<(ImagePlan, Result<Engine>)> {
        let session = Session::open(ui, paths)?;
        let name = manifest::read(&paths.root)?.image().name.clone();
        let architecture = self.platform.as_ref().map(|platform| platform.architecture.clone());
        let mut environment = EnvironmentOptions { broken: broken.to_vec(), ..self.environment.options(architecture) };
        environment.choice = self.environment.engine.unwrap_or(EnvironmentChoice::Local);
        if environment.choice == EnvironmentChoice::Local {
            environment.base.get_or_insert("scratch".to_owned());
        }
        // Unique for the checkout: another one may run tests at the same time.
        let checkout = Digest::sha256(paths.image.as_str().as_bytes());
        let image = format!("{name}:{TAG}-{}", checkout.prefix(8));
        let strict = command::is_ci();
        // What only tests start, nobody else relies on.
        let plan = PlanRequest {
            environment,
            image: Some(image),
            selection: Selection::default(),
            locked: true,
            isolated: false,
            strict,
            entrypoint: false,
            test_plugins: true,
        };
        let request = ImageRequest {
            plan,
            outputs: Vec::new(),
            push: None,
            sign: false,
            cache: RegistryCache::default(),
            load: true,
            verify: true,
            verify_reproducible: false,
        };
        let made = pipeline::image(&session, &request)?;
        let engine = made.loaded_into.map_or_else(|| Engine::find(ui, broken), |program| Engine::named(ui, program));
        Ok((made.plan, engine))
    }

    /// Reports each name that none of these modules has; they are `PACKAGE/MODULE`.
    fn check_names(&self, modules: &[String]) -> Result<()> {
        let mut errors = Errors::default();
        for name in &self.only {
            let with_package = |module: &&str| module.contains('/') == name.contains('/');
            let names = modules.iter().flat_map(|module| [Some(module.as_str()), module.split('/').next_back()]);
            let known: BTreeSet<String> = names.flatten().filter(with_package).map(str::to_owned).collect();
            if known.is_empty() {
                errors.push(format!("--only {name}: the tree has no test modules"));
            } else if !known.contains(name) {
                errors.push(format!("--only {name}: there is no such test module; {}", hint(name, &known)));
            }
        }
        errors.report("the command line")
    }
}

fn show_slowest(ui: &Ui, mut times: Vec<TestTime>) {
    times.sort_by(|one, other| other.seconds.total_cmp(&one.seconds));
    for TestTime { test, seconds } in times.iter().take(SLOWEST) {
        ui.status("Slow", format!("{seconds:6.1} s  {test}"));
    }
}
