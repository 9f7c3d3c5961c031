//! DOCKER_HOST names a daemon on a port, which shares no image and no volume with the client's own: nothing is mounted from
//! here, so that makes no difference.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use crate::support::Tree;
use crate::support::engine::{ALPINE, Engine, GNU, GREETINGS, Leftovers};
use camino::Utf8PathBuf;

const NAME: &str = "localhost/xtask-test/greeter:another-daemon";

/// A second docker daemon with nothing in it; all that it made is gone when it is dropped.
struct Daemon {
    process: Child,
    dir: Utf8PathBuf,
    address: String,
}

impl Daemon {
    fn start() -> Daemon {
        // A short path: containerd's sockets lie in it.
        let dir = tempfile::tempdir().expect("a directory for the daemon").keep();
        let dir = Utf8PathBuf::from_path_buf(dir).expect("a UTF-8 path");
        // Else it would read the machine's own configuration, whose settings are the first daemon's.
        fs::write(dir.join("daemon.json"), "{}").expect("the daemon's configuration");
        // The first daemon's bridge, which no container here uses: one without a bridge would remove it.
        let name = r#"{{index .Options "com.docker.network.bridge.name"}}"#;
        let bridge = Engine::docker().read(&["network", "inspect", "bridge", "--format", name]);
        let mut command = Command::new("dockerd");
        command.args(["--host", "tcp://127.0.0.1:0", "--tls=false", "--bridge", &bridge, "--iptables=false"]);
        for (option, file) in [
            ("--config-file", "daemon.json"),
            ("--data-root", "data"),
            ("--exec-root", "exec"),
            ("--pidfile", "docker.pid"),
        ] {
            command.arg(option).arg(dir.join(file));
        }
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
        let mut daemon = Daemon { process: process.expect("dockerd starts"), dir, address: String::new() };
        daemon.address = format!("tcp://{}", daemon.listening());
        daemon
    }

    /// Waits until it says where.
    fn listening(&mut self) -> String {
        let mut log = BufReader::new(self.process.stderr.take().expect("its log"));
        let mut said = String::new();
        while !said.contains("API listen on ") {
            assert!(log.read_line(&mut said).expect("UTF-8") > 0, "dockerd does not listen:\n{said}");
        }
        // It must be able to write on, and nobody wants to know.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        let (_, address) = said.split_once("API listen on ").expect("an address");
        address.split(['"', '\n', ' ']).next().expect("an address").to_owned()
    }

    /// Brings images over from the client's own daemon.
    fn take(&self, images: &[&str]) {
        let mut save = Engine::docker().command(&[&["save"], images].concat());
        let mut save = save.stdout(Stdio::piped()).spawn().expect("docker starts");
        let mut load = Engine::docker_at(&self.address).command(&["load"]);
        let load = load.stdin(save.stdout.take().expect("its stdout")).output().expect("docker starts");
        assert!(load.status.success(), "{}", String::from_utf8_lossy(&load.stderr));
        assert!(save.wait().expect("docker ends").success());
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // By its own signal: then its containers and its containerd end too.
        let _ = Command::new("sh").args(["-c", &format!("kill -TERM {}", self.process.id())]).status();
        let _ = self.process.wait();
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let mounted = mounts.lines().filter_map(|line| line.split(' ').nth(1));
        for dir in mounted.filter(|dir| dir.starts_with(self.dir.as_str())) {
            let _ = Command::new("umount").args(["--lazy", dir]).status();
        }
        let _ = fs::remove_dir_all(&self.dir);
    }
}

#[test]
fn the_daemon_that_docker_host_names_makes_the_same_image() {
    let args = ["--engine", "docker", "--builder-image", GNU, "--base", ALPINE, "--tag", NAME];
    let first = Engine::docker();
    let tree = Tree::small("first-daemon").titled("Daemon");
    let _leftovers = Leftovers::new(&first, &tree, NAME);
    let expected = tree.image(&args);

    let daemon = Daemon::start();
    let second = Engine::docker_at(&daemon.address);
    daemon.take(&[GNU, ALPINE]);
    // Another tree: this one's image is known, and would not be compiled again.
    let tree = Tree::small("another-daemon").titled("Daemon").env("DOCKER_HOST", &daemon.address);
    let image = tree.image(&args);
    assert_eq!(image["manifest_digest"], expected["manifest_digest"]);
    assert_eq!(image["loaded_into"], "docker");
    assert_eq!(second.run(NAME), GREETINGS);
    second.no_container_is_left(&tree);
    assert_eq!(second.volumes(&tree).len(), 1);
    assert!(first.volumes(&tree).is_empty(), "the first daemon has no part in it");
}
