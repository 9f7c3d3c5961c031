//! A build of the real tree, what its host says of plugins of other builds, and what is different each time in that.

use std::fs;
use std::io::Write;
use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};

use super::{Tree, repository};

pub const FIX: &str = "fix: host and plugins must be built together: `cargo xtask image`";

/// The row of a plugin that cargo built alone.
pub const UNSEALED: &str = "seal unsealed: built by cargo alone sealed\n";

/// What a build came to, kept where no other build writes.
pub struct Build {
    pub name: &'static str,
    pub dist: Utf8PathBuf,
    /// Of its plugin `file`.
    pub record: provost_record::Record,
}

impl Build {
    pub fn make(tree: &Tree, name: &'static str) -> Build {
        let run = tree.xtask(&["build"]);
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        let dist = tree.root.join("target").join(name);
        copy(Utf8Path::new(run.stdout.trim()), &dist);
        Build::read(name, dist)
    }

    /// What `file` comes to when cargo builds it alone, with the tree's own flags; by another toolchain if one is named.
    pub fn alone(tree: &Tree, name: &'static str, toolchain: Option<&str>) -> Build {
        let target = repository().join("target/test").join(name);
        let mut command = Command::new("cargo");
        command.args(["build", "--release", "--quiet", "-p", "file", "--target-dir", target.as_str()]);
        command.current_dir(&tree.root);
        for name in ["CARGO_TARGET_DIR", "RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "LD_LIBRARY_PATH", "RUSTC_BOOTSTRAP"] {
            command.env_remove(name);
        }
        let output = command.envs(toolchain.map(|name| ("RUSTUP_TOOLCHAIN", name))).output().expect("cargo starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let dist = tree.root.join("target").join(name);
        fs::create_dir_all(&dist).expect("a directory");
        fs::copy(target.join("release/libfile.so"), dist.join("file.prov")).expect("the plugin was built");
        Build::read(name, dist)
    }

    /// The build in the directory `dist`, which may be no more than a plugin.
    fn read(name: &'static str, dist: Utf8PathBuf) -> Build {
        let bytes = fs::read(dist.join("file.prov")).expect("the plugin was built");
        Build { name, record: provost_record::read(&bytes).expect("it has a record"), dist }
    }

    /// `--check` with the plugin `file` of a build: the exit code, and stderr with names for what is different each time.
    pub fn check(&self, plugin: &Build) -> (Option<i32>, String) {
        let config = self.dist.join("config.toml");
        fs::write(&config, "").expect("a configuration");
        let mut command = Command::new(self.dist.join("provost"));
        command.current_dir(&self.dist).env_clear();
        command.args(["--check", "--config", config.as_str(), "--prov", plugin.dist.join("file.prov").as_str()]);
        let output = command.output().expect("the host starts");
        let mut stderr = String::from_utf8(output.stderr).expect("messages are text");
        for build in [self, plugin] {
            let dir = build.dist.parent().expect("a parent").as_str();
            let record = &build.record;
            let own = [("SOURCE", record.source.as_str()), ("ANCHOR", &record.anchor)].into_iter();
            for (mask, value) in own.chain(lines(&record.rustc)) {
                stderr = stderr.replace(value, &format!("[{mask} OF {}]", build.name));
            }
            stderr = stderr.replace(dir, "@");
        }
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ") + "\n";
        (output.status.code(), stderr.lines().map(words).collect())
    }

    /// The same host with another SDK beside it.
    pub fn with_sdk_of(&self, other: &Build) -> Build {
        let dist = self.dist.with_file_name("mixed");
        copy(&self.dist, &dist);
        let sdk = "libprovost_sdk.so";
        fs::copy(other.dist.join(sdk), dist.join(sdk)).expect("the SDK was built");
        Build { name: "mixed", dist, record: self.record.clone() }
    }

    /// The host of this build refuses the plugin of the other, and the reverse, for these fields alone.
    pub fn differs_from(&self, other: &Build, fields: &[&str]) {
        self.refuses(other, fields);
        other.refuses(self, fields);
        print(2, other);
    }

    /// The host of this build refuses the plugin of the other for these fields alone.
    pub fn refuses(&self, plugin: &Build, fields: &[&str]) {
        self.refuses_sealed(plugin, fields, "");
    }

    /// The same of a plugin that cargo built alone, which nobody has sealed.
    pub fn refuses_unsealed(&self, plugin: &Build, fields: &[&str]) {
        self.refuses_sealed(plugin, fields, UNSEALED);
    }

    fn refuses_sealed(&self, plugin: &Build, fields: &[&str], seal: &str) {
        let row = |field: &&str| {
            let mask = field.to_uppercase();
            format!("{field} [{mask} OF {}] [{mask} OF {}]\n", plugin.name, self.name)
        };
        self.refuses_with(plugin, &(fields.iter().map(row).collect::<String>() + seal));
    }

    /// The host of this build refuses the plugin of the other with these rows of the table.
    pub fn refuses_with(&self, plugin: &Build, rows: &str) {
        let expected = format!(
            "error: 1 of 1 plugin is refused, and none is loaded\nfile field have want\n@/{}/file.prov {rows}{FIX}\n",
            plugin.name
        );
        assert_eq!(self.check(plugin), (Some(1), expected));
    }
}

/// The lines of a compiler's answer by their first words.
pub fn lines(rustc: &str) -> impl Iterator<Item = (&str, &str)> {
    rustc.lines().map(|line| (line.split([' ', ':']).next().unwrap_or_default(), line))
}

/// Not by `println!`: of a test that succeeds the harness shows nothing.
pub fn print(cases: usize, other: &Build) {
    let plural = if cases == 1 { "" } else { "s" };
    writeln!(std::io::stderr(), "corpus: {cases} plugin{plural} of another build refused: {}", other.name)
        .expect("stderr is open");
}

/// By a process of its own: what this one writes, a process that another test just starts has open, too, for a moment,
/// and nobody can start it meanwhile ("Text file busy").
fn copy(from: &Utf8Path, to: &Utf8Path) {
    fs::create_dir_all(to).expect("a directory");
    let status = Command::new("cp").arg("-r").arg(from.join(".")).arg(to).status().expect("cp is everywhere");
    assert!(status.success(), "cp {from} {to}");
}
