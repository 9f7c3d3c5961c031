//! The built host with a plugin that misbehaves in each way it knows: what its callers are told, and that nobody else
//! notices.

use crate::support::unruly::{BLOCKS, Unruly, errors_of, impatient, provider};
use crate::support::{PATIENCE, client, dir, provost, write_config};
use serde_json::json;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn a_panic_ends_one_delivery() {
    let behaviours = [
        ("panic-before-await", "as configured: before an await"),
        ("panic-after-await", "as configured: after an await"),
        ("panic-with-unruly-payload", "a panic without a message"),
        ("panic-in-drop", "as configured: while it was dropped"),
    ];
    let unruly = Unruly::start(&behaviours.map(|(behaviour, _)| provider(behaviour)).concat());
    for (behaviour, _) in behaviours {
        let problem = json!({
            "type": "urn:provost:problem:panic",
            "title": "the plugin failed",
            "status": 500,
            "detail": "the provider's plugin panicked: the message may or may not arrive; see the log",
            "provider": behaviour,
            "id": "message-1",
        });
        // Again, since the first must leave its place.
        for _ in 0..2 {
            assert_eq!(unruly.send(behaviour).await, (500, problem.clone()));
        }
    }
    let counts = unruly.panics().await;
    for (behaviour, _) in behaviours {
        // What is dropped panics again.
        let count = if behaviour == "panic-with-unruly-payload" { 4 } else { 2 };
        let expected = format!("provost_panics_total{{provider=\"{behaviour}\",place=\"delivery\"}} {count}\n");
        assert!(counts.contains(&expected), "no {expected} in {counts}");
    }
    let log = unruly.end().await;
    for (behaviour, text) in behaviours {
        let lines = log.lines().filter(|line| line.contains(&format!("panic: {text} ")));
        let own = lines.filter(|line| line.ends_with(&format!("provider=\"{behaviour}\"")));
        assert_eq!(own.count(), 2, "{behaviour} in {log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn a_panic_beside_a_delivery_is_logged_and_counted() {
    let behaviours = [
        ("panic-in-task", "in a task"),
        ("panic-in-bare-task", "in a bare task"),
        ("panic-in-blocking-task", "in a blocking task"),
        ("panic-in-thread", "in a thread"),
        ("panic-at-end", "at its end"),
    ];
    let unruly = Unruly::start(&behaviours.map(|(behaviour, _)| provider(behaviour)).concat());
    for (behaviour, _) in behaviours {
        assert_eq!(unruly.send(behaviour).await.0, 200);
    }
    let expected = "\
provost_panics_total{provider=\"file\",place=\"delivery\"} 0
provost_panics_total{provider=\"file\",place=\"background\"} 0
provost_panics_total{provider=\"panic-at-end\",place=\"delivery\"} 0
provost_panics_total{provider=\"panic-at-end\",place=\"background\"} 0
provost_panics_total{provider=\"panic-in-bare-task\",place=\"delivery\"} 0
provost_panics_total{provider=\"panic-in-bare-task\",place=\"background\"} 1
provost_panics_total{provider=\"panic-in-blocking-task\",place=\"delivery\"} 0
provost_panics_total{provider=\"panic-in-blocking-task\",place=\"background\"} 1
provost_panics_total{provider=\"panic-in-task\",place=\"delivery\"} 0
provost_panics_total{provider=\"panic-in-task\",place=\"background\"} 1
provost_panics_total{provider=\"panic-in-thread\",place=\"delivery\"} 0
provost_panics_total{provider=\"panic-in-thread\",place=\"background\"} 0
provost_other_panics_total 1
";
    assert_eq!(unruly.panics().await, expected);
    let log = unruly.end().await;
    for (behaviour, text) in behaviours {
        let line = log.lines().find(|line| line.contains(&format!("panic: as configured: {text} "))).expect(text);
        // A thread of a plugin's own is nobody's.
        let owner = format!(" provider=\"{behaviour}\" plugin=\"unruly\"");
        assert_eq!(line.contains(&owner), behaviour != "panic-in-thread", "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn what_panics_again_and_again_ends_no_thread() {
    let (task, given_up) = ("panic-in-task-again", "panic-again-when-given-up");
    let unruly = Unruly::start(&[provider(task), impatient(given_up)].concat());
    for _ in 0..3 {
        assert_eq!(unruly.send(task).await.0, 200);
    }
    let count = |count: usize| {
        format!(
            "provost_panics_total{{provider=\"{given_up}\",place=\"delivery\"}} {}\n\
            provost_panics_total{{provider=\"{given_up}\",place=\"background\"}} 0\n\
            provost_panics_total{{provider=\"{task}\",place=\"delivery\"}} 0\n\
            provost_panics_total{{provider=\"{task}\",place=\"background\"}} 6\n",
            // Of each, what is caught panics once more.
            2 * count
        )
    };
    for sent in 1..4 {
        let panicked = async {
            while unruly.send(given_up).await.0 == 429 {}
            while !unruly.panics().await.contains(&count(sent)) {}
        };
        tokio::time::timeout(PATIENCE, panicked).await.expect("its thread is there to panic");
    }
    unruly.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn who_never_answers_is_given_up() {
    let behaviours = ["never-answer", "panic-when-given-up"];
    let unruly = Unruly::start(&behaviours.map(impatient).concat());
    for behaviour in behaviours {
        let (status, answer) = unruly.send(behaviour).await;
        assert_eq!((status, &answer["type"]), (504, &json!("urn:provost:problem:timeout")), "{answer}");
        // Its place is free a moment after that answer.
        let again = loop {
            match unruly.send(behaviour).await.0 {
                429 => {}
                status => break status,
            }
        };
        assert_eq!(again, 504);
    }
    let log = unruly.end().await;
    assert!(log.contains("panic: as configured: while it was dropped "), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn who_blocks_its_thread_harms_itself_alone() {
    let behaviours = ["block-thread", "panic-with-blocking-payload"];
    let unruly = Unruly::start(&behaviours.map(impatient).concat());
    for behaviour in behaviours {
        for expected in [504, 429, 429] {
            let answer = tokio::time::timeout(PATIENCE, unruly.send(behaviour)).await;
            assert_eq!(answer.expect("the host answers").0, expected, "{behaviour}");
        }
    }
    let log = unruly.end().await;
    assert!(log.contains("gave up on requests in flight"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn who_blocks_at_its_end_holds_nobody_up() {
    let unruly = Unruly::start(&provider("block-at-end"));
    assert_eq!(unruly.send("block-at-end").await.0, 200);
    let log = unruly.end().await;
    let given_up = "its plugin did not stop before the deadline provider=\"block-at-end\" plugin=\"unruly\"";
    assert!(log.lines().any(|line| line.contains(" WARN ") && line.ends_with(given_up)), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn who_aborts_the_host_is_named_in_its_log() {
    let unruly = Unruly::start(&provider("panic-twice"));
    let message = json!({ "provider": "panic-twice", "text": "a" });
    let answer = client().post(unruly.host.url("/v1/messages")).json(&message).send().await;
    assert!(answer.is_err(), "nobody is left to answer");
    let (status, log) = unruly.host.wait();
    assert_eq!(status.signal(), Some(6), "SIGABRT: {log}");
    let own: Vec<&str> = log.lines().filter(|line| line.contains(" ERROR ")).collect();
    let owner = "provider=\"panic-twice\" plugin=\"unruly\" provider=\"panic-twice\"";
    // The last one is the compiler's, at what makes it abort.
    let texts =
        ["as configured: the first", "as configured: while it was dropped", "panic in a destructor during cleanup"];
    assert_eq!(own.len(), texts.len(), "{log}");
    for (line, text) in own.iter().zip(texts) {
        assert!(line.contains(&format!("panic: {text} ")) && line.ends_with(owner), "{line}");
    }
    // The last line of all is the standard library's own.
    assert_eq!(log.lines().rev().nth(1), own.last().copied(), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn who_exits_is_named_and_is_no_success() {
    let exit = "called exit, which stops the host and all its providers";
    let unruly = Unruly::start_with(&provider("exit").replace("[providers.exit]", "[providers.alerts]"), |command| {
        command.env(BLOCKS, "finaliser");
    });
    let message = json!({ "provider": "alerts", "text": "a" });
    let answer = client().post(unruly.host.url("/v1/messages")).json(&message).send().await;
    assert!(answer.is_err(), "nobody is left to answer");
    let (status, log) = unruly.host.wait();
    let expected = format!("error: the plugin `unruly` of the provider `alerts` {exit}");
    assert_eq!((status.code(), log.lines().last()), (Some(101), Some(expected.as_str())), "{log}");

    let dir = dir();
    let mut command = provost();
    command.args(["--check", "--prov", "unruly.prov", "--config"]).arg(write_config(dir.path(), ""));
    let output = command.env("UNRULY_EXITS", "initialiser").output().expect("the host starts");
    let expected = format!("error: the plugin in unruly.prov {exit}\n");
    assert_eq!(
        (output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()),
        (Some(101), expected.as_str())
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn a_provider_that_cannot_be_made_is_an_error() {
    let refused = ".behaviour: as configured (plugin `unruly`)";
    let panicked = |step: &str| format!(": the plugin `unruly` panicked in its {step}; see the log");
    for (behaviour, expected, log) in [
        ("fail-in-constructor", refused, ""),
        ("fail-after-blocking", refused, ""),
        ("panic-in-constructor", &panicked("constructor"), "panic: as configured: in the constructor "),
        ("panic-in-validation", &panicked("validation"), "panic: as configured: in the validation "),
    ] {
        let dir = dir();
        let config = write_config(dir.path(), &provider(behaviour));
        let (errors, stderr) = errors(&config).await;
        assert_eq!(errors, [format!("error: {}: providers.{behaviour}{expected}", config.display())], "{stderr}");
        assert!(stderr.contains(log), "{stderr}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn a_provider_that_is_never_made_is_an_error_among_the_others() {
    let dir = dir();
    let behaviours = ["block-in-constructor", "block-in-validation", "fail-in-constructor", "never-answer"];
    let providers = behaviours.map(provider).concat();
    // Time enough for the others on a machine that is busy.
    let config = write_config(dir.path(), &format!("[server]\nstartup_deadline = \"3s\"\n{providers}"));
    let (errors, stderr) = errors(&config).await;
    let expected = [
        "block-in-constructor: the plugin `unruly` did not finish its constructor within 3s (`server.startup_deadline`)",
        "block-in-validation: the plugin `unruly` did not finish its validation within 3s (`server.startup_deadline`)",
        "fail-in-constructor.behaviour: as configured (plugin `unruly`)",
    ];
    assert_eq!(errors, expected.map(|error| format!("error: {}: providers.{error}", config.display())), "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn a_plugin_that_is_never_loaded_is_an_error_among_the_others() {
    let dir = dir();
    let config = write_config(dir.path(), "lgo = 1\n[server]\nstartup_deadline = \"1s\"\n[providers.none]\n");
    let mut command = provost();
    command.args(["--prov", "webhook.prov", "--prov", "file.prov"]).env(BLOCKS, "initialiser");
    let (errors, stderr) = errors_of(command, &config).await;
    let expected = [
        format!("error: {}: lgo: unknown key; did you mean `log`?", config.display()),
        "error: loading unruly.prov: the plugin `unruly` did not finish its initialisers within 1s (`server.startup_deadline`)"
            .to_owned(),
    ];
    assert_eq!(errors, expected, "{stderr}");
}

/// Writing to a pipe that nobody reads any more is no panic: that would need the dynamic linker, and run finalisers.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn a_host_that_nobody_listens_to_ends() {
    let dir = dir();
    let config = write_config(dir.path(), "[server]\nstartup_deadline = \"1s\"\n");
    for (blocks, code) in [("initialiser", 1), ("finaliser", 0)] {
        let unread = || io::pipe().expect("a pipe").1;
        let mut command = provost();
        command.args(["--check", "--prov", "unruly.prov", "--config"]).arg(&config).env(BLOCKS, blocks);
        command.stdout(unread()).stderr(unread());
        let mut host = tokio::process::Command::from(command).kill_on_drop(true).spawn().expect("the host starts");
        let status = tokio::time::timeout(PATIENCE, host.wait()).await.expect("the host stops");
        assert_eq!(status.expect("it is this process's own").code(), Some(code), "{blocks}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn what_blocks_at_the_exit_is_not_run() {
    let unruly = Unruly::start_with("", |command| {
        command.env(BLOCKS, "finaliser");
    });
    unruly.end().await;
}

/// Lets the host refuse a configuration; returns the lines that are errors, and all of them.
async fn errors(config: &Path) -> (Vec<String>, String) {
    errors_of(provost(), config).await
}
