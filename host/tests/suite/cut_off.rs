//! Deliveries that the host gives up in the middle of an exchange: what the other side answers later is never taken for the
//! answer to another message, with any of the bundled plugins that keep connections.

use crate::support::Host;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// A server that answers one message late, when it is told to, and says when it has.
#[derive(Clone)]
struct Late {
    told: Arc<Semaphore>,
    answered: Arc<Semaphore>,
}

impl Late {
    fn new() -> Self {
        Self { told: Arc::new(Semaphore::new(0)), answered: Arc::new(Semaphore::new(0)) }
    }

    /// On the server's side.
    async fn wait(&self) {
        self.told.acquire().await.expect("never closed").forget();
    }

    /// Lets the server answer, and waits until it has, or has found that nobody listens any more.
    async fn answer(&self) {
        self.told.add_permits(1);
        self.answered.acquire().await.expect("never closed").forget();
    }
}

async fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    (listener, port)
}

fn message(to: &str) -> Value {
    json!({ "provider": "it", "id": to, "to": [format!("{to}@example.org")], "text": to })
}

/// Answers `DATA` for `late@...` late, refuses `nobody@...`, and keeps whom it has taken mail for.
async fn smtp(stream: TcpStream, late: Late, taken: Arc<Mutex<Vec<String>>>) {
    let mut stream = BufStream::new(stream);
    let mut recipient = String::new();
    let mut answer = "220 ready".to_owned();
    loop {
        let written = stream.write_all(format!("{answer}\r\n").as_bytes()).await;
        let flushed = stream.flush().await;
        if recipient == "late" && answer.starts_with("354") {
            late.answered.add_permits(1);
        }
        let mut line = String::new();
        if written.is_err() || flushed.is_err() || stream.read_line(&mut line).await.is_ok_and(|count| count == 0) {
            return;
        }
        answer = match line.split(['<', '@']).collect::<Vec<_>>().as_slice() {
            ["RCPT TO:", "nobody", ..] => "550 nobody of that name".to_owned(),
            ["RCPT TO:", name, ..] => {
                recipient = (*name).to_owned();
                "250 known".to_owned()
            }
            _ if line == "DATA\r\n" => {
                if recipient == "late" {
                    late.wait().await;
                }
                "354 go ahead".to_owned()
            }
            _ if line == ".\r\n" => {
                taken.lock().expect("no test panics here").push(recipient.clone());
                format!("250 taken for {recipient}")
            }
            _ if ["EHLO", "MAIL", "NOOP", "RSET", "QUIT"].iter().any(|word| line.starts_with(word)) => {
                "250 fine".to_owned()
            }
            // A line of the mail.
            _ => continue_mail(&mut stream, &taken, &recipient).await,
        };
    }
}

/// Reads the rest of a mail.
async fn continue_mail(stream: &mut BufStream<TcpStream>, taken: &Mutex<Vec<String>>, recipient: &str) -> String {
    let mut line = String::new();
    while line != ".\r\n" {
        line.clear();
        if stream.read_line(&mut line).await.is_ok_and(|count| count == 0) {
            return "421 cut off".to_owned();
        }
    }
    taken.lock().expect("no test panics here").push(recipient.to_owned());
    format!("250 taken for {recipient}")
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn a_late_mail_servers_answer_is_no_other_mails() {
    let (listener, port) = listener().await;
    let (late, taken) = (Late::new(), Arc::<Mutex<Vec<String>>>::default());
    let server = (late.clone(), Arc::clone(&taken));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(smtp(stream, server.0.clone(), Arc::clone(&server.1)));
        }
    });
    let host = Host::start(&format!(
        "idempotency_limit = 0\n[providers.it]\nplugin = \"smtp\"\nhost = \"127.0.0.1\"\nport = {port}\ntls = \"none\"\n\
        from = \"a@example.org\"\ntimeout = \"500ms\"\n"
    ));
    for _ in 0..3 {
        assert_eq!(host.send(message("late")).await.0, 504);
        late.answer().await;
        let (status, answer) = host.send(message("nobody")).await;
        let detail = "permanent error (550): nobody of that name";
        assert_eq!((status, &answer["detail"]), (422, &json!(detail)), "{answer}");
        let (status, answer) = host.send(message("bob")).await;
        assert_eq!((status, &answer["receipt"]["reference"]), (200, &json!("250 taken for bob")), "{answer}");
    }
    assert_eq!(*taken.lock().expect("no test panics here"), ["bob"; 3]);
}

/// Answers the first request late, with success, and every other one with 400.
async fn http(stream: TcpStream, late: Late, first: bool) {
    let mut stream = BufStream::new(stream);
    let mut first = first;
    loop {
        let (mut line, mut length) = (String::new(), 0);
        while line != "\r\n" {
            line.clear();
            if stream.read_line(&mut line).await.is_ok_and(|count| count == 0) {
                return;
            }
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.trim().parse().expect("a length");
            }
        }
        stream.read_exact(&mut vec![0; length]).await.expect("the body");
        let status = if first { "200 OK" } else { "400 Bad Request" };
        if first {
            late.wait().await;
        }
        let _ = stream.write_all(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").as_bytes()).await;
        let _ = stream.flush().await;
        if first {
            late.answered.add_permits(1);
        }
        first = false;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn a_late_web_servers_answer_is_no_other_messages() {
    let (listener, port) = listener().await;
    let late = Late::new();
    let server = late.clone();
    tokio::spawn(async move {
        let mut first = true;
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(http(stream, server.clone(), std::mem::take(&mut first)));
        }
    });
    let host = Host::start(&format!(
        "idempotency_limit = 0\n[providers.it]\nplugin = \"webhook\"\nurl = \"http://127.0.0.1:{port}/\"\n\
        whitelist_subnets = [\"127.0.0.1\"]\n\
        secret = \"whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\"\ntimeout = \"500ms\"\n"
    ));
    assert_eq!(host.send(message("late")).await.0, 504);
    late.answer().await;
    for _ in 0..2 {
        let (status, answer) = host.send(message("bob")).await;
        assert_eq!((status, &answer["detail"]), (422, &json!("the server answered 400 Bad Request")), "{answer}");
    }
}
