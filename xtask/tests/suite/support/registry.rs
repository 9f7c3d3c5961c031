//! A registry on this machine, Debian's docker-registry, and servers that are none.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use super::Tree;

/// Ends with the test.
pub struct Registry {
    server: Child,
    /// `127.0.0.1:PORT`: docker asks a loopback address without TLS.
    pub address: String,
}

impl Registry {
    /// Keeps what it has in the tree's directory.
    pub fn start(tree: &Tree) -> Registry {
        let dir = tree.root.join("registry");
        fs::create_dir_all(&dir).expect("a directory");
        let config = format!(
            "version: 0.1\nlog: {{ level: info }}\nstorage: {{ filesystem: {{ rootdirectory: {dir} }} }}\nhttp: {{ addr: \
             127.0.0.1:0 }}\n"
        );
        tree.write("registry/config.yml", &config);
        let mut server = Command::new("docker-registry")
            .args(["serve", dir.join("config.yml").as_str()])
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
    /// The tree's skopeo asks it without TLS: that stands in a home of the tree's own, Rust's directories stay where they are.
    pub fn trusted_by(&self, tree: Tree) -> Tree {
        let config = format!("[[registry]]\nlocation = \"{}\"\ninsecure = true\n", self.address);
        tree.write("home/.config/containers/registries.conf", &config);
        let home = std::env::var("HOME").expect("HOME");
        let rust = |name: &str, dir: &str| std::env::var(name).unwrap_or_else(|_| format!("{home}/{dir}"));
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

/// What a [`Gate`] refuses.
#[derive(Clone, Copy, PartialEq)]
pub enum Refuses {
    /// Manifests that refer to another one.
    Referrers,
    /// To write a tag that is there.
    SecondTags,
    /// To say what refers to an image, in words that look as if nothing did.
    Lists,
}

/// A server before a registry that refuses something, and passes all else on.
pub struct Gate {
    /// `127.0.0.1:PORT`.
    pub address: String,
}

impl Gate {
    pub fn before(registry: &Registry, refuses: Refuses) -> Gate {
        let server = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = server.local_addr().expect("an address").to_string();
        let registry = registry.address.clone();
        std::thread::spawn(move || {
            for client in server.incoming() {
                let (client, registry) = (client.expect("a connection"), registry.clone());
                // Who goes away in the middle is no error of the server.
                std::thread::spawn(move || drop(pass(client, &registry, refuses)));
            }
        });
        Gate { address }
    }
}

/// One request and its answer.
fn pass(mut client: TcpStream, registry: &str, refuses: Refuses) -> io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let (mut head, mut length) = (Vec::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        if let Some(value) = line.to_lowercase().strip_prefix("content-length: ") {
            length = value.trim().parse().unwrap_or(0);
        }
        if line == "\r\n" {
            break;
        }
        // One request a connection: then the answer ends with it.
        if !line.to_lowercase().starts_with("connection: ") {
            head.push(line);
        }
    }
    let (method, path) = head[0]
        .split_once(' ')
        .map(|(method, rest)| (method, rest.split(' ').next().unwrap_or_default()))
        .unwrap_or_default();
    let (method, path) = (method.to_owned(), path.to_owned());
    let (is_manifest, tag) = (path.contains("/manifests/"), path.rsplit('/').next().unwrap_or_default());
    let mut body = Vec::new();
    if method == "PUT" && is_manifest {
        body.resize(length, 0);
        reader.read_exact(&mut body)?;
    }
    let refused = match refuses {
        Refuses::Referrers => String::from_utf8_lossy(&body).contains("\"subject\"").then_some((
            "400 Bad Request",
            "MANIFEST_INVALID",
            "manifest invalid",
        )),
        Refuses::SecondTags => {
            let is_there = || {
                let url = format!("http://{registry}{path}");
                let accept =
                    "accept: application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json";
                Command::new("curl")
                    .args(["--silent", "--fail", "--head", "--header", accept, &url])
                    .stdout(Stdio::null())
                    .status()
                    .is_ok_and(|status| status.success())
            };
            (!body.is_empty() && !tag.starts_with("sha256:") && is_there()).then_some((
                "400 Bad Request",
                "TAG_INVALID",
                "tag invalid",
            ))
        }
        Refuses::Lists => (method == "GET" && is_manifest && tag.starts_with("sha256-")).then_some((
            "403 Forbidden",
            "DENIED",
            "unknown user, not found",
        )),
    };
    if let Some((status, code, message)) = refused {
        let text = format!("{{\"errors\":[{{\"code\":\"{code}\",\"message\":\"{message}\"}}]}}");
        let answer = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{text}",
            text.len()
        );
        return client.write_all(answer.as_bytes());
    }
    let mut upstream = TcpStream::connect(registry)?;
    upstream.write_all(format!("{}connection: close\r\n\r\n", head.concat()).as_bytes())?;
    upstream.write_all(&body)?;
    let mut up = upstream.try_clone()?;
    std::thread::spawn(move || io::copy(&mut reader, &mut up));
    io::copy(&mut upstream, &mut client)?;
    client.shutdown(std::net::Shutdown::Both)
}

/// Takes connections and never answers.
pub fn silent_server() -> (TcpListener, String) {
    let server = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = server.local_addr().expect("an address").to_string();
    (server, address)
}
