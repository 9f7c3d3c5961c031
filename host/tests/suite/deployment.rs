//! The files of `docker/` that run and watch the host: their metrics are the host's own, their configurations are valid.

use crate::support::{Host, dir, provost, write_config};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A secret of the form that `webhook` expects.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docker").join(name)
}

fn read(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("docker/{name}: {error}"))
}

/// The queries of the dashboard, and those that fill its variables.
fn queries() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(&read("grafana/provost.json")).expect("JSON");
    let list = |value: &Value| value.as_array().expect("a list").clone();
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let panels = list(&dashboard["panels"]);
    let targets = panels.iter().flat_map(|panel| list(&panel["targets"]));
    let variables = list(&dashboard["templating"]["list"]);
    targets.map(|target| text(&target["expr"])).chain(variables.iter().map(|of| text(&of["definition"]))).collect()
}

/// Metrics in queries, each with one matcher of its labels, or one of its alternatives, or none.
fn metrics_in(text: &str) -> BTreeSet<(String, Option<(String, String)>)> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut found = BTreeSet::new();
    let mut rest = text;
    while let Some(at) = rest.find("provost_") {
        let end = rest[at..].find(|c| !is_name(c)).map_or(rest.len(), |length| at + length);
        let (name, after) = (rest[at..end].to_owned(), &rest[end..]);
        let matchers = after.strip_prefix('{').and_then(|after| after.split_once('}')).map_or("", |(labels, _)| labels);
        for (label, value) in matchers.split(',').filter_map(|matcher| matcher.split_once(['=', '!'])) {
            let (label, values) = (label.trim(), value.trim_start_matches(['=', '~']).trim_matches('"'));
            // Prometheus itself says which instance it asked; what a variable matches is not in the text.
            if label != "instance" {
                let each = values.split('|').map(|value| Some((label.to_owned(), value.to_owned())));
                found.extend(each.map(|matcher| (name.clone(), matcher)));
            }
        }
        found.insert((name, None));
        rest = after;
    }
    found
}

/// Whether a line has the label with a value that the pattern matches, in which a dot stands for any character.
fn has_label(line: &str, label: &str, pattern: &str) -> bool {
    let value = line.split_once(&format!("{label}=\"")).and_then(|(_, rest)| rest.split_once('"'));
    value.is_some_and(|(value, _)| {
        value.len() == pattern.len()
            && pattern.chars().zip(value.chars()).all(|(one, other)| one == '.' || one == other)
    })
}

