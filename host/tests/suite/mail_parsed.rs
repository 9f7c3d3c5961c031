//! What the smtp plugin sends, read by another program: Python's `email`, which raises an error at each defect.

use crate::support::certificate::Certificate;
use crate::support::smtp::{PASSWORD, SmtpServer};
use crate::support::{Host, dir};
use serde_json::{Value, json};
use std::io::Write;
use std::process::{Command, Stdio};

/// Reads mails on stdin, and says what is in them.
const READ: &str = r#"
import email, email.policy, json, sys
read = []
for text in json.load(sys.stdin):
    raw = text.encode()
    for line in raw.split(b"\r\n"):
        assert len(line) <= 998 and not set(line) & set(b"\r\n\0"), line
    mail = email.message_from_bytes(raw, policy=email.policy.strict)
    assert mail["mime-version"] == "1.0" and mail["date"] and mail["from"].addresses[0].addr_spec == "provost@example.org"
    assert mail["message-id"] and mail.get_content_type() == "text/plain", raw
    to = [[address.display_name, address.addr_spec] for address in mail["to"].addresses]
    read.append({"subject": mail["subject"], "to": to, "text": mail.get_content().replace("\r\n", "\n").rstrip("\n")})
json.dump(read, sys.stdout)
"#;

fn read(mails: &[String]) -> Value {
    let mut command = Command::new("python3");
    command.args(["-c", READ]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut python = command.spawn().expect("python3 starts");
    let text = serde_json::to_vec(mails).expect("texts are JSON");
    python.stdin.take().expect("it was asked for").write_all(&text).expect("it reads");
    let output = python.wait_with_output().expect("it ends");
    assert!(output.status.success(), "python3 finds a defect");
    serde_json::from_slice(&output.stdout).expect("it prints JSON")
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn another_parser_reads_what_was_sent() {
    let (dir, certificate) = (dir(), Certificate::new());
    let server = SmtpServer::start(&certificate).await;
    let bundle = certificate.write_bundle(dir.path());
    let host = Host::start_with(&server.provider("mail", PASSWORD), |command| {
        command.env("SSL_CERT_FILE", bundle);
    });
    let many: Vec<String> = (0..300).map(|number| format!("user{number}@example.org")).collect();
    let recipients: [(Vec<&str>, Vec<[&str; 2]>); 4] = [
        (vec!["bob@example.org"], vec![["", "bob@example.org"]]),
        (
            vec!["\"Grün, Bob\" <bob@example.org>", "a@müller.example"],
            vec![["Grün, Bob", "bob@example.org"], ["", "a@xn--mller-kva.example"]],
        ),
        (vec!["\"Bob \\\"B\\\" Jones\" <bob@example.org>"], vec![["Bob \"B\" Jones", "bob@example.org"]]),
        (many.iter().map(String::as_str).collect(), many.iter().map(|address| ["", address.as_str()]).collect()),
    ];
    let long = "long ".repeat(400);
    let word = "x".repeat(2000);
    let subjects = ["", "Hello", "Grüße, 世界", "=?utf-8?q?no?=", "a  b", long.trim_end(), &word, "🎉 = 100 %? yes"];
    let texts = [
        "",
        "one\ntwo",
        ".\n..\n.dot",
        "Grüße\n",
        "tab\tand  spaces ",
        &word,
        "From here\n=3D=",
        "世界".repeat(700).leak(),
    ];
    let (mut expected, mut sent) = (Vec::new(), 0);
    for (to, read_to) in &recipients {
        for (subject, text) in subjects.iter().zip(texts) {
            let message = json!({ "provider": "mail", "to": to, "subject": subject, "text": text });
            let (status, answer) = host.send(message).await;
            assert_eq!(status, 200, "{answer}");
            expected.push(json!({ "subject": subject, "to": read_to, "text": text.trim_end_matches('\n') }));
            sent += 1;
        }
    }
    let mails: Vec<String> = server.mails().into_iter().map(|mail| mail.text).collect();
    assert_eq!(mails.len(), sent);
    let found = read(&mails);
    for (number, expected) in expected.iter().enumerate() {
        assert_eq!(found[number], *expected, "{}", mails[number]);
    }
}
