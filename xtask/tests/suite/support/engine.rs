//! Docker or podman as the tests use it, and what a tree leaves in it.

use std::process::Command;

use camino::Utf8Path;
use sha2::{Digest, Sha256};

use super::{Tree, run};

pub const GNU: &str = "localhost/standin/rust-gnu:1.95.0";
pub const MUSL: &str = "localhost/standin/rust-musl:latest";

/// The same without std as a shared library.
pub const MUSL_RLIB: &str = "localhost/standin/rust-musl-rlib:latest";
pub const ALPINE: &str = "alpine:3.23";

/// A builder that compiles for another architecture too, and Alpine for that.
pub const CROSS: &str = "localhost/standin/rust-cross:latest";
pub const ALPINE_ARM64: &str = "localhost/standin/alpine-arm64:3.23";

/// What an image of the small tree says when it starts.
pub const GREETINGS: &str = "tone = \"polite\"\ngoodbye\nhello";

/// A client, and the daemon that it talks to.
#[derive(Clone)]
pub struct Engine {
    pub program: String,
    /// The daemon's address, if it is not the client's own choice.
    host: Option<String>,
}

impl Engine {
    /// The one that `cargo xtask test` found.
    pub fn found() -> Engine {
        let program =
            std::env::var("XTASK_ENGINE").expect("XTASK_ENGINE is not set; run the tests by `cargo xtask test`");
        Engine { program, host: None }
    }

    pub fn docker() -> Engine {
        Engine { program: "docker".to_owned(), host: None }
    }

    pub fn podman() -> Engine {
        Engine { program: "podman".to_owned(), host: None }
    }

    pub fn docker_at(host: &str) -> Engine {
        Engine { host: Some(host.to_owned()), ..Engine::docker() }
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(self.host.iter().flat_map(|host| ["--host", host])).args(args);
        command
    }

    /// What it wrote to stdout, trimmed.
    pub fn read(&self, args: &[&str]) -> String {
        let output = self.command(args).output().expect("the container engine starts");
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8").trim().to_owned()
    }

    /// Starts an image with its own command; what it said.
    pub fn run(&self, image: &str) -> String {
        self.read(&["run", "--rm", "--read-only", "--network", "none", image])
    }

    pub fn containers(&self, tree: &Tree) -> Vec<String> {
        self.list(&["ps", "--all"], &filter(tree))
    }

    pub fn volumes(&self, tree: &Tree) -> Vec<String> {
        self.list(&["volume", "ls"], &filter(tree))
    }

    fn list(&self, command: &[&str], filter: &str) -> Vec<String> {
        let ids = self.read(&[command, &["--quiet", "--filter", filter]].concat());
        ids.lines().map(str::to_owned).collect()
    }

    pub fn no_container_is_left(&self, tree: &Tree) {
        assert!(self.containers(tree).is_empty(), "a container is left");
        assert!(!self.volumes(tree).is_empty(), "it is the label that is used");
    }
}

/// What containers and volumes of a tree are known by.
pub fn filter(tree: &Tree) -> String {
    filter_of(&tree.image_dir())
}

/// The same of another directory that is built in.
pub fn filter_of(dir: &Utf8Path) -> String {
    format!("label=xtask.checkout={}", hashed(dir.as_str()))
}

/// The label of what this machine started, since it was started itself.
pub fn machine() -> String {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("Linux has it");
    let processes = std::fs::read_link("/proc/self/ns/pid").expect("Linux has it");
    format!("xtask.machine={}", hashed(&format!("{} {} {}", run("uname", &["-n"]), boot.trim(), processes.display())))
}

fn hashed(text: &str) -> String {
    Sha256::digest(text).iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

/// What a test leaves in the container engine: removed when it ends, even where it failed.
pub struct Leftovers<'a> {
    engine: Engine,
    image: &'a str,
    filter: String,
}

impl<'a> Leftovers<'a> {
    pub fn new(engine: &Engine, tree: &Tree, image: &'a str) -> Leftovers<'a> {
        Leftovers { engine: engine.clone(), image, filter: filter(tree) }
    }
}

impl Drop for Leftovers<'_> {
    fn drop(&mut self) {
        for container in self.engine.list(&["ps", "--all"], &self.filter) {
            let _ = self.engine.command(&["rm", "--force", &container]).output();
        }
        for volume in self.engine.list(&["volume", "ls"], &self.filter) {
            let _ = self.engine.command(&["volume", "rm", &volume]).output();
        }
        let _ = self.engine.command(&["rmi", "--force", self.image]).output();
    }
}
