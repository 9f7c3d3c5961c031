//! The plugin `file` with the program that moves its file away.

use crate::support::{Host, client, dir, write_config};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// It takes no lock, and tells nobody.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn logrotate_loses_no_line() {
    let (dir, logs) = (dir(), dir());
    let path = logs.path().join("messages.jsonl");
    let config = format!("{} {{\nrotate 1000\nsize 1\ncreate 0640\nnocompress\nmissingok\n}}\n", path.display());
    let config = write_config(dir.path(), &config);
    let host = Host::start(&format!("[providers.log]\nplugin = \"file\"\npath = {path:?}\n"));
    let ends = Arc::new(AtomicBool::new(false));
    let senders = ["a", "b"].map(|name| {
        let (url, ends, client) = (host.url("/v1/messages"), Arc::clone(&ends), client());
        tokio::spawn(async move {
            let mut sent = Vec::new();
            while !ends.load(Ordering::Relaxed) {
                let id = format!("{name}-{}", sent.len());
                let message = json!({ "provider": "log", "id": id, "text": "a" });
                let answer = client.post(&url).json(&message).send().await;
                assert_eq!(answer.expect("the host answers").status(), 200);
                sent.push(id);
            }
            sent
        })
    });
    for _ in 0..10 {
        let mut command = Command::new("logrotate");
        command.arg("--force").arg("--state").arg(dir.path().join("state")).arg(&config);
        let output = tokio::task::block_in_place(|| command.output().expect("logrotate starts"));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    ends.store(true, Ordering::Relaxed);
    let mut sent = BTreeSet::new();
    for sender in senders {
        sent.extend(sender.await.expect("each is answered"));
    }
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(logs.path()).expect("the directory") {
        for line in fs::read_to_string(entry.expect("an entry").path()).expect("a file").lines() {
            let message: Value = serde_json::from_str(line).expect("whole lines");
            found.insert(message["id"].as_str().expect("an id").to_owned());
        }
    }
    assert_eq!(found, sent);
    assert!(logs.path().join("messages.jsonl.1").is_file(), "it was moved away");
}
