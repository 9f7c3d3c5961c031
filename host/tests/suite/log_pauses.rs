//! What the built host would log too often: one line a second, which says how many more there were since the one before.

use crate::support::Host;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// How often there is a line.
const PAUSE: Duration = Duration::from_secs(1);

/// Sends messages that fail one after the other, more than a second long. Returns how many, and how long it took.
async fn flood(host: &Host, message: impl Fn(u64) -> Value, status: u16) -> (u64, Duration) {
    let begun = Instant::now();
    assert_eq!(host.send(message(1)).await.0, status);
    let (logged, mut sent) = (Instant::now(), 1);
    loop {
        // Of the last one, or of one in the second before it, there is a line beside the first.
        let is_last = logged.elapsed() >= PAUSE;
        sent += 1;
        assert_eq!(host.send(message(sent)).await.0, status);
        if is_last {
            return (sent, begun.elapsed());
        }
    }
}

/// Each line is of the message with this number, and names as many more as there were since the line before.
fn check(lines: &[(u64, u64)], sent: u64, took: Duration) {
    assert!(lines.len() > 1, "{lines:?} for {sent} messages");
    let mut before = 0;
    for (number, more) in lines {
        assert_eq!(before + more + 1, *number, "{lines:?}");
        before = *number;
    }
    assert!(before <= sent, "{lines:?} for {sent} messages");
    assert!(lines.len() as u64 <= took.as_secs() + 1, "{lines:?} in {took:?}");
}

/// The first number in a field of each line that says `message`, and how many more there were.
fn numbers(log: &str, message: &str, field: &str) -> Vec<(u64, u64)> {
    let number = |line: &Value| {
        let text = line[field].as_str().expect("it is text");
        let digits = text.split(|letter: char| !letter.is_ascii_digit()).find(|digits| !digits.is_empty());
        digits.and_then(|digits| digits.parse::<u64>().ok()).expect("a number")
    };
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line is JSON"));
    let lines = lines.filter(|line| line["message"] == message);
    lines.map(|line| (number(&line), line["more"].as_u64().unwrap_or(0))).collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn failures_and_refusals_are_summed_up() {
    let full = "[providers.full]\nplugin = \"file\"\npath = \"/dev/full\"\ncircuit = { failures = 0 }\n";
    let host = Host::start(&format!("[log]\nformat = \"json\"\n{full}"));
    let failing = |number: u64| json!({ "provider": "full", "id": number.to_string(), "text": "a" });
    let refused = |number: u64| json!({ "provider": format!("none-{number}"), "text": "a" });
    let (failures, failed_for) = flood(&host, failing, 503).await;
    let (refusals, refused_for) = flood(&host, refused, 404).await;
    let metrics = host.metrics().await;
    for expected in [
        format!("provost_deliveries_total{{provider=\"full\",outcome=\"temporary-failure\"}} {failures}\n"),
        format!("provost_requests_refused_total{{problem=\"unknown-provider\"}} {refusals}\n"),
    ] {
        assert!(metrics.contains(&expected), "no {expected} in {metrics}");
    }
    host.terminate();
    let (status, log) = host.wait();
    assert_eq!(status.code(), Some(0), "{log}");
    let (failed, refused) = (numbers(&log, "not delivered", "id"), numbers(&log, "request refused", "detail"));
    check(&failed, failures, failed_for);
    check(&refused, refusals, refused_for);
    // Nor does the plugin say anything for each.
    assert_eq!(log.matches("\"level\":\"WARN\"").count(), failed.len() + refused.len(), "{log}");
}
