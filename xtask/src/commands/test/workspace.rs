//! A cargo workspace of the tree: its formatting, its lints, its tests.

use anyhow::{Context, Result, bail};
use camino::Utf8PathBuf;
use cargo_metadata::{Artifact, Message, Metadata, MetadataCommand, Package, Target, TargetKind};

use crate::cargo::toolchain::Toolchain;
use crate::commands::test::needs::PackageMetadata;
use crate::commands::test::suite::Suite;
use crate::support::command::{self, Invocation};
use crate::support::files;
use crate::support::paths::Paths;
use crate::support::ui::Ui;

/// The workspace of the examples.
pub const EXAMPLES: &str = "examples";

pub struct Workspace<'a> {
    pub ui: &'a Ui,
    pub toolchain: &'a Toolchain,
    pub paths: &'a Paths,
    /// Relative to the root.
    pub dir: &'a str,
}

impl Workspace<'_> {
    pub fn formatting(&self) -> Result<()> {
        self.cargo("Formatting", &["fmt", "--all", "--check"])
    }

    /// Formatting and lints.
    pub fn check(&self) -> Result<()> {
        self.formatting()?;
        self.cargo(
            "Linting",
            &["clippy", "--workspace", "--all-targets", "--locked", "--quiet", "--", "-D", "warnings"],
        )
    }

    pub fn unit_tests(&self) -> Result<()> {
        let mut args = vec!["test", "--workspace", "--locked", "--quiet", "--bins"];
        // Cargo rejects --lib if there is no library.
        if self.metadata()?.workspace_packages().into_iter().any(has_library) {
            args.push("--lib");
        }
        self.cargo("Testing", &args)
    }

    /// The modules of integration tests, as `PACKAGE/MODULE`. The sources say which there are: nothing is compiled.
    pub fn modules(&self) -> Result<Vec<String>> {
        let mut modules = Vec::new();
        for package in self.metadata()?.workspace_packages() {
            for target in package.targets.iter().filter(|target| target.is_test()) {
                let text = files::read_text(&target.src_path)?;
                let names = text.lines().filter_map(|line| line.strip_prefix("mod ")?.split([';', ' ']).next());
                modules.extend(names.map(|name| format!("{}/{name}", package.name)));
            }
        }
        Ok(modules)
    }

    /// Builds the programs with integration tests, one for each package that has any.
    pub fn suites(&self) -> Result<Vec<Suite>> {
        let metadata = self.metadata()?;
        // Cargo rejects a pattern without a match.
        if !metadata.workspace_packages().iter().any(|package| package.targets.iter().any(Target::is_test)) {
            return Ok(Vec::new());
        }
        let args = ["test", "--workspace", "--locked", "--test", "*", "--no-run", "--message-format"];
        let build = self.command(args).args(["json-render-diagnostics"]);
        self.ui.status("Building", format!("the integration tests of {}", self.name()));
        let output = build.shown(self.ui)?;
        build.succeeded(&output)?;
        let mut suites = Vec::new();
        for message in Message::parse_stream(output.stdout.as_slice()) {
            let Message::CompilerArtifact(artifact) = message.context("reading what cargo wrote")? else { continue };
            if let (true, Some(program)) = (artifact.target.kind.contains(&TargetKind::Test), &artifact.executable) {
                suites.push(self.suite(&metadata, &artifact, program.clone())?);
            }
        }
        Ok(suites)
    }

    fn suite(&self, metadata: &Metadata, artifact: &Artifact, program: Utf8PathBuf) -> Result<Suite> {
        let package = metadata.packages.iter().find(|package| package.id == artifact.package_id);
        let package = package.with_context(|| format!("cargo named no package {}", artifact.package_id))?;
        let own: Option<PackageMetadata> = serde_json::from_value(package.metadata.clone())
            .with_context(|| format!("reading [package.metadata] in {}", package.manifest_path))?;
        let needs = own.map(|own| own.test_needs).unwrap_or_default();
        Suite::read(self.ui, self.toolchain, package, program, needs)
    }

    fn metadata(&self) -> Result<Metadata> {
        let metadata = self.command(["metadata", "--no-deps", "--format-version", "1"]).read(self.ui)?;
        MetadataCommand::parse(metadata).context("reading what `cargo metadata` wrote")
    }

    fn name(&self) -> &str {
        if self.dir.is_empty() { "host and plugins" } else { self.dir }
    }

    fn command<S: Into<String>>(&self, args: impl IntoIterator<Item = S>) -> Invocation {
        let mut command = self.toolchain.run("cargo", args).dir(self.paths.root.join(self.dir));
        if command::is_ci() {
            // Nobody edits and compiles once more.
            command = command.env("CARGO_INCREMENTAL", "0");
        }
        // The user's, which programs do not see otherwise. The examples have one of their own: a dylib has the same file name in
        // every workspace, and theirs is linked with other crates.
        let target = std::env::var("CARGO_TARGET_DIR").ok();
        let target = match (target, self.dir == EXAMPLES) {
            (None, false) => return command,
            (target, false) => self.paths.root.join(target.unwrap_or_default()),
            (target, true) => self.paths.root.join(target.unwrap_or_else(|| "target".to_owned())).join(EXAMPLES),
        };
        command.env("CARGO_TARGET_DIR", target.as_str())
    }

    /// Runs cargo; its output goes to this process's.
    fn cargo(&self, verb: &str, args: &[&str]) -> Result<()> {
        let name = self.name();
        self.ui.status(verb, name);
        let command = self.command(args.iter().copied());
        let output = command.expression(self.ui).stdout_to_stderr().unchecked().run();
        let output = output.with_context(|| format!("starting `{command}`"))?;
        if !output.status.success() {
            bail!("{verb} {name} failed: `{command}` ended with {}", output.status);
        }
        Ok(())
    }
}

fn has_library(package: &Package) -> bool {
    let others = [TargetKind::Bin, TargetKind::Test, TargetKind::CustomBuild, TargetKind::Example, TargetKind::Bench];
    package.targets.iter().flat_map(|target| &target.kind).any(|kind| !others.contains(kind))
}
