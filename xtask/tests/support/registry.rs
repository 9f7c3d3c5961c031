//! A registry on this machine, Debian's docker-registry, and servers that are none.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use super::Tree;

/// Ends with the test.
pub struct Registry {
    server: Child,
    /// `127.0.0.1:PORT`: docker asks a loopback address without TLS.
    pub address: String,
}

impl Registry {
    /// Keeps what it has in the tree's folder.
    pub fn start(tree: &Tree) -> Registry {
        let folder = tree.root.join("registry");
        fs::create_dir_all(&folder).expect("a folder");
        let config = format!(
            "version: 0.1\nlog: {{ level: info }}\nstorage: {{ filesystem: {{ rootdirectory: {folder} }} }}\nhttp: {{ addr: 127.0.0.1:0 }}\n"
        );
        tree.write("registry/config.yml", &config);
        let mut server = Command::new("docker-registry")
            .args(["serve", folder.join("config.yml").as_str()])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("docker-registry starts");
        let mut log = BufReader::new(server.stderr.take().expect("its log")).lines().map_while(Result::ok);
        let line = log.find(|line| line.contains("listening on ")).expect("a line that says where it listens");
        let rest = line.split("listening on ").nth(1).expect("an address");
        let address = rest.split(['"', ' ', ',']).next().expect("an address").to_owned();
        // Read to its end, so that it never waits for a reader.
        std::thread::spawn(move || log.for_each(drop));
        Registry { server, address }
    }
}

impl Registry {
    /// The tree's skopeo asks it without TLS: that stands in a home of the tree's own, Rust's folders stay where they are.
    pub fn trusted_by(&self, tree: Tree) -> Tree {
        let config = format!("[[registry]]\nlocation = \"{}\"\ninsecure = true\n", self.address);
        tree.write("home/.config/containers/registries.conf", &config);
        let home = std::env::var("HOME").expect("HOME");
        let rust = |name: &str, folder: &str| std::env::var(name).unwrap_or_else(|_| format!("{home}/{folder}"));
        let own = tree.root.join("home").into_string();
        let tree = tree.env("RUSTUP_HOME", &rust("RUSTUP_HOME", ".rustup"));
        tree.env("CARGO_HOME", &rust("CARGO_HOME", ".cargo")).env("HOME", &own)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// Takes connections and never answers.
pub fn silent_server() -> (TcpListener, String) {
    let server = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = server.local_addr().expect("an address").to_string();
    (server, address)
}
