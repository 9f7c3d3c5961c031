//! The circuit breaker of the built host: after failures in a row the other side is spared.

use crate::support::receiver::Receiver;
use crate::support::unruly::{Unruly, provider};
use crate::support::{Host, client};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn failures_in_a_row_open_it() {
    let receiver = Receiver::start().await;
    let circuit = "circuit = { failures = 2, open_for = \"1h\" }\n";
    let host = Host::start(&format!("{}{circuit}", receiver.provider("hook")));
    let message = json!({ "provider": "hook", "text": "a" });
    // One that is refused says that the other side works.
    for (answer, expected) in [(500, 503), (400, 422), (500, 503), (204, 200), (500, 503), (401, 503)] {
        receiver.answer(answer, &[]);
        assert_eq!(host.send(message.clone()).await.0, expected);
    }
    receiver.answer(204, &[]);
    let response = client().post(host.url("/v1/messages")).json(&message).send().await.expect("the host answers");
    assert_eq!(response.status(), 503);
    let wait: u32 = response.headers()["retry-after"].to_str().expect("text").parse().expect("a number");
    assert!((3000..=3600).contains(&wait), "{wait}");
    let problem: Value = response.json().await.expect("a problem is JSON");
    assert_eq!(problem["type"], "urn:provost:problem:circuit-open");
    assert_eq!(receiver.requests().len(), 6, "the other side was not asked");
    let state = client().get(host.url("/v1/providers/hook")).send().await.expect("the host answers");
    let state: Value = state.json().await.expect("JSON");
    assert_eq!(state["circuit"], json!({ "state": "open", "failures": 2, "open_for_seconds": 3600.0 }));
    let open = "provost_circuit_state{provider=\"hook\",state=\"open\"} 1\n";
    assert!(host.metrics().await.contains(open));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn one_message_closes_it() {
    let receiver = Receiver::start().await;
    let circuit = "circuit = { failures = 1, open_for = \"10ms\" }\n";
    let host = Host::start(&format!("{}{circuit}", receiver.provider("hook")));
    let message = json!({ "provider": "hook", "text": "a" });
    receiver.answer(500, &[]);
    assert_eq!(host.send(message.clone()).await.0, 503);
    receiver.answer(204, &[]);
    while host.send(message.clone()).await.0 != 200 {}
    let closed = "provost_circuit_state{provider=\"hook\",state=\"closed\"} 1\n";
    assert!(host.metrics().await.contains(closed));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn a_panic_does_not_open_it() {
    let behaviour = "panic-after-await";
    let unruly = Unruly::start(&format!("{}circuit = {{ failures = 1, open_for = \"1h\" }}\n", provider(behaviour)));
    for _ in 0..3 {
        let (status, problem) = unruly.send(behaviour).await;
        assert_eq!((status, &problem["type"]), (500, &json!("urn:provost:problem:panic")), "{problem}");
    }
    let closed = format!("provost_circuit_state{{provider=\"{behaviour}\",state=\"closed\"}} 1\n");
    assert!(unruly.host.metrics().await.contains(&closed));
}
