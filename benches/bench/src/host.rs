//! Requests through the host to a plugin that does nothing, against axum alone. Both run on this machine, as does what asks them, in turns;
//! with a container engine also the host of its image, by which the C library is compared.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::process::Server;
use crate::report::{Bound, Report};
use crate::statistics::{median, percentile};
use crate::tree::Tree;
use crate::{Places, bare, load};

/// How many connections ask at a time, how long, and how often in turns. One alone says what the host adds to a request: of several, each
/// waits for its turn behind the others.
const CONNECTIONS: usize = 16;
const TIME: Duration = Duration::from_secs(3);
const TIME_ALONE: Duration = Duration::from_secs(1);
const ROUNDS: usize = 5;

const BODY: &str = r#"{"provider": "noop", "to": ["bob@example.org"], "subject": "Hello", "text": "World"}"#;

#[derive(Default)]
struct Figures {
    rate: Vec<f64>,
    half: Vec<f64>,
    most: Vec<f64>,
    nearly_all: Vec<f64>,
    alone: Vec<f64>,
}

const IMAGE: &str = "localhost/provost-bench:host";

pub fn measure(places: &Places, engine: &str, options: &[String], report: &mut Report) {
    let dist = load::dist(places);
    let dir = tempfile::tempdir().expect("a temporary directory");
    let config = dir.path().join("config.toml");
    let text = "[server]\nlisten = \"127.0.0.1:0\"\n[providers.noop]\nconcurrency = 1000\n";
    std::fs::write(&config, text).expect("a temporary file");
    let mut host = Command::new(dist.join("provost"));
    host.env_clear().current_dir(&dist).arg("--config").arg(&config).args(["--prov", "noop.prov"]);
    let host = Server::start(&mut host);
    let unpacked = (engine != "local").then(|| unpacked(places, engine, options, dir.path()));
    let program = std::env::current_exe().expect("this program has a path");
    let axum = Server::start(Command::new(program).arg(bare::ARGUMENT));

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let in_image = format!("host of its image ({engine})");
    let mut servers = vec![("axum alone", &axum), ("host behind a plugin that does nothing", &host)];
    servers.extend(unpacked.iter().map(|server| (in_image.as_str(), server)));
    let mut figures: Vec<Figures> = servers.iter().map(|_| Figures::default()).collect();
    for _ in 0..ROUNDS {
        for ((_, server), figures) in servers.iter().zip(&mut figures) {
            figures.add(runtime.block_on(ask(server.address, CONNECTIONS, TIME)));
            figures.alone.push(percentile(&runtime.block_on(ask(server.address, 1, TIME_ALONE)), 0.5));
        }
    }
    let figures: Vec<[f64; 5]> = figures.into_iter().map(Figures::medians).collect();
    for ((name, _), [rate, half, most, nearly_all, alone]) in servers.iter().zip(&figures) {
        report.row(&format!("host: {name}"), *rate, "requests/s", None);
        report.row(&format!("host: {name}, p50"), *half, "us", None);
        report.row(&format!("host: {name}, p99"), *most, "us", None);
        report.row(&format!("host: {name}, p99.9"), *nearly_all, "us", None);
        report.row(&format!("host: {name}, p50 of one connection alone"), *alone, "us", None);
    }
    let axum = figures[0];
    for ((name, _), host) in servers.iter().zip(&figures).skip(1) {
        report.row(
            &format!("{name}: requests per second / axum alone"),
            host[0] / axum[0],
            "",
            Some(Bound::AtLeast(0.7)),
        );
        let added = host[4] - axum[4];
        report.row(&format!("{name}: added to a request at p50, alone"), added, "us", Some(Bound::AtMost(25.0)));
        let share = (host[1] - axum[1]) / CONNECTIONS as f64;
        report.row(&format!("{name}: added to a request at p50, its share of {CONNECTIONS}"), share, "us", None);
    }
}

/// The host of an image, with its base's C library, but not in a container: that is a group of its own to the scheduler, and has more of the
/// processors than a server that shares a group with its client (1.12 times as many requests by the same files).
fn unpacked(places: &Places, engine: &str, options: &[String], dir: &Path) -> Server {
    let noop = places.root.join("benches/noop");
    let tree = Tree::new(places, "host-image");
    let mut args = vec!["image", "--engine", engine, "--tag", IMAGE, "--with", noop.to_str().expect("UTF-8")];
    args.extend(options.iter().map(String::as_str));
    tree.output(&places.xtask, &args);
    let (root, archive) = (dir.join("root"), dir.join("root.tar"));
    std::fs::create_dir(&root).expect("a temporary directory");
    let (to, from) = (root.to_str().expect("UTF-8"), archive.to_str().expect("UTF-8"));
    let container = tree.output(Path::new(engine), &["create", IMAGE]);
    tree.output(Path::new(engine), &["export", "--output", from, &container]);
    tree.output(Path::new(engine), &["rm", &container]);
    tree.output(Path::new(engine), &["rmi", "--force", IMAGE]);
    tree.output(Path::new("tar"), &["-xf", from, "-C", to]);
    std::fs::copy(dir.join("config.toml"), root.join("config.toml")).expect("a temporary file");
    let mut host = Command::new("unshare");
    host.env_clear().args(["--user", "--map-root-user", "--root", to, "--wd", "/provost"]);
    // It reads its own file by /proc.
    host.args(["--pid", "--fork", "--kill-child", "--mount-proc"]);
    host.args(["./provost", "--config", "/config.toml", "--prov", "noop.prov"]);
    Server::start(&mut host)
}

impl Figures {
    fn add(&mut self, microseconds: Vec<u32>) {
        self.rate.push(microseconds.len() as f64 / TIME.as_secs_f64());
        self.half.push(percentile(&microseconds, 0.5));
        self.most.push(percentile(&microseconds, 0.99));
        self.nearly_all.push(percentile(&microseconds, 0.999));
    }

    fn medians(self) -> [f64; 5] {
        [self.rate, self.half, self.most, self.nearly_all, self.alone].map(median)
    }
}

/// How many microseconds each request took, sorted.
async fn ask(address: SocketAddr, connections: usize, time: Duration) -> Vec<u32> {
    let mut asking = JoinSet::new();
    let end = Instant::now() + time;
    for _ in 0..connections {
        asking.spawn(connection(address, end));
    }
    let mut microseconds = asking.join_all().await.concat();
    microseconds.sort_unstable();
    microseconds
}

async fn connection(address: SocketAddr, end: Instant) -> Vec<u32> {
    let mut stream = TcpStream::connect(address).await.expect("the server listens");
    stream.set_nodelay(true).expect("a socket");
    let request = format!(
        "POST /v1/messages HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{BODY}",
        BODY.len()
    );
    let (mut times, mut buffer) = (Vec::new(), vec![0; 4096]);
    while Instant::now() < end {
        let begin = Instant::now();
        stream.write_all(request.as_bytes()).await.expect("the server reads");
        let mut length = 0;
        while !is_whole(&buffer[..length]) {
            let read = stream.read(&mut buffer[length..]).await.expect("the server answers");
            assert!(read > 0, "the server closed the connection");
            length += read;
        }
        assert!(buffer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&buffer[..length]));
        times.push(begin.elapsed().as_micros() as u32);
    }
    times
}

/// Whether an answer has come with its whole body.
fn is_whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    body.len() >= length.expect("the answer says how long it is")
}
