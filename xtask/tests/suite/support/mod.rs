//! Trees for tests to build: the small one beside this directory, or a copy of the real one. The real xtask builds them.

#![allow(dead_code, reason = "each test file uses a part of this")]

pub mod beside;
pub mod build;
pub mod engine;
pub mod layout;
pub mod registry;

use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Command, Output};

use camino::{Utf8Path, Utf8PathBuf};
use expect_test::Expect;
use serde_json::Value;
use sha2::{Digest, Sha256};
use walkdir::WalkDir;

/// A copy of a tree, removed at the end of the test.
pub struct Tree {
    pub root: Utf8PathBuf,
    target: Option<Utf8PathBuf>,
    environment: Vec<(String, String)>,
    /// What starts xtask, in place of itself.
    wrapper: Vec<String>,
}

/// What a run of xtask came to.
pub struct Run {
    pub code: Option<i32>,
    pub stdout: String,
    /// With `[ROOT]` for the tree's directory.
    pub stderr: String,
}

impl Tree {
    /// `name` is unique among the tests. Compiles within a second, and needs no registry.
    pub fn small(name: &str) -> Tree {
        let tree = Tree::empty(name);
        tree.copy(&manifest_dir().join("tests/small"), "");
        tree.write("xtask/Cargo.toml", "");
        for shared in ["rust-toolchain.toml", ".cargo/config.toml"] {
            tree.copy_file(&repository().join(shared), shared);
        }
        tree.copy_file(&repository().join("host/sdk/src/abi.rs"), "greeter/sdk/src/abi.rs");
        // A container engine has equal images once: they would go with the first test that ends, here or in another checkout.
        tree.titled(&format!("{name} of {}", repository()))
    }

    /// With this title, which is in the image: trees of one title make one image.
    pub fn titled(self, title: &str) -> Tree {
        let manifest = self.read("Cargo.toml");
        let old = manifest.lines().find(|line| line.starts_with("title = ")).expect("a title");
        self.write("Cargo.toml", &manifest.replace(old, &format!("title = \"{title}\"")));
        self
    }

    /// The tree that this test belongs to, its history too. All copies share a target directory, hence one compilation.
    pub fn real(name: &str) -> Tree {
        let mut tree = Tree::empty(name);
        for entry in fs::read_dir(repository()).expect("the repository") {
            let name = entry.expect("an entry").file_name().into_string().expect("a UTF-8 name");
            if name != "target" {
                tree.copy(&repository().join(&name), &name);
            }
        }
        tree.target = Some(target().join("test"));
        tree
    }

    /// Not optimised, and so compiled in a fraction of the time, where a test is not about what the compiler makes of the code.
    pub fn quick(self) -> Tree {
        self.replace("Cargo.toml", "[profile.release]\n", "[profile.release]\nopt-level = 0\n");
        self
    }

    /// With a target directory of its own, where all is compiled anyway and what others have compiled should stay.
    pub fn apart(mut self, name: &str) -> Tree {
        self.target = Some(target().join("test").join(name));
        self
    }

    fn empty(name: &str) -> Tree {
        let root = Utf8Path::new(env!("CARGO_TARGET_TMPDIR")).join("trees").join(name);
        let _ = fs::remove_dir_all(&root);
        fs::create_dir_all(&root).expect("a directory for the tree");
        let root = root.canonicalize_utf8().expect("the tree's directory");
        Tree { root, target: None, environment: Vec::new(), wrapper: Vec::new() }
    }

    pub fn copy(&self, from: &Utf8Path, to: &str) {
        let skipped = |entry: &walkdir::DirEntry| entry.path().join("CACHEDIR.TAG").is_file();
        for entry in WalkDir::new(from).into_iter().filter_entry(|entry| !skipped(entry)) {
            let entry = entry.expect("an entry");
            let path = Utf8Path::from_path(entry.path()).expect("a UTF-8 path");
            if entry.file_type().is_file() {
                let inside = path.strip_prefix(from).expect("a path inside");
                let to = if inside.as_str().is_empty() { to.into() } else { Utf8Path::new(to).join(inside) };
                self.copy_file(path, to.as_str());
            }
        }
    }

