//! Mails, read by another program: Python's `email`, which raises an error at each defect.

use serde_json::Value;
use std::io::Write;
use std::process::{Command, Stdio};

/// Reads mails on stdin, and says what is in them. Servers keep lines with LF alone.
const READ: &str = r#"
import base64, email, email.policy, json, sys

def text(part):
    return part and part.get_content().replace("\r\n", "\n").rstrip("\n")

def read(raw):
    for line in raw.split(b"\r\n" if b"\r\n" in raw else b"\n"):
        assert len(line) <= 998 and not set(line) & set(b"\r\n\0"), line
    mail = email.message_from_bytes(raw, policy=email.policy.strict)
    for part in mail.walk():
        assert not part.defects and not any(value.defects for value in part.values()), part.items()
    assert mail["mime-version"] == "1.0" and mail["date"] and mail["message-id"], raw
    [sender] = mail["from"].addresses
    return {
        "from": [sender.display_name, sender.addr_spec],
        "to": [[address.display_name, address.addr_spec] for address in mail["to"].addresses],
        "subject": mail["subject"],
        "parts": [part.get_content_type() for part in mail.walk()],
        "text": text(mail.get_body(["plain"])),
        "html": text(mail.get_body(["html"])),
        "attachments": [
            {
                "name": part["content-disposition"].params["filename"],
                "content_type": part["content-type"],
                "content": base64.b64encode(part.get_payload(decode=True)).decode(),
            }
            for part in mail.walk() if part.get_content_disposition() == "attachment"
        ],
    }

json.dump([read(text.encode()) for text in json.load(sys.stdin)], sys.stdout)
"#;

/// What each mail says: `from`, `to`, `subject`, `text`, `html` and `attachments`, and the types of its `parts`.
pub fn read(mails: &[String]) -> Vec<Value> {
    let mut command = Command::new("python3");
    command.args(["-c", READ]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut python = command.spawn().expect("python3 starts");
    let text = serde_json::to_vec(mails).expect("texts are JSON");
    python.stdin.take().expect("it was asked for").write_all(&text).expect("it reads");
    let output = python.wait_with_output().expect("it ends");
    assert!(output.status.success(), "python3 finds a defect");
    serde_json::from_slice(&output.stdout).expect("it prints JSON")
}

/// A message with all that a mail can have, and what it says then.
pub fn whole(provider: &str) -> (Value, Value) {
    let names = ["report.pdf", "Grüße \"an\" alle; 世界 =100%.csv"];
    let attachments = names.map(|name| {
        serde_json::json!({ "name": name, "content_type": "application/octet-stream", "content": "AP8NCi4NCg==" })
    });
    let message = serde_json::json!({
        "provider": provider, "id": "whole", "to": ["Bob <bob@example.org>"], "subject": "Grüße", "text": "one\n.\nthree",
        "html": "<p>one\n.\n<b>drei ü</b>", "attachments": attachments,
    });
    let read = serde_json::json!({
        "from": ["Provost", "provost@example.org"], "to": [["Bob", "bob@example.org"]], "subject": "Grüße",
        "parts": [
            "multipart/mixed", "multipart/alternative", "text/plain", "text/html",
            "application/octet-stream", "application/octet-stream",
        ],
        "text": "one\n.\nthree", "html": "<p>one\n.\n<b>drei ü</b>", "attachments": attachments,
    });
    (message, read)
}
