//! The built host under load for a minute, with providers that fail, are late and panic, with hostile clients, and with
//! its configuration read again and again: every other caller gets the right answer, and nothing is left behind.
//!
//! With `cargo xtask test --long` it takes ten minutes, except in CI. `PROVOST_SOAK_MINUTES` says how many, and `PROVOST_SOAK_SEED` repeats
//! the choices of an earlier run.

mod callers;
mod hostile;
mod process;

use crate::support::{Host, digest, dir, print, signal};
use process::Process;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::task::JoinSet;

/// Well-behaved callers, and others, at a time.
const CALLERS: u64 = 8;
const HOSTILE: u64 = 12;

const RELOADED: Duration = Duration::from_secs(2);

/// What the host's memory may grow by after the first quarter, in KiB. Allocators keep that much by chance; a leak of a
/// kilobyte for each message, or of a thread's heap for each reading of the configuration, is more. The idempotency
/// keys that the host remembers are no part of it: the first quarter sends more messages than it may remember.
const NOISE: u64 = 8 * 1024;

const TOKEN: &str = "soak";
const HOSTILE_TOKEN: &str = "hostile";

/// What each line of the log with a warning or an error may say, after the module that says it.
const EXPECTED: [&str; 6] = [
    ": not delivered ",
    ": panic: as configured: after an await ",
    ": the circuit is open: too many deliveries in a row failed ",
    ": request refused ",
    ": connection closed: too many are open ",
    ": connection closed: its answers were not read within `server.request_timeout` ",
];

/// The time for a request is longer than any machine keeps a caller waiting. Hostile clients have another address, so that
/// `server.peer_connections_limit` keeps them from the callers' share.
fn config(file: &Path) -> String {
    let unruly = |name: &str, behaviour: &str, more: &str| {
        format!("[providers.{name}]\nplugin = \"unruly\"\nbehaviour = \"{behaviour}\"\n{more}")
    };
    let never_spared = "circuit = { failures = 0 }\n";
    let providers = [
        format!("[providers.file]\npath = {file:?}\n"),
        unruly("slow", "answer-late", "concurrency = 64\n"),
        unruly("late", "never-answer", &format!("timeout = \"100ms\"\nconcurrency = 64\n{never_spared}")),
        unruly(
            "failing",
            "fail-for-now",
            &format!("retry = {{ attempts = 3, first_delay = \"1ms\" }}\n{never_spared}"),
        ),
        unruly("broken", "fail-for-now", "circuit = { failures = 5, open_for = \"200ms\" }\n"),
        unruly("refusing", "refuse", ""),
        unruly("panicking", "panic-after-await", never_spared),
        unruly("paced", "answer-late", "rate = 20\nqueue = 2\n"),
    ];
    format!(
        "request_timeout = \"5s\"\npeer_connections_limit = 64\nidempotency_limit = 1000\nmemory_limit = 8388608\n\
         [clients.soak]\ntokens = [\"{}\"]\n[clients.hostile]\ntokens = [\"{}\"]\nproviders = [\"slow\"]\n{}",
        digest(TOKEN),
        digest(HOSTILE_TOKEN),
        providers.concat()
    )
}

/// Numbers that look random, by xorshift: <https://www.jstatsoft.org/article/view/v008i14>.
struct Random(u64);

impl Random {
    fn new(seed: u64, task: u64) -> Self {
        Self((seed ^ task.wrapping_mul(0x9e37_79b9_7f4a_7c15)).max(1))
    }

    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

fn variable(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is no whole number")))
}

/// What the callers of a part of the test have done.
#[derive(Default)]
struct Done {
    /// The ids of messages that the file has by what its callers were told.
    delivered: Vec<String>,
    /// How often each was done.
    counts: BTreeMap<&'static str, u64>,
}

/// Lets everybody come until `end`.
async fn load(host: &Host, seed: u64, end: Instant) -> Done {
    let (mut callers, mut others) = (JoinSet::new(), JoinSet::new());
    for task in 0..CALLERS {
        callers.spawn(callers::call(host.address, Random::new(seed, task), task, end));
    }
    for task in CALLERS..CALLERS + HOSTILE {
        others.spawn(hostile::disturb(host.address, Random::new(seed, task), end));
    }
    while Instant::now() < end {
        tokio::time::sleep(RELOADED).await;
        signal(host.process(), "HUP");
    }
    let mut done = Done::default();
    for part in callers.join_all().await {
        done.delivered.extend(part.delivered);
        part.counts.into_iter().for_each(|(what, count)| *done.counts.entry(what).or_default() += count);
    }
    for counts in others.join_all().await {
        counts.into_iter().for_each(|(what, count)| *done.counts.entry(what).or_default() += count);
    }
    // The threads that writing to the file took stay with their provider for a minute; a new one has none of them.
    signal(host.process(), "HUP");
    done
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn everything_at_once_leaves_nothing_behind() {
    let usual = if std::env::var_os("XTASK_LONG").is_some() { 10 } else { 1 };
    let minutes = variable("PROVOST_SOAK_MINUTES").unwrap_or(usual);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs();
    let seed = variable("PROVOST_SOAK_SEED").unwrap_or(now);
    print(&format!("PROVOST_SOAK_MINUTES={minutes} PROVOST_SOAK_SEED={seed}"));
    let dir = dir();
    let file = dir.path().join("messages.jsonl");
    let host = Host::start_with(&config(&file), |command| {
        command.args(["--prov", "unruly.prov"]);
    });
    let process = Process(host.process());
    let begin = process.figures();

    let quarter = Duration::from_secs(minutes * 15);
    let warm = load(&host, seed, Instant::now() + quarter).await;
    let before = process.idle(&begin).await;
    let done = load(&host, seed + 1, Instant::now() + 3 * quarter).await;
    let after = process.idle(&begin).await;
    print(&format!("at the start {begin}; after a quarter {before}; at the end {after}; {:?}", done.counts));
    assert!(after.memory < before.memory + NOISE, "{before} grew to {after}");

    host.terminate();
    let (status, log) = host.wait();
    assert_eq!(status.code(), Some(0), "{}", last(&log));
    check_file(&file, warm.delivered.into_iter().chain(done.delivered));
    let alarms = log.lines().filter(|line| line.contains(" WARN ") || line.contains("ERROR "));
    let others: Vec<&str> = alarms.filter(|line| !EXPECTED.iter().any(|text| line.contains(text))).collect();
    assert!(
        others.is_empty(),
        "{} lines of the log are not expected: {:?}",
        others.len(),
        &others[..others.len().min(9)]
    );
}

/// Each message that was delivered is in the file once, whole, and no other is.
fn check_file(file: &Path, delivered: impl Iterator<Item = String>) {
    let text = std::fs::read_to_string(file).expect("it was written");
    assert!(text.ends_with('\n'), "its last line is torn");
    let mut there = BTreeSet::new();
    for line in text.lines() {
        let message: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line}"));
        let id = message["id"].as_str().expect("each message has an id").to_owned();
        assert!(there.insert(id), "twice: {line}");
    }
    let delivered: BTreeSet<String> = delivered.collect();
    let missing: Vec<&String> = delivered.difference(&there).collect();
    let others: Vec<&String> = there.difference(&delivered).collect();
    assert_eq!((missing, others), (Vec::new(), Vec::new()), "not in the file, and not delivered");
}

/// The end of a long text.
fn last(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}