    fn copy_file(&self, from: &Utf8Path, to: &str) {
        let to = self.root.join(to);
        fs::create_dir_all(to.parent().expect("a parent")).expect("a directory");
        fs::copy(from, to).unwrap_or_else(|error| panic!("copying {from}: {error}"));
    }

    pub fn write(&self, path: &str, content: &str) {
        self.write_bytes(path, content.as_bytes());
    }

    pub fn write_bytes(&self, path: &str, content: &[u8]) {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(path, content).expect("a file");
    }

    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.root.join(path)).unwrap_or_else(|error| panic!("reading {path}: {error}"))
    }

    /// Replaces the one place where `from` stands.
    pub fn replace(&self, path: &str, from: &str, to: &str) {
        let content = self.read(path);
        assert_eq!(content.matches(from).count(), 1, "`{from}` in {path}");
        self.write(path, &content.replace(from, to));
    }

    pub fn remove(&self, dir: &str) {
        fs::remove_dir_all(self.root.join(dir)).unwrap_or_else(|error| panic!("removing {dir}: {error}"));
    }

    /// A copy of another plugin under another name.
    pub fn add_plugin(&self, like: &str, name: &str) {
        self.copy(&self.root.join("plugins").join(like), &format!("plugins/{name}"));
        self.replace(
            &format!("plugins/{name}/Cargo.toml"),
            &format!("name = \"{like}\""),
            &format!("name = \"{name}\""),
        );
    }

    /// Copies a directory of the repository into `plugins/`.
    pub fn drop_in(&self, dir: &str) {
        let dir = repository().join(dir);
        self.copy(&dir, &format!("plugins/{}", dir.file_name().expect("a name")));
    }

    pub fn env(mut self, name: &str, value: &str) -> Tree {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// As on a machine that has neither docker nor podman.
    pub fn without_engine(self) -> Tree {
        self.without(&["docker", "podman"])
    }

    /// PATH holds everything but these programs.
    pub fn without(self, programs: &[&str]) -> Tree {
        let dir = self.root.join("xtask/path");
        // Nothing that is compiled.
        self.write("xtask/path/CACHEDIR.TAG", "");
        for from in std::env::split_paths(&std::env::var_os("PATH").expect("PATH")) {
            for entry in fs::read_dir(from).into_iter().flatten().flatten() {
                let name = entry.file_name();
                if !programs.iter().any(|program| name == *program) {
                    // The first directory of PATH that has it wins.
                    let _ = symlink(entry.path(), dir.as_std_path().join(name));
                }
            }
        }
        let path = dir.to_string();
        self.env("PATH", &path)
    }

    /// As a user who is not root.
    pub fn by_a_user(self) -> Tree {
        self.by(&["unshare", "--user", "--map-user=1000", "--map-group=1000", "--"])
    }

    /// xtask is started by this program, which is started by those that were named before.
    pub fn by(mut self, words: &[&str]) -> Tree {
        self.wrapper.extend(words.iter().map(|word| (*word).to_owned()));
        self
    }

    pub fn xtask(&self, args: &[&str]) -> Run {
        let output = self.command(args).output().expect("xtask starts");
        self.masked(output)
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let words = [self.wrapper.clone(), vec![env!("CARGO_BIN_EXE_xtask").to_owned()]].concat();
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).args(args).current_dir(&self.root);
        if matches!(args.first(), Some(&"image" | &"plan")) && !args.contains(&"--engine") {
            command.args(["--engine", "local"]);
        }
        for name in [
            "CARGO_TARGET_DIR",
            "RUSTFLAGS",
            "CARGO_ENCODED_RUSTFLAGS",
            "SOURCE_DATE_EPOCH",
            "RUST_BACKTRACE",
            "CI",
            "RUSTC_BOOTSTRAP",
        ] {
            command.env_remove(name);
        }
        command.envs(self.target.iter().map(|dir| ("CARGO_TARGET_DIR", dir)));
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    pub fn masked(&self, output: Output) -> Run {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8").replace(self.root.as_str(), "[ROOT]");
        Run { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// `image --format json` with these arguments too, which succeeds.
    pub fn image(&self, args: &[&str]) -> Value {
        let run = self.xtask(&[&["image", "--format", "json"], args].concat());
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        serde_json::from_str(&run.stdout).expect("JSON")
    }

    /// A label of the image in the archive.
    pub fn label(&self, name: &str) -> String {
        let archive = format!("oci-archive:{}", self.image_dir().join("greeter.tar"));
        let config: Value = serde_json::from_str(&run("skopeo", &["inspect", "--config", &archive])).expect("JSON");
        config["config"]["Labels"][name].as_str().expect("a label").to_owned()
    }

    /// Commits all of it, in a repository of its own and at one time; the commit's id, which is the same wherever the tree lies.
    pub fn commit(&self) -> String {
        let git = |args: &[&str]| {
            let mut git = Command::new("git");
            git.args(["-C", self.root.as_str(), "-c", "user.name=Test", "-c", "user.email=test@example.org"]);
            git.args(["-c", "commit.gpgSign=false"]).args(args);
            let date = "2024-02-29T12:34:56Z";
            succeed(git.env("GIT_AUTHOR_DATE", date).env("GIT_COMMITTER_DATE", date))
        };
        git(&["init", "--quiet"]);
        git(&["add", "--all"]);
        git(&["commit", "--quiet", "--message", "All of it"]);
        git(&["rev-parse", "HEAD"])
    }

    /// The directory that the build system works in.
    pub fn image_dir(&self) -> Utf8PathBuf {
        self.target.clone().unwrap_or_else(|| self.root.join("target")).join("image")
    }
}

/// Runs xtask, which fails with exactly this, writes nothing to stdout and leaves no image. `UPDATE_EXPECT=1` and
/// `CARGO_WORKSPACE_DIR=$PWD/xtask` in the environment write down what it is now.
pub fn check(tree: &Tree, args: &[&str], expected: Expect) {
    let lock = tree.read("Cargo.lock");
    let run = tree.xtask(args);
    // Whether this machine has docker or podman is no part of an error.
    let lines =
        run.stderr.split_inclusive('\n').filter(|line| !line.starts_with("    Skipping the container engine: "));
    expected.assert_eq(&lines.collect::<String>());
    assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""));
    assert_eq!(tree.read("Cargo.lock"), lock, "Cargo.lock is as it was");
    assert!(!tree.root.join("target/image/greeter.tar").exists() && !tree.root.join("target/image/dist").exists());
}

