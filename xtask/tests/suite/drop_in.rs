//! Crates that were never in the tree, the examples, are dropped into `plugins/` of the real one: no other edit, four more plugins that
//! deliver.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use crate::support::engine::{ALPINE, GNU};
use crate::support::{Tree, layers};
use serde_json::Value;

const IMAGE: &str = "localhost/xtask-test/provost:drop-in";
const CONTAINER: &str = "xtask-test-drop-in";
const WAIT: Duration = Duration::from_secs(30);

fn engine() -> Command {
    let program = std::env::var("XTASK_ENGINE").expect("XTASK_ENGINE is not set; run the tests by `cargo xtask test`");
    Command::new(program)
}

/// Removes what the test leaves in the container engine.
struct Leftovers;

impl Drop for Leftovers {
    fn drop(&mut self) {
        for args in [["rm", "--force", "--volumes", CONTAINER].as_slice(), &["rmi", "--force", IMAGE]] {
            let _ = engine().args(args).output();
        }
    }
}

#[test]
fn a_dropped_in_plugin_is_in_the_next_image() {
    let tree = Tree::real("drop-in");
    let engine = std::env::var("XTASK_ENGINE").expect("XTASK_ENGINE is set");
    let args = ["--tag", IMAGE, "--engine", &engine, "--builder-image", GNU, "--base", ALPINE];
    let before = tree.image(&args);
    let _leftovers = Leftovers;
    for example in ["syslog", "log", "relay", "frames"] {
        tree.drop_in(&format!("examples/{example}"));
    }

    let run = tree.xtask(&[&["image", "--format", "json"], &args[..]].concat());
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let locking: Vec<&str> = run.stderr.lines().filter(|line| line.contains("Locking jiff ")).collect();
    assert!(locking.len() == 1 && locking[0].ends_with(" added, needed by syslog"), "{}", run.stderr);
    let after: Value = serde_json::from_str(&run.stdout).expect("JSON");
    let command = after["plan"]["command"].as_array().expect("a command");
    assert!(command.windows(2).any(|words| words[0] == "--prov" && words[1] == "syslog.prov"), "{command:?}");
    assert_eq!(after["verified"]["said"], "10 plugins loaded, 10 ABI records match, 2 providers valid");
    let added = ["frames.prov", "log.prov", "relay.prov", "syslog.prov"];
    let kept = |name: &str| layers(&before).into_iter().find(|layer| layer.0 == name);
    for (name, digest) in layers(&after).into_iter().filter(|(name, _)| !added.contains(&name.as_str())) {
        assert_eq!(kept(&name).map(|layer| layer.1), Some(digest), "{name}");
    }
    assert_eq!(layers(&after).len(), layers(&before).len() + added.len());
    // On the SDK alone, a plugin adds at most 100 KB to the image.
    let layers = after["layers"].as_array().expect("layers");
    let log = layers.iter().find(|layer| layer["name"] == "log.prov").expect("the plugin's layer");
    for size in ["size", "unpacked"] {
        assert!(log[size].as_u64().expect("bytes") <= 100_000, "{size}: {}", log[size]);
    }
    delivers(&tree);
}

/// Starts the image with its own command; a message goes through each new plugin.
fn delivers(tree: &Tree) {
    let syslog = UdpSocket::bind("127.0.0.1:0").expect("a port");
    syslog.set_read_timeout(Some(WAIT)).expect("a deadline");
    let (relay, posted) = serve(|client| {
        let mut client = BufReader::new(client);
        let mut length = 0;
        for line in client.by_ref().lines().map_while(Result::ok).take_while(|line| !line.is_empty()) {
            if let Some(value) = line.to_lowercase().strip_prefix("content-length: ") {
                length = value.parse().expect("a number");
            }
        }
        let mut body = vec![0; length];
        client.read_exact(&mut body).expect("the body");
        client.into_inner().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").expect("an answer");
        body
    });
    let (frames, framed) = serve(|mut client| {
        let mut length = [0; 4];
        client.read_exact(&mut length).expect("the length");
        let mut rest = vec![0; u32::from_be_bytes(length) as usize];
        client.read_exact(&mut rest).expect("the frame");
        client.write_all(&[0x06]).expect("a confirmation");
        rest
    });
    let config = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n[providers.syslog]\naddress = \"{}\"\n[providers.log]\ngreeting = \"Hello\"\n\
         [providers.relay]\nurl = \"http://{relay}\"\ntopic = \"alerts\"\n[providers.frames]\naddress = \"{frames}\"\n",
        syslog.local_addr().expect("an address")
    );
    fs::write(tree.root.join("config.toml"), config).expect("a configuration");
    let mount = format!("{}:/etc/provost/config.toml:ro", tree.root.join("config.toml"));
    let mut host = engine()
        .args(["run", "--rm", "--name", CONTAINER, "--read-only", "--network", "host", "--volume", &mount, IMAGE])
        .stderr(Stdio::piped())
        .spawn()
        .expect("the container engine starts");
    let mut log = BufReader::new(host.stderr.take().expect("its log")).lines().map_while(Result::ok);
    let line = log.find(|line| line.contains("listening")).expect("a line that says where it listens");
    let listening = line.split("address=").nth(1).and_then(|rest| rest.split(' ').next()).expect("an address");

    for provider in ["frames", "log", "relay", "syslog"] {
        post(listening, &format!(r#"{{"provider":"{provider}","subject":"Dropped","text":"in"}}"#));
    }
    let mut datagram = [0; 1024];
    let size = syslog.recv(&mut datagram).expect("a datagram");
    let datagram = String::from_utf8_lossy(&datagram[..size]);
    assert!(datagram.starts_with("<13>1 ") && datagram.ends_with(" - Dropped in"), "{datagram}");
    let posted: Value = serde_json::from_slice(&posted.recv_timeout(WAIT).expect("a request")).expect("JSON");
    assert_eq!(posted, serde_json::json!({ "topic": "alerts", "title": "Dropped", "message": "in" }));
    // The checksum, then the text.
    assert_eq!(framed.recv_timeout(WAIT).expect("a frame"), [&crc32(b"in").to_be_bytes(), b"in".as_slice()].concat());
    assert!(log.any(|line| line.contains("greeting=\"Hello\" subject=\"Dropped\"")), "the log has the message");

    assert!(
        engine()
            .args(["stop", CONTAINER])
            .stdout(Stdio::null())
            .status()
            .expect("the container engine starts")
            .success()
    );
    assert_eq!(host.wait().expect("its end").code(), Some(0));
}

/// A server for one client: its address, and what `answer` took from the client.
fn serve(answer: impl FnOnce(TcpStream) -> Vec<u8> + Send + 'static) -> (SocketAddr, Receiver<Vec<u8>>) {
    let server = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = server.local_addr().expect("an address");
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let (client, _) = server.accept().expect("a client");
        client.set_read_timeout(Some(WAIT)).expect("a deadline");
        sender.send(answer(client)).expect("the test waits");
    });
    (address, receiver)
}

fn post(listening: &str, body: &str) {
    let length = body.len();
    let mut stream = TcpStream::connect(listening).expect("the host listens");
    stream.set_read_timeout(Some(WAIT)).expect("a deadline");
    write!(
        stream,
        "POST /v1/messages HTTP/1.1\r\nHost: {listening}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{body}"
    )
    .expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 2"), "{body}: {answer}");
}

/// Of IEEE 802.3, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 };
        }
    }
    !crc
}
