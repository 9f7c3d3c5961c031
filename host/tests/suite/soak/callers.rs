//! Callers who do all as they should, and check each answer.

use super::{Done, Random, TOKEN};
use crate::support::client;
use reqwest::{Client, RequestBuilder, Response};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Instant;

/// The providers to which a message alone is sent, and what its caller may be told: status and kind of the problem.
const ANSWERS: [(&str, &[(u16, &str)]); 8] = [
    ("file", &[(200, "")]),
    ("slow", &[(200, "")]),
    ("late", &[(504, "timeout")]),
    ("failing", &[(503, "temporary-failure")]),
    ("broken", &[(503, "temporary-failure"), (503, "circuit-open")]),
    ("refusing", &[(422, "refused")]),
    ("panicking", &[(500, "panic")]),
    ("paced", &[(200, ""), (429, "busy")]),
];

struct Caller {
    client: Client,
    host: SocketAddr,
    /// What ids begin with, and how many there were.
    name: String,
    count: u64,
    done: Done,
}

/// Sends messages until `end`.
pub async fn call(host: SocketAddr, mut random: Random, task: u64, end: Instant) -> Done {
    let name = format!("{}-{task}", random.below(u64::MAX));
    let mut caller = Caller { client: client(), host, name, count: 0, done: Done::default() };
    while Instant::now() < end {
        match random.below(ANSWERS.len() as u64 + 4) as usize {
            8 => caller.repeat("file, again by its id", |request, _| request).await,
            9 => caller.route().await,
            10 => caller.batch().await,
            11 => {
                caller.repeat("file, again by a key", |request, key| request.header("idempotency-key", key)).await;
            }
            index => caller.single(ANSWERS[index]).await,
        }
    }
    caller.done
}

impl Caller {
    fn id(&mut self) -> String {
        self.count += 1;
        format!("{}-{}", self.name, self.count)
    }

    fn request(&mut self, what: &'static str, path: &str, body: &Value) -> RequestBuilder {
        *self.done.counts.entry(what).or_default() += 1;
        self.client.post(format!("http://{}{path}", self.host)).bearer_auth(TOKEN).json(body)
    }

    async fn post(&mut self, what: &'static str, path: &str, body: &Value) -> Response {
        let request = self.request(what, path, body);
        request.send().await.unwrap_or_else(|error| panic!("no answer to {body}: {error:?}"))
    }

    async fn single(&mut self, (provider, expected): (&'static str, &[(u16, &str)])) {
        let id = self.id();
        let message = json!({ "provider": provider, "id": id, "text": "a" });
        let response = self.post(provider, "/v1/messages", &message).await;
        let status = response.status().as_u16();
        let answer: Value = response.json().await.unwrap_or_else(|error| panic!("{message}: {error}"));
        let kind = answer["type"].as_str().unwrap_or_default().trim_start_matches("urn:provost:problem:");
        assert!(expected.contains(&(status, kind)), "{message}: {status} {answer}");
        assert_eq!((&answer["id"], &answer["provider"]), (&json!(id), &json!(provider)), "{message}: {answer}");
        if provider == "file" {
            self.done.delivered.push(id);
        }
    }

    /// The same message twice, which is delivered once, and then another one with its name: that is a mistake.
    async fn repeat(&mut self, what: &'static str, named: fn(RequestBuilder, &str) -> RequestBuilder) {
        let id = self.id();
        let message = json!({ "provider": "file", "id": id, "text": "again" });
        let other = json!({ "provider": "file", "id": id, "text": "another" });
        let delivered = (200, json!({ "id": id, "provider": "file" }), false);
        let replayed = (200, delivered.1.clone(), true);
        let conflict = (409, json!({ "type": "urn:provost:problem:conflict" }), false);
        for (message, expected) in [(&message, delivered), (&message, replayed), (&other, conflict)] {
            let request = named(self.request(what, "/v1/messages", message), &id);
            let response = request.send().await.unwrap_or_else(|error| panic!("no answer to {message}: {error:?}"));
            let (status, replayed) =
                (response.status().as_u16(), response.headers().contains_key("idempotent-replayed"));
            let mut answer: Value = response.json().await.unwrap_or_else(|error| panic!("{message}: {error}"));
            let whole = answer.clone();
            answer.as_object_mut().expect("an object").retain(|key, _| expected.1.get(key).is_some());
            assert_eq!((status, answer, replayed), expected, "{message}: {whole}");
        }
        self.done.delivered.push(id);
    }

    async fn route(&mut self) {
        let id = self.id();
        let message = json!({ "route": ["broken", "failing", "file"], "id": id, "text": "by the third" });
        let response = self.post("route", "/v1/messages", &message).await;
        let status = response.status();
        let answer: Value = response.json().await.expect("the answer is JSON");
        let sent = (status.as_u16(), &answer["id"], &answer["provider"]);
        assert_eq!(sent, (200, &json!(id), &json!("file")), "{message}: {answer}");
        self.done.delivered.push(id);
    }

    async fn batch(&mut self) {
        let ids = [self.id(), self.id(), self.id()];
        let message =
            |(provider, id): (&str, &String)| json!({ "provider": provider, "id": id, "text": "one of three" });
        let messages: Vec<Value> = ["refusing", "file", "panicking"].into_iter().zip(&ids).map(message).collect();
        let body = json!({ "messages": messages });
        let response = self.post("batch", "/v1/messages:batch", &body).await;
        assert_eq!(response.status(), 200, "{body}");
        let answer: Value = response.json().await.expect("the answer is JSON");
        let results = answer["results"].as_array().unwrap_or_else(|| panic!("{body}: {answer}")).iter();
        let outcome = |result: &Value| {
            let part = if result["status"] == 200 { &result["message"] } else { &result["problem"] };
            json!([result["status"], part["type"], part["provider"], part["id"]])
        };
        let expected = [
            json!([422, "urn:provost:problem:refused", "refusing", ids[0]]),
            json!([200, null, "file", ids[1]]),
            json!([500, "urn:provost:problem:panic", "panicking", ids[2]]),
        ];
        assert_eq!(results.map(outcome).collect::<Vec<_>>(), expected, "{body}: {answer}");
        let [_, id, _] = ids;
        self.done.delivered.push(id);
    }
}
