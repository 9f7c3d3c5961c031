//! What the built host tries again, and what it does not.

use crate::support::caller::{Caller, ONE_EACH};
use crate::support::receiver::Receiver;
use crate::support::{Host, PATIENCE, client};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn temporary_failures_are_tried_again() {
    let receiver = Receiver::start().await;
    let retry = "retry = { attempts = 3, first_delay = \"1ms\", longest_delay = \"1ms\" }\ntimeout = \"1m\"\n";
    let host = Host::start(&format!("{}{retry}", receiver.provider("hook")));
    let message = json!({ "provider": "hook", "text": "a" });
    let mut all = 0;
    // The other side's own time does not fit the timeout in the last case.
    for (answer, headers, expected, attempts) in [
        (204, vec![], 200, 1),
        (500, vec![], 503, 3),
        (400, vec![], 422, 1),
        (401, vec![], 503, 1),
        (503, vec![("retry-after", "3600")], 503, 1),
    ] {
        receiver.answer(answer, &headers);
        assert_eq!(host.send(message.clone()).await.0, expected, "{answer}");
        all += attempts;
        assert_eq!(receiver.requests().len(), all, "{answer}");
    }
    let attempts = format!("provost_delivery_attempts_total{{provider=\"hook\"}} {all}\n");
    let metrics = host.metrics().await;
    assert!(metrics.contains(&attempts), "{metrics}");
}

/// Waits until the first attempt has ended.
async fn waits_for_another(host: &Host) {
    let over = ["delivery_attempts_total{provider=\"hook\"} 1\n", "deliveries_in_flight{provider=\"hook\"} 0\n"];
    loop {
        let metrics = host.metrics().await;
        if over.iter().all(|line| metrics.contains(line)) {
            break;
        }
    }
}

/// Nobody waits an hour for the second attempt: the host says why the first one failed.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn who_waits_for_another_attempt_is_told_at_the_end() {
    let receiver = Receiver::start().await;
    let provider = receiver.provider("hook") + "retry = { attempts = 2 }\ntimeout = \"2h\"\n";
    let host = Host::start(&format!("shutdown_deadline = \"2h\"\n{provider}"));
    receiver.answer(503, &[("retry-after", "3600")]);
    let message = json!({ "provider": "hook", "id": "a1", "text": "a" });
    let end = async {
        waits_for_another(&host).await;
        host.terminate();
    };
    let told = async { tokio::join!(client().post(host.url("/v1/messages")).json(&message).send(), end).0 };
    let response = tokio::time::timeout(PATIENCE, told).await.expect("it is told").expect("the host answers");
    assert_eq!(
        (response.status().as_u16(), &response.headers()["retry-after"]),
        (503, &"3600".parse().expect("a value"))
    );
    let expected = json!({
        "type": "urn:provost:problem:temporary-failure", "title": "not delivered yet", "status": 503,
        "detail": "the server answered 503 Service Unavailable", "provider": "hook", "id": "a1",
    });
    assert_eq!(response.json::<Value>().await.expect("JSON"), expected);
    let (status, log) = host.wait();
    assert_eq!((status.code(), receiver.requests().len()), (Some(0), 1), "{log}");
    assert!(log.contains(": not delivered provider=\"hook\" id=\"a1\" ") && !log.contains("gave up"), "{log}");
}

/// A message without its caller is lost with its further attempts.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn what_nobody_waits_for_is_in_the_log_at_the_end() {
    let receiver = Receiver::start().await;
    let provider = receiver.provider("hook") + "retry = { attempts = 2 }\ntimeout = \"2h\"\n";
    let host = Host::start(&format!("{ONE_EACH}{provider}"));
    receiver.answer(503, &[("retry-after", "3600")]);
    let mut caller = Caller::connect(&host, "127.0.0.2").await;
    caller.begin("/v1/messages", &json!({ "provider": "hook", "text": "a" })).await;
    waits_for_another(&host).await;
    caller.leave(&host).await;
    host.terminate();
    let (status, log) = host.wait();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.ends_with("error: 1 delivery was given up at the end; the log names it\n"), "{log}");
}
