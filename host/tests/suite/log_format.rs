//! The log of the built host as JSON: whole lines, whatever they say, from the first error to the last.

use crate::support::unruly::{Unruly, provider};
use crate::support::{Host, PATIENCE, client, dir, provost, signal, write_config};
use serde_json::{Value, json};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;

const JSON: &str = "[log]\nformat = \"json\"\n";

/// Each line by itself, without its time, which has the form of RFC 3339.
fn lines(log: &str) -> Vec<Value> {
    assert!(log.is_empty() || log.ends_with('\n'), "{log}");
    let line = |line: &str| {
        let mut object: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let time = object.as_object_mut().and_then(|object| object.remove("timestamp")).expect("every line has a time");
        let time = time.as_str().expect("text");
        let digits: String = time.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        assert_eq!(digits, "0000-00-00T00:00:00.000000Z", "{time}");
        assert!(!line.chars().any(char::is_control), "{line}");
        object
    };
    log.lines().map(line).collect()
}

/// The lines that say `message`.
fn saying<'a>(lines: &'a [Value], message: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["message"] == message).collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn every_event_is_an_object_on_a_line_of_its_own() {
    let dir = dir();
    let path = dir.path().join("stuck");
    // No file takes the place of a directory.
    fs::create_dir(dir.path().join("stuck.1")).expect("a directory");
    let stuck = format!("[providers.stuck]\nplugin = \"file\"\npath = {path:?}\nrotate_size = 1\nrotate_keep = 1\n");
    let unruly = Unruly::start(&format!("{JSON}{stuck}{}", provider("panic-in-task")));
    let message = json!({ "provider": "file", "id": "one", "text": "a\nb\u{1b}[2K\u{85}\u{2028}\"" });
    let request = client().post(unruly.host.url("/v1/messages")).header("x-request-id", "mine").json(&message);
    assert_eq!(request.send().await.expect("the host answers").status(), 200);
    for _ in 0..2 {
        assert_eq!(unruly.send("stuck").await.0, 200);
    }
    assert_eq!(unruly.send("panic-in-task").await.0, 200);
    // What is logged of it repeats the field.
    let forged = json!({ "provider": "file", "text": "a", "x\n{\"level\":\"INFO\"}\u{85}\u{2028}": 1 });
    assert_eq!(unruly.host.send(forged).await.0, 400);
    while !unruly.panics().await.contains("{provider=\"panic-in-task\",place=\"background\"} 1\n") {
        tokio::task::yield_now().await;
    }
    unruly.host.terminate();
    let (status, log) = unruly.host.wait();
    assert_eq!(status.code(), Some(0), "{log}");

    let lines = lines(&log);
    let mut delivered = saying(&lines, "delivered")[0].clone();
    assert!(delivered["milliseconds"].is_number(), "{delivered}");
    delivered["milliseconds"] = Value::Null;
    let expected = json!({
        "level": "INFO", "target": "provost::providers::delivery", "message": "delivered", "provider": "file", "id": "one",
        "request": "mine", "milliseconds": null,
    });
    assert_eq!(delivered, expected);
    // The plugin's own line has the field of the host's span.
    let expected = json!({
        "level": "WARN", "target": "file::append", "message": "cannot rotate the file", "path": path, "provider": "stuck",
        "error": "Is a directory (os error 21)",
    });
    assert_eq!(saying(&lines, "cannot rotate the file"), [&expected]);
    let panic = saying(&lines, "panic: as configured: in a task")[0];
    assert_eq!(
        (&panic["level"], &panic["provider"], &panic["plugin"]),
        (&json!("ERROR"), &json!("panic-in-task"), &json!("unruly"))
    );
    assert_eq!(saying(&lines, "listening").len(), 1, "{log}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn a_reading_changes_the_format_unless_a_variable_has_it() {
    for (variable, expected) in
        [(None, ["json", "human", "json"]), (Some("human"), ["human"; 3]), (Some("json"), ["json"; 3])]
    {
        let host = Host::start_with(JSON, |command| {
            command.envs(variable.map(|value| ("PROVOST_LOG_FORMAT", value)));
        });
        for (done, format) in [(1, "human"), (2, "json")] {
            let config = format!("[server]\nlisten = \"127.0.0.1:0\"\n[log]\nformat = \"{format}\"\n");
            fs::write(&host.config, config).expect("a temporary file");
            signal(host.process(), "HUP");
            let done = format!("provost_reloads_total{{result=\"done\"}} {done}\n");
            while !host.metrics().await.contains(&done) {
                tokio::task::yield_now().await;
            }
        }
        host.terminate();
        let (_, log) = host.wait();
        let format = |line: &&str| if line.starts_with('{') { "json" } else { "human" };
        let formats =
            |of: &str| log.lines().filter(|line| line.contains(of)).map(|line| format(&line)).collect::<Vec<_>>();
        assert_eq!(
            [formats("listening"), formats("is in force"), formats("shutting down")].concat(),
            [&expected[..1], &expected[1..], &expected[2..]].concat(),
            "{log}"
        );
    }
}

#[test]
#[ignore = "needs the files that `cargo xtask test` builds"]
fn errors_before_the_log_are_lines_of_it_too() {
    let dir = dir();
    let wrong = write_config(dir.path(), &format!("{JSON}[server]\nlisten = \"a\"\nbody_limit = 0\n"));
    let wrong = wrong.to_str().expect("a temporary directory's name is text");
    let odd = dir.path().join(OsStr::from_bytes(b"odd \xff\n.toml"));
    let error = |message: &str| json!({ "level": "ERROR", "target": "provost", "message": message });
    let limit = error(&format!("{wrong}: server.body_limit: must be 1 to 1073741824"));
    let listen = error(&format!(
        "{wrong}: server.listen: `a` is not an address with a port such as \"0.0.0.0:8080\", nor a socket such as \"unix:/run/provost.sock\""
    ));
    let unnamed = "no configuration is named: add `--config FILE`, or set PROVOST_CONFIG";
    let unread = format!("reading the configuration {}: No such file or directory (os error 2)", odd.display());
    let argument =
        "unexpected argument '--nothing' found\n\nUsage: provost [OPTIONS]\n\nFor more information, try '--help'.";
    for (arguments, format, code, expected) in [
        (&[OsStr::new("--config"), OsStr::new(wrong)][..], "", 1, vec![limit, listen]),
        (&[], "json", 1, vec![error(unnamed)]),
        (&[OsStr::new("--config"), odd.as_os_str()], "json", 1, vec![error(&unread)]),
        (&[OsStr::new("--nothing")], "json", 2, vec![error(argument)]),
    ] {
        let output = provost().args(arguments).env("PROVOST_LOG_FORMAT", format).output().expect("the host starts");
        let log = String::from_utf8(output.stderr).expect("the log is text");
        assert_eq!((output.status.code(), lines(&log)), (Some(code), expected), "{arguments:?}");
    }
    let output = provost().env("PROVOST_LOG_FORMAT", "yaml").output().expect("the host starts");
    let expected = "error: PROVOST_LOG_FORMAT: `yaml` is not a format; use `human` or `json`\n";
    assert_eq!(String::from_utf8_lossy(&output.stderr), expected);
}

/// As with an image whose command is its entrypoint.
#[test]
#[ignore = "needs the files that `cargo xtask test` builds"]
fn what_is_added_to_the_command_counts() {
    let dir = dir();
    let config = write_config(dir.path(), "[providers.file]\npath = \"/dev/null\"\n");
    let command = ["--config", "none", "--log", "off", "--log-format", "human", "--prov", "file.prov", "--check"];
    let added = ["--log", "provost=debug", "--log-format", "json", "--prov", "smtp.prov"];
    let output = provost().args(command).args(added).arg("--config").arg(config).output().expect("the host starts");
    let log = String::from_utf8(output.stderr).expect("the log is text");
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "2 plugins loaded, 2 ABI records match, 1 provider valid\n",
        "{log}"
    );
    assert_eq!(saying(&lines(&log), "loading").len(), 2, "{log}");
}

/// A plugin that ends the process is named in the log's format.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn the_last_word_is_a_line_too() {
    let unruly = Unruly::start(&(JSON.to_owned() + &provider("exit")));
    let url = unruly.host.url("/v1/messages");
    let request = client().post(url).json(&json!({ "provider": "exit", "text": "a" })).send();
    // Nobody is left who could answer.
    let _ = tokio::time::timeout(PATIENCE, request).await.expect("the host ends");
    let (status, log) = unruly.host.wait();
    assert_eq!(status.code(), Some(101), "{log}");
    let lines = lines(&log);
    let exit = "the plugin `unruly` of the provider `exit` called exit, which stops the host and all its providers";
    assert_eq!(lines.last(), Some(&json!({ "level": "ERROR", "target": "provost", "message": exit })), "{log}");
}
