//! What the smtp plugin sends, read by another program.

use crate::support::certificate::Certificate;
use crate::support::mail::{read, whole};
use crate::support::random::Random;
use crate::support::smtp::{Mail, PASSWORD, SmtpServer};
use crate::support::{Host, dir};
use serde_json::{Value, json};

/// A host whose provider `mail`, which has `more` in its table, sends to a server.
async fn start(more: &str) -> (Host, SmtpServer) {
    let (dir, certificate) = (dir(), Certificate::new());
    let server = SmtpServer::start(&certificate).await;
    let bundle = certificate.write_bundle(dir.path());
    let host = Host::start_with(&format!("{}{more}", server.provider("mail", PASSWORD)), |command| {
        command.env("SSL_CERT_FILE", bundle);
    });
    (host, server)
}

/// Compares what mails say with what is expected of them.
fn compare(mails: &[Mail], expected: &[&Value]) {
    let texts: Vec<String> = mails.iter().map(|mail| mail.text.clone()).collect();
    assert_eq!(texts.len(), expected.len());
    for ((found, expected), text) in read(&texts).iter().zip(expected).zip(&texts) {
        assert_eq!(found, *expected, "{text}");
    }
}

/// Sends each message through the provider `mail`, which has `more` in its table, and compares what comes with what is expected.
async fn check(more: &str, messages: &[(Value, Value)]) -> Vec<Mail> {
    let (host, server) = start(more).await;
    for (message, _) in messages {
        let (status, answer) = host.send(message.clone()).await;
        assert_eq!(status, 200, "{answer}");
    }
    let mails = server.mails();
    compare(&mails, &messages.iter().map(|(_, expected)| expected).collect::<Vec<_>>());
    mails
}

