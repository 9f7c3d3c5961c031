//! The built host with plugins that misbehave again and again, and for good.

use crate::support::unruly::{Unruly, provider};
use crate::support::{PATIENCE, client, load, print, send};
use serde_json::json;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn ten_thousand_panics_leave_nothing_behind() {
    let unruly = Unruly::start(&load::providers());
    load::ten_thousand_panics(&unruly.host.url(""), &unruly.host.process().to_string()).await;
    unruly.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn everybody_else_answers_while_deliveries_are_stuck() {
    const STUCK: usize = 3;
    const DELIVERIES: usize = 4;
    let stuck =
        |number| provider("block-thread").replace("[providers.block-thread]", &format!("[providers.stuck-{number}]"));
    let stuck: String = (0..STUCK).map(stuck).collect();
    let unruly =
        Unruly::start(&stuck.replace("concurrency = 1", &format!("concurrency = {DELIVERIES}\ntimeout = \"1h\"")));
    let mut callers = JoinSet::new();
    for number in 0..STUCK * DELIVERIES {
        let message = json!({ "provider": format!("stuck-{}", number % STUCK), "text": "a" });
        let url = unruly.host.url("/v1/messages");
        callers.spawn(async move { send(&url, message).await });
    }
    let full = format!("provost_deliveries_in_flight{{provider=\"stuck-0\"}} {DELIVERIES}\n");
    let full: Vec<String> = (0..STUCK).map(|number| full.replace("stuck-0", &format!("stuck-{number}"))).collect();
    let all = async {
        loop {
            let text = unruly.host.metrics().await;
            if full.iter().all(|line| text.contains(line)) {
                break;
            }
        }
    };
    tokio::time::timeout(PATIENCE, all).await.expect("all are under way");

    let (client, mut slowest) = (client(), [Duration::ZERO; 3]);
    let post = |provider: &str| {
        client.post(unruly.host.url("/v1/messages")).json(&json!({ "provider": provider, "text": "a" }))
    };
    for _ in 0..100 {
        let requests = [(client.get(unruly.host.url("/healthz")), 200), (post("file"), 200), (post("stuck-1"), 429)];
        for ((request, expected), slowest) in requests.into_iter().zip(&mut slowest) {
            let begun = Instant::now();
            assert_eq!(request.send().await.expect("the host answers").status(), expected);
            *slowest = begun.elapsed().max(*slowest);
        }
    }
    print(&format!("the slowest of 100 answers, of /healthz, another provider and one that is full: {slowest:?}"));
    assert_eq!(callers.len(), STUCK * DELIVERIES);
    assert!(callers.try_join_next().is_none(), "and they are stuck still");
    callers.shutdown().await;
    let (log, lost) = (unruly.end_with(1).await, STUCK * DELIVERIES);
    assert!(
        log.ends_with(&format!("error: {lost} deliveries were given up at the end; the log names them\n")),
        "{log}"
    );
}
