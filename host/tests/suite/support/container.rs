//! The image `XTASK_IMAGE`, started by `XTASK_ENGINE`, docker or podman, with its own command.

use super::{PATIENCE, address};
use std::fs::{Permissions, set_permissions};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run `cargo xtask test`"))
}

/// Runs the runtime and returns what it printed.
fn runtime(arguments: &[&str]) -> String {
    let program = variable("XTASK_ENGINE");
    let output = Command::new(&program).args(arguments).output().expect("the runtime starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {}: {}\n{stderr}", arguments.join(" "), output.status);
    String::from_utf8(output.stdout).expect("a runtime prints text").trim().to_owned()
}

/// A container, removed with its volumes when it is dropped.
pub struct Container {
    id: String,
}

impl Container {
    /// Makes a container, with files of the test's own at these places in the image, and these variables.
    pub fn create(files: &[(&Path, &str)], environment: &[&str]) -> Self {
        Self::create_with(&[], files, environment)
    }

    /// The same with more options for the runtime.
    pub fn create_with(options: &[&str], files: &[(&Path, &str)], environment: &[&str]) -> Self {
        let image = variable("XTASK_IMAGE");
        let mut arguments = vec!["create", "--read-only", "--network", "host"];
        arguments.extend(options);
        let mounts: Vec<String> = files.iter().map(|(from, to)| mount(from, to)).collect();
        arguments.extend(mounts.iter().flat_map(|mount| ["--mount", mount]));
        arguments.extend(environment.iter().flat_map(|variable| ["--env", variable]));
        arguments.push(&image);
        Self { id: runtime(&arguments) }
    }

    /// Starts it, and returns where the host says that it listens.
    pub fn start(&self) -> SocketAddr {
        runtime(&["start", &self.id]);
        let mut logs = Command::new(variable("XTASK_ENGINE"))
            .args(["logs", "--follow", &self.id])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the runtime starts");
        let stderr = logs.stderr.take().expect("it was asked for");
        let mut log = String::new();
        let found = BufReader::new(stderr).lines().map_while(Result::ok).find_map(|line| {
            log += &(line.clone() + "\n");
            address(&line)
        });
        // Following would only end with the container.
        let _ = logs.kill();
        let _ = logs.wait();
        found.unwrap_or_else(|| panic!("the host ended before it listened:\n{log}"))
    }

    /// Starts it, waits for its end, and returns its exit code and what the host wrote to stderr.
    pub async fn run(&self) -> (Option<i32>, String) {
        let mut start = tokio::process::Command::new(variable("XTASK_ENGINE"));
        let run = start.args(["start", "--attach", &self.id]).stdin(Stdio::null()).kill_on_drop(true).output();
        let output = tokio::time::timeout(PATIENCE, run).await.expect("the host stops").expect("the runtime starts");
        (output.status.code(), String::from_utf8(output.stderr).expect("a host writes text"))
    }

    /// What the runtime says of it, by a template.
    pub fn inspect(&self, format: &str) -> String {
        runtime(&["inspect", "--format", format, &self.id])
    }

    /// Runs another command in it, which succeeds.
    pub fn execute(&self, command: &[&str]) {
        runtime(&[&["exec", &self.id], command].concat());
    }

    /// Copies one of its files into `dir`, and returns what it holds.
    pub fn read(&self, path: &str, dir: &Path) -> String {
        let copy = dir.join("copied");
        runtime(&["cp", &format!("{}:{path}", self.id), copy.to_str().expect("a temporary directory's name is text")]);
        std::fs::read_to_string(copy).expect("it was copied")
    }

    /// Sends a signal to the host.
    pub fn signal(&self, name: &str) {
        runtime(&["kill", "--signal", name, &self.id]);
    }

    /// Tells the host to end, and checks that it did so in order.
    pub fn stop(self) {
        runtime(&["stop", &self.id]);
        assert_eq!(self.inspect("{{.State.ExitCode}}"), "0");
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // After a failed test too; nothing more can be done when this fails.
        let _ = Command::new(variable("XTASK_ENGINE")).args(["rm", "--volumes", "--force", &self.id]).output();
    }
}

/// Runs another command in the image, with a directory of the test's own in it; what came of it.
pub fn started_with(dir: &Path, to: &str, command: &[&str]) -> Output {
    let mount = format!("type=bind,source={},target={to},readonly", dir.display());
    Command::new(variable("XTASK_ENGINE"))
        .args(["run", "--rm", "--read-only", "--network", "none", "--mount", &mount, &variable("XTASK_IMAGE")])
        .args(command)
        .output()
        .expect("the runtime starts")
}

/// The file and its directory are made readable for the image's user.
fn mount(from: &Path, to: &str) -> String {
    let dir = from.parent().expect("a file is in a directory");
    for (path, mode) in [(dir, 0o755), (from, 0o644)] {
        set_permissions(path, Permissions::from_mode(mode)).expect("a file of the test's own");
    }
    format!("type=bind,source={},target={to},readonly", from.display())
}
