//! The OpenAPI document of the built host says what the host does.

use crate::support::{Host, client, dir};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Its token is `123`.
const CLIENT: &str =
    "[clients.one]\ntokens = [\"sha256:a665a45920422f9d417e4867efdc4fb8a04a1f3fff1fa07e998e86f7f7a27ae3\"]\n";

async fn document(host: &Host) -> Value {
    let response = client().get(host.url("/openapi.json")).send().await.expect("the host answers");
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "application/json");
    response.json().await.expect("JSON")
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().expect("an object").iter()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn paths_methods_and_tokens_are_those_of_the_host() {
    let host = Host::start(&format!("{CLIENT}[providers.file]\npath = \"/dev/null\"\n"));
    let document = document(&host).await;
    assert_eq!(document["openapi"], "3.1.0");
    let paths: Vec<&String> = members(&document["paths"]).map(|(path, _)| path).collect();
    let expected = [
        "/docs",
        "/healthz",
        "/metrics",
        "/openapi.json",
        "/readyz",
        "/v1/messages",
        "/v1/messages:batch",
        "/v1/providers",
        "/v1/providers/{name}",
    ];
    assert_eq!(paths.iter().map(|path| path.as_str()).collect::<BTreeSet<_>>(), BTreeSet::from(expected));
    for (path, methods) in members(&document["paths"]) {
        let url = host.url(&path.replace("{name}", "file"));
        let trace = client().request(Method::TRACE, &url).bearer_auth("123").send().await.expect("the host answers");
        assert_eq!(trace.status(), 405, "{path}");
        let allowed = trace.headers()["allow"].to_str().expect("text").to_lowercase();
        // Who answers GET answers HEAD.
        let allowed: BTreeSet<&str> = allowed.split(',').map(str::trim).filter(|method| *method != "head").collect();
        assert_eq!(allowed, members(methods).map(|(method, _)| method.as_str()).collect(), "{path}");
        for (method, operation) in members(methods) {
            let method: Method = method.to_uppercase().parse().expect("a method");
            let answer = client().request(method, &url).send().await.expect("the host answers");
            let open = operation["security"] == json!([]);
            assert_eq!(answer.status() == 401, !open, "{path}");
            assert!(operation["responses"].get(answer.status().as_str()).is_some(), "{path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn schemas_are_whole_and_have_the_limits() {
    let limits = "recipients_limit = 2\nfield_limit = 30\nmetadata_limit = 4\nbatch_limit = 5\n";
    let document = document(&Host::start(limits)).await;
    let schema = |place: &str| document["components"]["schemas"].pointer(place).cloned().unwrap_or_default();
    for (place, limit) in [
        ("/SendMessage/properties/to/maxItems", 2),
        ("/SendMessage/properties/to/items/maxLength", 30),
        ("/SendMessage/properties/subject/maxLength", 30),
        ("/SendMessage/properties/metadata/maxProperties", 4),
        ("/SendMessage/properties/metadata/propertyNames/maxLength", 30),
        ("/SendMessage/properties/metadata/additionalProperties/maxLength", 30),
        ("/SendBatch/properties/messages/maxItems", 5),
        ("/SendMessage/properties/route/maxItems", 16),
    ] {
        assert_eq!(schema(place), json!(limit), "{place}");
    }
    // A schema counts characters.
    for field in ["to", "subject", "metadata"] {
        let description = schema(&format!("/SendMessage/properties/{field}/description"));
        let said =
            "as many bytes of UTF-8 as `server.field_limit` allows, at most: `maxLength` can only count characters";
        let is_said = description.as_str().is_some_and(|text| text.replace('\n', " ").contains(said));
        assert!(is_said, "{field}: {description}");
    }
    assert_eq!(schema("/SendMessage/required"), json!(["text"]));
    let mut open = vec![&document];
    let mut references = 0;
    while let Some(value) = open.pop() {
        if let Some(target) = value.get("$ref") {
            let target = target.as_str().and_then(|target| target.strip_prefix('#')).expect("a place in the document");
            assert!(document.pointer(target).is_some(), "{target}");
            references += 1;
        }
        match value {
            Value::Object(all) => open.extend(all.values()),
            Value::Array(all) => open.extend(all),
            _ => {}
        }
    }
    assert!(references > 10, "{references}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn examples_are_answered_as_shown() {
    let dir = dir();
    let file = |name: &str| format!("[providers.{name}]\nplugin = \"file\"\npath = {:?}\n", dir.path().join(name));
    let host = Host::start(&(file("file") + &file("mail")));
    let document = document(&host).await;
    for path in ["/v1/messages", "/v1/messages:batch"] {
        let operation = &document["paths"][path]["post"];
        let example = &operation["requestBody"]["content"]["application/json"]["example"];
        let request = client().post(host.url(path)).json(example);
        let request = operation["parameters"].as_array().expect("a list").iter().fold(request, |request, parameter| {
            let text = |key: &str| parameter[key].as_str().expect("text");
            request.header(text("name"), text("example"))
        });
        let response = request.send().await.expect("the host answers");
        assert_eq!(response.status(), 200, "{path}");
        assert_eq!(response.headers()["x-request-id"], "checkout-17");
        let answer: Value = response.json().await.expect("JSON");
        let shown = &operation["responses"]["200"]["content"]["application/json"]["example"];
        let keys = |value: &Value| members(value).map(|(key, _)| key.clone()).collect::<Vec<_>>();
        assert_eq!(keys(&answer), keys(shown), "{answer}");
    }
}