/// Whether the host says anything that a query of this metric and matcher finds.
fn is_said(metrics: &str, name: &str, matcher: Option<&(String, String)>) -> bool {
    metrics.lines().filter_map(|line| line.strip_prefix(name)).any(|rest| match matcher {
        None => rest.starts_with(['{', ' ']),
        Some((label, value)) if value.starts_with('$') => rest.contains(&format!("{label}=")),
        Some((label, value)) => has_label(rest, label, value),
    })
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn the_host_has_every_metric_that_is_watched() {
    let full = "[providers.full]\nplugin = \"file\"\npath = \"/dev/full\"\n";
    let dir = dir();
    let host = Host::start(&format!("[providers.file]\npath = {:?}\n{full}", dir.path().join("messages")));
    // A request is counted with its status and path when it is answered, and not before.
    for (provider, expected) in [("file", 200), ("full", 503)] {
        assert_eq!(host.send(json!({ "provider": provider, "text": "a" })).await.0, expected);
    }
    host.metrics().await;
    let metrics = host.metrics().await;
    for (file, text) in [
        ("grafana/provost.json", queries().join("\n")),
        ("prometheus/alerts.yml", read("prometheus/alerts.yml")),
        // Its tests would pass with a metric of which the host knows nothing.
        ("prometheus/alerts.test.yml", read("prometheus/alerts.test.yml")),
    ] {
        let found = metrics_in(&text);
        assert!(found.len() > 10, "{file} names the host's metrics: {found:?}");
        let series = file.ends_with(".test.yml");
        // The series of a test have providers of their own.
        let is_known =
            |matcher: Option<&(String, String)>| matcher.is_some_and(|(label, _)| series && label == "provider");
        let found = found.iter().filter(|(_, matcher)| !is_known(matcher.as_ref()));
        let unknown: Vec<_> = found.filter(|(name, matcher)| !is_said(&metrics, name, matcher.as_ref())).collect();
        assert!(unknown.is_empty(), "docker/{file}: the host has no {unknown:?} in\n{metrics}");
    }
}

#[test]
#[ignore = "needs the files that `cargo xtask test` builds"]
fn prometheus_accepts_its_files_and_every_query() {
    let promtool = |arguments: &[&str], dir: &Path| {
        let output = Command::new("promtool").args(arguments).current_dir(dir).output().expect("promtool is there");
        let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
        assert!(output.status.success(), "promtool {arguments:?}: {said}");
    };
    promtool(&["check", "config", "prometheus.yml"], &path("prometheus"));
    promtool(&["test", "rules", "alerts.test.yml"], &path("prometheus"));
    // What Grafana puts in.
    let filled = |query: String| {
        query
            .replace("$__rate_interval", "1m")
            .replace("$__range", "6h")
            .replace("$instance", ".*")
            .replace("$provider", ".*")
    };
    let queries = queries().into_iter().filter(|query| !query.starts_with("label_values(")).map(filled);
    let rules = queries.enumerate().map(|(number, query)| format!("  - record: query:{number}\n    expr: {query:?}\n"));
    let (dir, rules) = (dir(), rules.collect::<String>());
    fs::write(dir.path().join("rules.yml"), format!("groups:\n- name: dashboard\n  rules:\n{rules}"))
        .expect("a temporary file");
    promtool(&["check", "rules", "rules.yml"], dir.path());
}

/// The text below `key`, without its indentation.
fn block(yaml: &str, key: &str) -> String {
    let lines = yaml.lines().skip_while(|line| line.trim() != key).skip(1);
    let block = lines.map_while(|line| line.strip_prefix("    ").or(line.is_empty().then_some("")));
    block.map(|line| format!("{line}\n")).collect()
}

/// The number after `text`, in seconds.
fn number(yaml: &str, text: &str) -> u64 {
    let (_, rest) = yaml.split_once(text).unwrap_or_else(|| panic!("no {text}"));
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or_else(|_| panic!("no number after {text}"))
}

#[test]
#[ignore = "needs the files that `cargo xtask test` builds"]
fn the_host_accepts_the_configurations() {
    let kubernetes = read("kubernetes.yaml");
    let own = block(&kubernetes, "config.toml: |");
    for (name, config, place, providers) in [
        ("provost.toml", &read("provost.toml"), "/run/secrets", 2),
        ("kubernetes.yaml", &own, "/run/secrets/provost", 1),
    ] {
        let dir = dir();
        fs::write(dir.path().join("webhook-secret"), SECRET).expect("a temporary file");
        fs::create_dir(dir.path().join("config.d")).expect("a temporary directory");
        let here = dir.path().to_str().expect("a temporary directory's name is text");
        // Where each thing lies in the image, it lies here.
        let config = config
            .replace(&format!("file:{place}/"), &format!("file:{here}/"))
            .replace("/etc/provost/", &format!("{here}/"))
            .replace("/var/lib/provost/", &format!("{here}/"));
        let mut command = provost();
        command.args(["--check", "--prov", "file.prov", "--prov", "webhook.prov"]);
        let output = command.arg("--config").arg(write_config(dir.path(), &config)).output().expect("the host starts");
        let plural = if providers == 1 { "" } else { "s" };
        let expected = format!("2 plugins loaded, 2 ABI records match, {providers} provider{plural} valid\n");
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(said, expected, "docker/{name}: {}", String::from_utf8_lossy(&output.stderr));
    }
    // The kubelet counts the sleep, too.
    let needed = number(&kubernetes, "sleep: { seconds: ") + number(&own, "shutdown_deadline = \"");
    assert!(number(&kubernetes, "terminationGracePeriodSeconds: ") > needed, "the host is killed before its deadline");
}
