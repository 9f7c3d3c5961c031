//! Programs that benchmarks start.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A server that ends with its value.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
}

impl Server {
    /// Starts it, and waits for the line that says where it listens: `address=IP:PORT`.
    pub fn start(command: &mut Command) -> Server {
        Server::start_with(command, "address=")
    }

    /// The same, where something else stands before the address.
    pub fn start_with(command: &mut Command, before: &str) -> Server {
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the server starts");
        let log = child.stderr.take().expect("its log");
        let mut lines = BufReader::new(log).lines().map_while(Result::ok);
        let address = lines.find_map(|line| {
            let (_, rest) = line.split_once(before)?;
            rest.split(['"', ' ', ',']).next()?.parse().ok()
        });
        // Read to its end, so that it never waits for a reader.
        std::thread::spawn(move || lines.for_each(drop));
        Server { child, address: address.expect("the server says where it listens") }
    }

    /// Its resident memory in KiB.
    pub fn resident(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a process has memory");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a program to its end; its stdout. It sees nothing of the cargo that started this one but where std is, which the build system needs
/// and hides from what it starts.
pub fn output(dir: &Path, program: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CARGO") && name != "CARGO_HOME") {
        command.env_remove(name);
    }
    command.current_dir(dir).args(arguments);
    if program == Path::new("docker") {
        // Its older builder knows no cache mounts.
        command.env("DOCKER_BUILDKIT", "1");
    }
    let output = command.output().unwrap_or_else(|error| panic!("starting {}: {error}", program.display()));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{} {}: {stderr}", program.display(), arguments.join(" "));
    String::from_utf8(output.stdout).expect("UTF-8").trim().to_owned()
}
