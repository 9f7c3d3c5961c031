//! The page `/docs` of the built host, in a real browser.

use crate::support::{Host, client, dir};
use serde_json::Value;
use std::process::Command;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn a_browser_shows_all_of_it_and_loads_nothing_else() {
    let host = Host::start("[providers.file]\npath = \"/dev/null\"\n");
    let home = dir();
    let mut browser = Command::new("chromium");
    browser.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]);
    browser.args(["--disable-background-networking", "--disable-component-update", "--enable-logging=stderr"]);
    browser.arg(format!("--user-data-dir={}", home.path().display())).arg("--dump-dom").arg(host.url("/docs"));
    let output = browser.env("HOME", home.path()).output().expect("chromium is there");
    let (page, log) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && page.contains("</html>"), "{log}");
    // What the page's policy forbids is said there too.
    assert!(!log.contains("CONSOLE"), "{log}");
    let metrics = host.metrics().await;
    let requests: Vec<&str> = metrics.lines().filter(|line| line.starts_with("provost_http_requests_total{")).collect();
    assert_eq!(requests, ["provost_http_requests_total{method=\"GET\",path=\"/docs\",status=\"200\"} 1"]);

    let document = client().get(host.url("/openapi.json")).send().await.expect("the host answers");
    let document: Value = document.json().await.expect("JSON");
    for (path, methods) in document["paths"].as_object().expect("an object") {
        for method in methods.as_object().expect("an object").keys() {
            let heading = format!("<h2><code>{} {path}</code></h2>", method.to_uppercase());
            assert!(page.contains(&heading), "{heading}");
        }
    }
    for problem in document["x-problems"].as_array().expect("a list") {
        let name = problem["type"].as_str().expect("text");
        assert!(page.contains(&format!("<td><code>{name}</code></td>")), "{name}");
    }
    for name in document["components"]["schemas"].as_object().expect("an object").keys() {
        assert!(page.contains(&format!("<h3 id=\"schema-{name}\">{name}</h3>")), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn the_page_may_do_nothing() {
    let host = Host::start("anonymous = \"nobody\"\n");
    let response = client().get(host.url("/docs")).send().await.expect("the host answers");
    assert_eq!(response.status(), 200);
    let policy = response.headers()["content-security-policy"].to_str().expect("text");
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    assert_eq!(response.headers()["content-type"], "text/html; charset=utf-8");
    let page = response.text().await.expect("text");
    assert!(!page.contains("<script"));
}
