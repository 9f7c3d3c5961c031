//! Plugins of builds that differ in one thing, really compiled: the host of each build refuses the plugins of the other
//! before it loads them, and names what differs. What can be made by editing a file is in the host's own corpus.

mod support;

use std::fs;
use std::io::Write;
use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};
use support::{Tree, run};

const REMEDY: &str = "remedy: host and plugins must be built together: `cargo xtask image`";

/// What a build came to, kept where no other build writes.
struct Build {
    name: &'static str,
    dist: Utf8PathBuf,
    /// Of its plugin `file`.
    record: provost_record::Record,
}

impl Build {
    fn make(tree: &Tree, name: &'static str) -> Build {
        let run = tree.xtask(&["build"]);
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        let dist = tree.root.join("target").join(name);
        copy(Utf8Path::new(run.stdout.trim()), &dist);
        let bytes = fs::read(dist.join("file.prov")).expect("the plugin was built");
        Build { name, record: provost_record::read(&bytes).expect("it has a record"), dist }
    }

    /// `--check` with the plugin `file` of a build: the exit code, and stderr with names for what is different each time.
    fn check(&self, plugin: &Build) -> (Option<i32>, String) {
        let config = self.dist.join("config.toml");
        fs::write(&config, "").expect("a configuration");
        let mut command = Command::new(self.dist.join("provost"));
        command.current_dir(&self.dist).env_clear();
        command.args(["--check", "--config", config.as_str(), "--prov", plugin.dist.join("file.prov").as_str()]);
        let output = command.output().expect("the host starts");
        let mut stderr = String::from_utf8(output.stderr).expect("messages are text");
        for build in [self, plugin] {
            let folder = build.dist.parent().expect("a parent").as_str();
            for (value, mask) in
                [(build.record.source.as_str(), "SOURCE"), (&build.record.anchor, "ANCHOR"), (folder, "")]
            {
                let mask = if mask.is_empty() { "@".to_owned() } else { format!("[{mask} OF {}]", build.name) };
                stderr = stderr.replace(value, &mask);
            }
        }
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ") + "\n";
        (output.status.code(), stderr.lines().map(words).collect())
    }

    /// The same host with another SDK beside it.
    fn with_sdk_of(&self, other: &Build) -> Build {
        let dist = self.dist.with_file_name("mixed");
        copy(&self.dist, &dist);
        let sdk = "libprovost_sdk.so";
        fs::copy(other.dist.join(sdk), dist.join(sdk)).expect("the SDK was built");
        Build { name: "mixed", dist, record: self.record.clone() }
    }

    /// The host of this build refuses the plugin of the other, and the reverse, for these fields alone.
    fn differs_from(&self, other: &Build, fields: &[&str]) {
        for (host, plugin) in [(self, other), (other, self)] {
            let row = |field: &&str| {
                let mask = field.to_uppercase();
                format!("{field} [{mask} OF {}] [{mask} OF {}]\n", plugin.name, host.name)
            };
            let rows: String = fields.iter().map(row).collect();
            let expected = format!(
                "error: 1 of 1 plugin is refused, and none is loaded\nfile field have want\n@/{}/file.prov {rows}{REMEDY}\n",
                plugin.name
            );
            assert_eq!(host.check(plugin), (Some(1), expected));
        }
        // Not by `println!`: of a test that succeeds the harness shows nothing.
        writeln!(std::io::stderr(), "corpus: 2 plugins of another build refused: {}", other.name)
            .expect("stderr is open");
    }
}

fn copy(from: &Utf8Path, to: &Utf8Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in from.read_dir_utf8().expect("a folder") {
        let entry = entry.expect("an entry");
        fs::copy(entry.path(), to.join(entry.file_name())).expect("a file");
    }
}

/// What is edited for a build: the file, the text that is there, and what stands there instead.
type Edit = (&'static str, &'static str, &'static str);

const SWAPPED_METHODS: Edit = (
    "host/sdk/src/plugin.rs",
    "    fn validate(&self) -> Result<(), ConfigError>;

    /// [`Provider::deliver`].
    fn deliver<'a>(&'a self, message: &'a Message) -> Delivery<'a>;
",
    "    fn deliver<'a>(&'a self, message: &'a Message) -> Delivery<'a>;

    /// [`Provider::validate`].
    fn validate(&self) -> Result<(), ConfigError>;
",
);
const ADDED_FIELD: Edit =
    ("host/sdk/src/message.rs", "pub id: String,", "pub id: String,\n    /// Added.\n    pub added: u64,");
const FILLED_FIELD: Edit = ("host/src/api.rs", "Ok(Message { id,", "Ok(Message { id, added: 0,");
const FEATURE: Edit = (
    "plugins/file/Cargo.toml",
    "[dependencies]\n",
    "[dependencies]\nserde_json = { workspace = true, features = [\"preserve_order\"] }\n",
);

/// One test, since all builds share a folder: each takes what the one before it left.
#[test]
fn plugins_of_another_build() {
    let tree = Tree::real("corpus");
    let first = Build::make(&tree, "first");
    assert_eq!(first.check(&first), (Some(0), String::new()), "a plugin of the same build is loaded");
    let edited = |name, edits: &[Edit]| {
        edits.iter().for_each(|(file, from, to)| tree.replace(file, from, to));
        let build = Build::make(&tree, name);
        edits.iter().for_each(|(file, from, to)| tree.replace(file, to, from));
        build
    };

    let swapped = edited("swapped-methods", &[SWAPPED_METHODS]);
    first.differs_from(&swapped, &["source"]);
    let mixed = first.with_sdk_of(&swapped);
    let expected = format!(
        "error: the SDK is refused, and no plugin is loaded\nfile field have want\n\
        the SDK beside this host source [SOURCE OF swapped-methods] [SOURCE OF mixed]\n{REMEDY}\n"
    );
    assert_eq!(mixed.check(&swapped), (Some(1), expected));

    first.differs_from(&edited("added-field", &[ADDED_FIELD, FILLED_FIELD]), &["source"]);

    let turned_on = edited("other-features", &[FEATURE]);
    first.differs_from(&turned_on, &["anchor"]);
    // Of other names: that the dynamic linker itself finds out.
    let (code, stderr) = first.with_sdk_of(&turned_on).check(&turned_on);
    assert!(code == Some(127) && stderr.contains(": undefined symbol: "), "{code:?}: {stderr}");

    let manifest = tree.root.join("Cargo.toml");
    run("cargo", &["update", "--manifest-path", manifest.as_str(), "serde_json", "--precise", "1.0.145"]);
    first.differs_from(&Build::make(&tree, "other-version"), &["anchor"]);
}
