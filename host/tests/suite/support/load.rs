//! What a host has to stand: panics in great number, and bodies cut into small chunks.

use super::{client, metrics, print};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::task::JoinSet;

/// What panics in a delivery or beside it, how often it counts for each message, and what its caller is told.
const BEHAVIOURS: [(&str, usize, u16); 7] = [
    ("panic-before-await", 1, 500),
    ("panic-after-await", 1, 500),
    ("panic-with-unruly-payload", 2, 500),
    ("panic-in-drop", 1, 500),
    (GIVEN_UP, 0, 504),
    ("panic-in-task", 1, 200),
    ("panic-in-bare-task", 1, 200),
];

/// Panics a moment after its caller was told, and never if it was given up before it began: it is not counted here.
const GIVEN_UP: &str = "panic-when-given-up";

/// As many messages are under way at a time.
const SENDERS: usize = 8;

/// What the host's memory may grow by, in KiB, with the panics below: what allocators keep by chance is far less, and a
/// leak of 840 bytes at each of 10,000 is more.
const NOISE: u64 = 8 * 1024;

/// The providers that panic, each with a place for every message, and never spared: each message is to panic.
pub fn providers() -> String {
    let provider = |(behaviour, ..): (&str, usize, u16)| {
        format!(
            "[providers.{behaviour}]\nplugin = \"unruly\"\nbehaviour = \"{behaviour}\"\nconcurrency = 10000\n\
            circuit = {{ failures = 0 }}\n{}",
            if behaviour == GIVEN_UP { "timeout = \"10ms\"\n" } else { "" }
        )
    };
    BEHAVIOURS.map(provider).concat()
}

/// Lets the host at `address`, which is the process `id`, panic more than 10,000 times after 1,000 that warm it up; each
/// is answered and counted, and leaves nothing behind.
pub async fn ten_thousand_panics(address: &str, id: &str) {
    panics(address, 1_200).await;
    let before = resident(id);
    panics(address, 12_000).await;
    let after = resident(id);
    print(&format!("resident memory before and after: {before} KiB, {after} KiB"));
    assert!(after < before + NOISE, "{before} KiB grew to {after} KiB");
}

/// Sends `count` messages.
async fn panics(address: &str, count: usize) {
    let before = counted(address).await;
    let (next, client, mut senders) = (Arc::new(AtomicUsize::new(0)), client(), JoinSet::new());
    for _ in 0..SENDERS {
        let (next, client, url) = (Arc::clone(&next), client.clone(), format!("{address}/v1/messages"));
        senders.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return;
                }
                let (provider, _, expected) = BEHAVIOURS[number % BEHAVIOURS.len()];
                let message = json!({ "provider": provider, "text": "a" });
                let response = client.post(&url).json(&message).send().await.expect("the host lives");
                assert_eq!(response.status(), expected, "{provider}");
                // Else its connection is not used again.
                response.bytes().await.expect("the answer is whole");
            }
        });
    }
    senders.join_all().await;
    let expected: usize = (0..count).map(|number| BEHAVIOURS[number % BEHAVIOURS.len()].1).sum();
    assert_eq!(counted(address).await - before, expected);
}

/// How many panics the host has counted.
async fn counted(address: &str) -> usize {
    let text = metrics(&format!("{address}/metrics")).await;
    let is_counted = |line: &&str| line.starts_with("provost_panics_total{") && !line.contains(GIVEN_UP);
    let lines = text.lines().filter(is_counted);
    lines.map(|line| line.rsplit(' ').next().and_then(|count| count.parse::<usize>().ok()).expect("a number")).sum()
}

/// The memory of the process `id` that is not swapped out, in KiB.
fn resident(id: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("the host runs on this machine");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a process has memory");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// A request with this message, each byte of which is a chunk of its own.
pub fn in_small_chunks(message: &str) -> Vec<u8> {
    let mut request =
        b"POST /v1/messages HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-type: application/json\r\n\
        transfer-encoding: chunked\r\n\r\n"
            .to_vec();
    message.bytes().for_each(|byte| request.extend([b'1', b'\r', b'\n', byte, b'\r', b'\n']));
    request.extend(b"0\r\n\r\n");
    request
}
