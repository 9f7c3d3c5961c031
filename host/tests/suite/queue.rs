//! Messages of the built host that wait until a delivery can begin.

use crate::support::caller::{Caller, ONE_EACH};
use crate::support::receiver::Receiver;
use crate::support::unruly::{Unruly, impatient};
use crate::support::{Host, client, send};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Waits until so many messages wait.
async fn waiting(host: &Host, count: usize) {
    let line = format!("provost_deliveries_waiting{{provider=\"hook\"}} {count}\n");
    while !host.metrics().await.contains(&line) {}
}

fn message(id: &str) -> Value {
    json!({ "provider": "hook", "id": id, "text": "a" })
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn who_waits_is_served_in_order_and_one_more_is_refused() {
    let receiver = Receiver::start().await;
    let host = Host::start(&format!("{}timeout = \"1m\"\nconcurrency = 1\nqueue = 2\n", receiver.provider("hook")));
    let held = receiver.hold().await;
    let rest = async {
        receiver.arrived().await;
        let second = host.send(message("2"));
        let later = async {
            waiting(&host, 1).await;
            let third = host.send(message("3"));
            let full = async {
                waiting(&host, 2).await;
                let response = client().post(host.url("/v1/messages")).json(&message("4")).send();
                let response = response.await.expect("the host answers");
                drop(held);
                assert_eq!(
                    (response.status().as_u16(), &response.headers()["retry-after"]),
                    (429, &"1".parse().expect("a value"))
                );
            };
            tokio::join!(third, full).0.0
        };
        let (second, third) = tokio::join!(second, later);
        (second.0, third)
    };
    let (first, rest) = tokio::join!(host.send(message("1")), rest);
    assert_eq!((first.0, rest), (200, (200, 200)));
    let ids: Vec<_> = receiver.requests().iter().map(|request| request.headers["webhook-id"].clone()).collect();
    assert_eq!(ids, ["1", "2", "3"]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn who_waits_at_the_end_is_told_at_once() {
    let receiver = Receiver::start().await;
    let host = Host::start(&format!(
        "shutdown_deadline = \"1h\"\n{}timeout = \"1h\"\nconcurrency = 1\n",
        receiver.provider("hook")
    ));
    let held = receiver.hold().await;
    let rest = async {
        receiver.arrived().await;
        let end = async {
            waiting(&host, 1).await;
            host.terminate();
        };
        let (told, ()) = tokio::join!(host.send(message("2")), end);
        drop(held);
        told
    };
    let (first, (status, problem)) = tokio::join!(host.send(message("1")), rest);
    let detail = "the host shuts down: the message was not sent";
    assert_eq!((first.0, status, &problem["detail"]), (200, 503, &json!(detail)), "{problem}");
    assert_eq!(problem["type"], "urn:provost:problem:ending");
    let (status, log) = host.wait();
    assert_eq!(status.code(), Some(0), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn a_rate_that_is_used_up_is_said() {
    let receiver = Receiver::start().await;
    let host = Host::start(&format!("{}rate = 1\nqueue = 0\n", receiver.provider("hook")));
    // All at once: however slow the machine is, they do not take as many seconds as they are.
    let mut senders = JoinSet::new();
    for number in 0..20 {
        let url = host.url("/v1/messages");
        senders.spawn(async move { send(&url, message(&number.to_string())).await.0 });
    }
    let statuses = senders.join_all().await;
    assert!(statuses.iter().all(|status| [200, 429].contains(status)), "{statuses:?}");
    assert!(statuses.contains(&200) && statuses.contains(&429), "{statuses:?}");
}

/// Of so many answers each comes when its delivery may have begun, and no earlier.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn who_waits_for_its_turn_at_the_rate_is_served() {
    const MESSAGES: usize = 8;
    let receiver = Receiver::start().await;
    let host = Host::start(&format!("{}rate = 10\ntimeout = \"1m\"\n", receiver.provider("hook")));
    let (begun, mut senders) = (Instant::now(), JoinSet::new());
    for number in 0..MESSAGES {
        let url = host.url("/v1/messages");
        senders.spawn(async move { (send(&url, message(&number.to_string())).await.0, begun.elapsed()) });
    }
    let mut answers = senders.join_all().await;
    answers.sort_unstable_by_key(|(_, after)| *after);
    for (before, (status, after)) in answers.iter().enumerate() {
        let earliest = Duration::from_millis(100) * u32::try_from(before).expect("they are few");
        assert!(*status == 200 && *after >= earliest, "{answers:?}");
    }
    assert_eq!(receiver.requests().len(), MESSAGES);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn who_would_wait_longer_than_its_timeout_for_the_rate_is_told() {
    let receiver = Receiver::start().await;
    let host = Host::start(&format!("{}rate = 1\ntimeout = \"500ms\"\n", receiver.provider("hook")));
    let mut numbers = 0..;
    let (number, response) = loop {
        let number = numbers.next().expect("there is always one more").to_string();
        let response = client().post(host.url("/v1/messages")).json(&message(&number)).send().await;
        let response = response.expect("the host answers");
        // On a slow machine the next one may come when its turn has, or is about to.
        if number != "0" && ![200, 504].contains(&response.status().as_u16()) {
            break (number, response);
        }
    };
    assert_eq!((response.status().as_u16(), &response.headers()["retry-after"]), (429, &"1".parse().expect("a value")));
    let expected = json!({
        "type": "urn:provost:problem:busy", "title": "too many deliveries at a time", "status": 429,
        "detail": "1 deliveries may begin in a second, the limit that the provider's `rate` sets, and too many messages wait",
        "provider": "hook", "id": number,
    });
    assert_eq!(response.json::<Value>().await.expect("JSON"), expected);
    let came = receiver.requests().iter().filter(|request| request.headers["webhook-id"] == number).count();
    assert_eq!(came, 0);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn who_gets_no_place_until_its_timeout_is_told() {
    let unruly = Unruly::start(&impatient("block-thread").replace("queue = 0", "queue = 1"));
    assert_eq!(unruly.send("block-thread").await.0, 504);
    let (status, problem) = unruly.send("block-thread").await;
    let expected = json!({
        "type": "urn:provost:problem:busy", "title": "too many deliveries at a time", "status": 429,
        "detail": "1 deliveries were in progress, the limit that the provider's `concurrency` sets, until the provider's \
                   `timeout` was over; the message was not sent",
        "provider": "block-thread", "id": "message-1",
    });
    assert_eq!((status, problem), (429, expected));
    unruly.end().await;
}

/// Nobody would learn what became of it. One with an id goes on: its caller may ask for it again.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn who_goes_away_takes_along_a_message_without_an_id() {
    let receiver = Receiver::start().await;
    let provider = receiver.provider("hook") + "timeout = \"1m\"\nconcurrency = 1\n";
    let host = Host::start(&format!("{ONE_EACH}{provider}"));
    let held = receiver.hold().await;
    let mut watcher = Caller::connect(&host, "127.0.0.1").await;
    let mut first = Caller::connect(&host, "127.0.0.2").await;
    first.begin("/v1/messages", &message("first")).await;
    receiver.arrived().await;
    for (from, message, left) in
        [("127.0.0.3", json!({ "provider": "hook", "text": "without" }), 0), ("127.0.0.4", message("with"), 1)]
    {
        let mut caller = Caller::connect(&host, from).await;
        caller.begin("/v1/messages", &message).await;
        watcher.counts("provost_deliveries_waiting{provider=\"hook\"} 1\n").await;
        caller.leave(&host).await;
        watcher.counts(&format!("provost_deliveries_waiting{{provider=\"hook\"}} {left}\n")).await;
    }
    drop(held);
    watcher.counts("provost_deliveries_total{provider=\"hook\",outcome=\"delivered\"} 2\n").await;
    let ids: Vec<_> = receiver.requests().iter().map(|request| request.headers["webhook-id"].clone()).collect();
    assert_eq!(ids, ["first", "with"]);
}