/// A message with these fields, and what its mail says: the same, but for what is `different`.
fn message(fields: Value, different: Value) -> (Value, Value) {
    let mut message = json!({ "provider": "mail", "to": ["bob@example.org"], "subject": "", "text": "" });
    let mut read = json!({
        "from": ["Provost", "provost@example.org"], "to": [["", "bob@example.org"]], "subject": "", "parts": ["text/plain"],
        "text": "", "html": null, "attachments": [],
    });
    for (key, value) in fields.as_object().expect("an object") {
        message[key] = value.clone();
        if let Some(read) = read.get_mut(key) {
            *read = value.clone();
        }
    }
    for (key, value) in different.as_object().expect("an object") {
        read[key] = value.clone();
    }
    (message, read)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn another_parser_reads_what_was_sent() {
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
    let mut messages = Vec::new();
    for (to, read_to) in &recipients {
        for (subject, text) in subjects.iter().zip(texts) {
            let fields = json!({ "to": to, "subject": subject, "text": text });
            messages.push(message(fields, json!({ "to": read_to, "text": text.trim_end_matches('\n') })));
        }
    }
    // The same texts once more, as HTML beside another one.
    for html in texts {
        let different = json!({ "parts": ["multipart/alternative", "text/plain", "text/html"], "html": html.trim_end_matches('\n') });
        messages.push(message(json!({ "text": "plain", "html": html }), different));
    }
    check("", &messages).await;
}

/// What texts are made of: what a mail has to quote or to encode.
const PIECES: &[&str] = &[
    "a", "Z", "7", " ", " ", "é", "ß", "世界", "🎉", "\"", "'", "\\", "=?", "?=", "=", "=3D", "%41", "*0*=", ",", ";",
    ":", "<", ">", "@", "(", ")", ".", "From ",
];

/// What can stand in a text, and in no line.
const CONTROLS: &[&str] = &["\r", "\n", "\r\n", "\0", "\t", "\u{7f}"];

/// At most so many pieces. A few are longer than a line of a mail can be, or what a reader decodes.
fn text(random: &mut Random, most: usize, controls: bool) -> String {
    let pieces = (0..random.below(most + 1)).map(|_| match random.below(40) {
        0 => "x".repeat(1000),
        1 | 2 => "=?utf-8?q?a?=".to_owned(),
        3..6 if controls => CONTROLS[random.below(CONTROLS.len())].to_owned(),
        _ => PIECES[random.below(PIECES.len())].to_owned(),
    });
    pieces.collect()
}

/// The same for what should be one line, and sometimes is not.
fn line(random: &mut Random, most: usize) -> String {
    let controls = random.below(8) == 0;
    text(random, most, controls)
}

/// A message, what its mail says, and whether there can be such a mail.
fn generated(seed: u64) -> (Value, Value, bool) {
    let mut random = Random(seed);
    let is_line = |text: &str, most: usize| text.len() <= most && !text.contains(char::is_control);
    let said = |text: &str| text.replace("\r\n", "\n").replace('\r', "\n").trim_end_matches('\n').to_owned();
    // A header has no spaces at its ends.
    let subject = line(&mut random, 12).trim_matches(' ').to_owned();
    let mut can_be = is_line(&subject, 4096);
    let plain = text(&mut random, 20, true);
    let html = (random.below(2) == 1).then(|| text(&mut random, 20, true));
    let (mut to, mut read_to, mut attachments) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..=random.below(3) {
        // Of several spaces side by side a quoted name has one.
        let name = line(&mut random, 4).split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
        let address = format!("recipient{number}@mail.example.org");
        let recipient = format!("\"{}\" <{address}>", name.replace('\\', "\\\\").replace('"', "\\\""));
        can_be &= is_line(&recipient, 900);
        to.push(recipient);
        read_to.push([name, address]);
    }
    for _ in 0..random.below(3) {
        let name = line(&mut random, 6);
        can_be &= is_line(&name, 255) && !name.contains(['/', '\\']) && !["", ".", ".."].contains(&name.as_str());
        let content = "AAAA".repeat(random.below(100));
        attachments.push(json!({ "name": name, "content_type": "application/octet-stream", "content": content }));
    }
    let mut parts = match html {
        Some(_) => vec!["multipart/alternative", "text/plain", "text/html"],
        None => vec!["text/plain"],
    };
    if !attachments.is_empty() {
        parts.insert(0, "multipart/mixed");
    }
    parts.extend(attachments.iter().map(|_| "application/octet-stream"));
    let different = json!({ "to": read_to, "parts": parts, "text": said(&plain), "html": html.as_deref().map(said) });
    let fields = json!({ "to": to, "subject": subject, "text": plain, "html": html, "attachments": attachments });
    let (message, read) = message(fields, different);
    (message, read, can_be)
}

/// The same ones in each run, made of pieces at random.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn another_parser_reads_whatever_was_sent() {
    let (host, server) = start("").await;
    let (mut expected, mut refused) = (Vec::new(), 0);
    for seed in 0..200 {
        let (message, read, can_be) = generated(seed);
        let (status, answer) = host.send(message.clone()).await;
        if can_be {
            assert_eq!(status, 200, "{seed}: {answer} for {message}");
            expected.push(read);
        } else {
            assert!(matches!(status, 400 | 422), "{seed}: {status} {answer} for {message}");
            refused += 1;
        }
    }
    assert!(expected.len() > 50 && refused > 50, "{} mails, and {refused} that cannot be", expected.len());
    compare(&server.mails(), &expected.iter().collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn attachments_keep_their_names_and_bytes() {
    let (long, wide) = ("long ".repeat(50) + "x.txt", "世".repeat(80) + ".txt");
    let names = [
        "report.pdf",
        "Grüße, 世界.pdf",
        "🎉.png",
        "\"quoted\" 'name'.txt",
        "semi; colon=1, comma.txt",
        "=?utf-8?q?encoded?=.txt",
        "100%41.txt",
        "star*0*=.txt",
        "(comment) <a@b>.txt",
        ".hidden",
        &long,
        &wide,
        &"\"".repeat(250),
        "x",
    ];
    let types = ["application/pdf", "text/csv; charset=\"utf-8\"; header=\"present\"", "image/svg+xml"];
    let contents = ["", "AP8NCi4NCg==", &"AAAA".repeat(100)];
    let attachments: Vec<Value> = (0..names.len())
        .map(|index| {
            let (content_type, content) = (types[index % types.len()], contents[index % contents.len()]);
            json!({ "name": names[index], "content_type": content_type, "content": content })
        })
        .collect();
    let mut parts = vec!["multipart/mixed", "text/plain"];
    parts.extend(
        attachments
            .iter()
            .map(|file| file["content_type"].as_str().and_then(|kind| kind.split(';').next()).expect("a type")),
    );
    let all = message(json!({ "text": "see there", "attachments": attachments }), json!({ "parts": parts }));
    check("", &[all, whole("mail")]).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn templates_make_the_mail() {
    let template = r#"
[providers.mail.template]
subject = "[{{ metadata.host|default('?') }}] {{ subject }}"
text = """
{{ text }}
{% for key, value in metadata|items %}{{ key }}: {{ value }}
{% endfor %}"""
html = "<pre>{{ text }}</pre>{% if html %}{{ html|safe }}{% endif %}<!-- {{ id }} to {{ to|join(' ') }} -->"
"#;
    let parts = ["multipart/alternative", "text/plain", "text/html"];
    let plain = message(
        json!({ "id": "m1", "subject": "Grüße", "text": "a < b" }),
        json!({
            "subject": "[?] Grüße", "text": "a < b", "html": "<pre>a &lt; b</pre><!-- m1 to bob@example.org -->",
            "parts": parts,
        }),
    );
    let with = message(
        json!({ "id": "m2", "subject": "Disk", "text": "90 %", "html": "<b>90 %</b>", "metadata": { "host": "<db1>", "zone": "ü" } }),
        json!({
            "subject": "[<db1>] Disk", "text": "90 %\nhost: <db1>\nzone: ü",
            "html": "<pre>90 %</pre><b>90 %</b><!-- m2 to bob@example.org -->", "parts": parts,
        }),
    );
    check(template, &[plain, with]).await;
}

/// A rendered subject that is no line is refused, and nothing is sent.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn a_template_cannot_forge_a_header() {
    let host = Host::start(
        "[providers.mail]\nplugin = \"smtp\"\nhost = \"localhost\"\nport = 9\nfrom = \"a@example.org\"\n\
        template.subject = \"{{ metadata.host }}\"\n",
    );
    let (mut forged, _) = message(json!({}), json!({}));
    forged["metadata"] = json!({ "host": "a\r\nBcc: eve@example.org" });
    let (status, answer) = host.send(forged).await;
    let expected = "`template.subject` must make one line, and made one with control characters";
    assert_eq!((status, answer["detail"].as_str()), (422, Some(expected)), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn recipients_are_not_told_of_each_other() {
    let to = ["bob@example.org", "Eve <eve@müller.example>"];
    let mails = check("undisclosed = true\n", &[message(json!({ "to": to }), json!({ "to": [] }))]).await;
    assert_eq!(mails[0].to, ["bob@example.org", "eve@xn--mller-kva.example"]);
    for name in ["bob", "eve"] {
        assert!(!mails[0].text.contains(name), "{}", mails[0].text);
    }
}
