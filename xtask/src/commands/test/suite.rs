//! The program with the integration tests of a package, module by module.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use camino::{Utf8Path, Utf8PathBuf};
use cargo_metadata::Package;

use crate::cargo::toolchain::Toolchain;
use crate::commands::test::needs::Need;
use crate::support::command::Invocation;
use crate::support::ui::Ui;

pub struct Suite {
    package: String,
    /// The tests run in the package's directory, as cargo does it.
    dir: Utf8PathBuf,
    program: Utf8PathBuf,
    /// The directory where the dynamic linker finds std.
    libraries: String,
    modules: BTreeMap<String, Module>,
}

#[derive(Default)]
struct Module {
    tests: Vec<String>,
    need: Need,
}

/// How long a test took.
pub struct TestTime {
    pub test: String,
    pub seconds: f64,
}

impl Suite {
    /// Asks the program for its tests.
    pub fn read(
        ui: &Ui,
        toolchain: &Toolchain,
        package: &Package,
        program: Utf8PathBuf,
        needs: BTreeMap<String, Need>,
    ) -> Result<Suite> {
        let std = toolchain.run("rustc", ["--print", "target-libdir"]).read(ui)?;
        let dependencies = program.parent().unwrap_or(Utf8Path::new("")).to_owned();
        let dir = package.manifest_path.parent().unwrap_or(Utf8Path::new("")).to_owned();
        let libraries = format!("{std}:{dependencies}");
        let mut suite = Suite { package: package.name.to_string(), dir, program, libraries, modules: BTreeMap::new() };
        let listed = suite.command(["--list", "--format", "terse"]).read(ui)?;
        for test in listed.lines().filter_map(|line| line.strip_suffix(": test")) {
            let module = test.split_once("::").map_or("", |(module, _)| module);
            suite.modules.entry(module.to_owned()).or_default().tests.push(test.to_owned());
        }
        for (name, need) in needs {
            let Some(module) = suite.modules.get_mut(&name) else {
                bail!(
                    "{}: [package.metadata.test-needs] names `{name}`, which is no test module",
                    package.manifest_path
                );
            };
            module.need = need;
        }
        Ok(suite)
    }

    /// By name, with what each needs.
    pub fn modules(&self) -> impl Iterator<Item = (&str, &Need)> {
        self.modules.iter().map(|(name, module)| (name.as_str(), &module.need))
    }

    /// `PACKAGE/MODULE`.
    pub fn module_name(&self, module: &str) -> String {
        format!("{}/{module}", self.package)
    }

    /// Runs a module's tests and adds how long each took.
    pub fn run(&self, ui: &Ui, module: &str, environment: &[(&str, String)], times: &mut Vec<TestTime>) -> Result<()> {
        let name = self.module_name(module);
        ui.status("Testing", &name);
        let tests = self.modules.get(module).map(|module| module.tests.as_slice()).unwrap_or_default();
        // Only a nightly's harness reports times, or one with RUSTC_BOOTSTRAP.
        let command = self.command(["--include-ignored", "-Zunstable-options", "--report-time", "--exact"]);
        let command = command.args(tests.iter().cloned()).env("RUSTC_BOOTSTRAP", "1");
        let command = environment.iter().fold(command, |command, (name, value)| command.env(name, value));
        let status = command.each_line(ui, |line| {
            eprintln!("{line}");
            times.extend(
                time(line).map(|(test, seconds)| TestTime { test: format!("{}/{test}", self.package), seconds }),
            );
        })?;
        if !status.success() {
            bail!("{name} failed ({status}); run it alone with `cargo xtask test --only {name}`");
        }
        Ok(())
    }

    fn command<S: Into<String>>(&self, args: impl IntoIterator<Item = S>) -> Invocation {
        Invocation::new(self.program.as_str(), args).dir(&self.dir).env("LD_LIBRARY_PATH", &self.libraries)
    }
}

/// Parses a line such as `test layers::a_name ... ok <1.234s>`.
fn time(line: &str) -> Option<(&str, f64)> {
    let (test, result) = line.strip_prefix("test ")?.split_once(" ... ")?;
    let (_, time) = result.split_once('<')?;
    Some((test, time.strip_suffix("s>")?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::time;

    #[test]
    fn a_line_of_the_harness_says_how_long_a_test_took() {
        assert_eq!(time("test layers::a_name ... ok <1.250s>"), Some(("layers::a_name", 1.25)));
        assert_eq!(time("test layers::a_name ... FAILED <0.001s>"), Some(("layers::a_name", 0.001)));
        for other in ["running 2 tests", "test layers::a_name ... ok", "test result: ok. 1 passed; finished in 0.10s"] {
            assert_eq!(time(other), None, "{other}");
        }
    }
}
