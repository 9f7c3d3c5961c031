//! Files of the plugin `file` that are moved away, by hosts that write to one file; their permissions; the time in a line.

use crate::support::{Host, client, dir, signal};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Sends messages until `most` are delivered or the host is gone, and returns their ids and receipts.
async fn send(url: String, name: String, most: usize) -> Vec<(String, String)> {
    let client = client();
    let mut delivered = Vec::new();
    while delivered.len() < most {
        let id = format!("{name}-{}", delivered.len());
        let message = json!({ "provider": "log", "id": id, "text": "a" });
        let Ok(response) = client.post(&url).json(&message).send().await else { break };
        assert_eq!(response.status(), 200);
        let Ok(answer) = response.json::<Value>().await else { break };
        delivered.push((id, answer["receipt"]["reference"].as_str().expect("a receipt").to_owned()));
    }
    delivered
}

/// The ids in all files of a directory, each with the place of its line. A line that is no JSON has none.
fn places(dir: &Path) -> BTreeMap<String, usize> {
    let mut places = BTreeMap::new();
    for entry in fs::read_dir(dir).expect("the directory") {
        let text = fs::read_to_string(entry.expect("an entry").path()).expect("a file");
        let mut offset = 0;
        for line in text.split_inclusive('\n') {
            if let Ok(message) = serde_json::from_str::<Value>(line) {
                let id = message["id"].as_str().expect("an id").to_owned();
                assert_eq!(places.insert(id, offset), None, "{line} is there twice");
            }
            offset += line.len();
        }
    }
    places
}

/// One host reads its configuration anew meanwhile, and another one is killed.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn no_line_is_lost_by_hosts_that_rotate_one_file() {
    let dir = dir();
    let path = dir.path().join("messages.jsonl");
    let provider = |size| {
        format!("[providers.log]\nplugin = \"file\"\npath = {path:?}\nrotate_size = {size}\nrotate_keep = 1000\n")
    };
    let (host, killed) = (Host::start(&provider(500)), Host::start(&provider(700)));
    let senders = ["x", "y"].map(|name| tokio::spawn(send(killed.url("/v1/messages"), name.to_owned(), usize::MAX)));
    let mut delivered = Vec::new();
    for round in 0..10 {
        if round == 5 {
            killed.kill();
        }
        signal(host.process(), "HUP");
        let names = [format!("a{round}"), format!("b{round}")];
        let sent = names.map(|name| tokio::spawn(send(host.url("/v1/messages"), name, 20)));
        for sent in sent {
            delivered.extend(sent.await.expect("the host answers"));
        }
    }
    assert_eq!(delivered.len(), 400);
    for sender in senders {
        delivered.extend(sender.await.expect("it sent until the host was gone"));
    }
    assert!(dir.path().join("messages.jsonl.10").is_file(), "the file was moved away");
    let places = places(dir.path());
    for (id, receipt) in delivered {
        let place = places.get(&id).unwrap_or_else(|| panic!("{id} is lost: {receipt}"));
        assert_eq!(receipt, format!("{} at byte {place}", path.display()));
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn what_a_file_and_its_lines_can_have() {
    let dir = dir();
    let path = dir.path().join("messages.jsonl");
    let host = Host::start(&format!(
        "[providers.log]\nplugin = \"file\"\npath = {path:?}\nmode = \"0660\"\ntimestamp = \"time\"\n\
        rotate_size = 1\nrotate_keep = 1\n"
    ));
    for id in ["1", "2", "3"] {
        let (status, answer) = host.send(json!({ "provider": "log", "id": id, "text": "a" })).await;
        assert_eq!(status, 200, "{answer}");
    }
    let mut names: Vec<_> =
        fs::read_dir(dir.path()).expect("the directory").map(|entry| entry.expect("an entry").file_name()).collect();
    names.sort();
    assert_eq!(names, ["messages.jsonl", "messages.jsonl.1"]);
    for (name, id) in [("messages.jsonl", "3"), ("messages.jsonl.1", "2")] {
        let file = dir.path().join(name);
        assert_eq!(fs::metadata(&file).expect("the file").permissions().mode() & 0o777, 0o660);
        let line = fs::read_to_string(file).expect("the file");
        // 2026-11-28T03:11:33.007Z
        let (begin, rest) = line.split_at("{\"time\":\"".len());
        let (time, rest) = rest.split_at(24);
        let digits = time.replace(|letter: char| letter.is_ascii_digit(), "0");
        assert_eq!((begin, digits.as_str()), ("{\"time\":\"", "0000-00-00T00:00:00.000Z"));
        assert_eq!(rest, format!("\",\"id\":\"{id}\",\"to\":[],\"subject\":\"\",\"text\":\"a\",\"metadata\":{{}}}}\n"));
    }
}

/// The file grows then, and the log tells of it once until it can be moved again.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn a_file_that_cannot_be_moved_is_no_line_for_each_message() {
    let dir = dir();
    let (path, old) = (dir.path().join("messages.jsonl"), dir.path().join("messages.jsonl.1"));
    let host = Host::start(&format!(
        "[providers.log]\nplugin = \"file\"\npath = {path:?}\nrotate_size = 1\nrotate_keep = 1\n"
    ));
    let send = async |count: usize| {
        for _ in 0..count {
            let (status, answer) = host.send(json!({ "provider": "log", "text": "a" })).await;
            assert_eq!(status, 200, "{answer}");
        }
    };
    for _ in 0..2 {
        // No file takes the place of a directory.
        fs::create_dir(&old).expect("a directory");
        send(3).await;
        assert_eq!(fs::read_to_string(&path).expect("the file").lines().count(), 3);
        fs::remove_dir(&old).expect("it is empty");
        send(1).await;
        fs::remove_file(&old).expect("the file was moved");
        fs::remove_file(&path).expect("the file");
    }
    host.terminate();
    let (_, log) = host.wait();
    assert_eq!(log.matches(" WARN ").count(), 2, "{log}");
    assert_eq!(log.matches("cannot rotate the file").count(), 2, "{log}");
}