/// What a program that succeeds wrote to stdout, trimmed.
pub fn run(program: &str, args: &[&str]) -> String {
    succeed(Command::new(program).args(args))
}

fn succeed(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("starting {command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8").trim().to_owned()
}

/// `image` with these arguments fails and leaves no image; what it wrote from the first error on.
pub fn errors(tree: &Tree, args: &[&str]) -> String {
    let run = tree.xtask(&[&["image"], args].concat());
    assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""), "{}", run.stderr);
    assert!(!tree.image_dir().join("greeter.tar").exists(), "no image is left");
    let begin = run.stderr.lines().take_while(|line| !line.starts_with("error")).map(|line| line.len() + 1).sum();
    run.stderr[begin..].to_owned()
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

fn manifest_dir() -> &'static Utf8Path {
    Utf8Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The checkout that the tests belong to.
pub fn repository() -> &'static Utf8Path {
    manifest_dir().parent().expect("the root")
}

/// The names of the plugins in it, sorted.
pub fn plugins() -> Vec<String> {
    let entries = repository().join("plugins").read_dir_utf8().expect("plugins/").map(|entry| entry.expect("an entry"));
    let crates = entries.filter(|entry| entry.path().join("Cargo.toml").is_file());
    let mut names: Vec<String> = crates.map(|entry| entry.file_name().to_owned()).collect();
    names.sort();
    names
}

fn target() -> Utf8PathBuf {
    repository().join("target")
}

/// The digests of an image's layers by name.
pub fn layers(image: &Value) -> Vec<(String, String)> {
    let layers = image["layers"].as_array().expect("layers");
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    layers.iter().map(|layer| (text(&layer["name"]), text(&layer["digest"]))).collect()
}

/// In hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
