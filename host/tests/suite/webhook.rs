//! Where `webhook` sends messages, and with which headers, in the real host.

use crate::support::certificate::Certificate;
use crate::support::receiver::{Receiver, SECRET};
use crate::support::{Host, PATIENCE, dir, provost, write_config};
use serde_json::json;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufStream, copy_bidirectional};

const ALLOWED: &str = "whitelist_subnets = [\"127.0.0.0/8\"]\n";

/// What `--check` says of the one provider `hook` with this URL.
fn check(url: &str) -> String {
    let dir = dir();
    let config = format!("[providers.hook]\nplugin = \"webhook\"\nurl = \"{url}\"\nsecret = \"{SECRET}\"\n");
    let config = write_config(dir.path(), &config);
    let output = provost().arg("--config").arg(&config).args(["--check", "--prov", "webhook.prov"]).output();
    let said = String::from_utf8(output.expect("the host starts").stderr).expect("messages are text");
    said.replace(&format!("error: {}: providers.hook.url: ", config.display()), "")
}

#[test]
#[ignore = "needs the files that `cargo xtask test` builds"]
fn urls_that_lead_nowhere() {
    let long = "a".repeat(64);
    let name = "abc.".repeat(63);
    for (url, expected) in [
        ("https://", "this is not a URL: empty host"),
        ("https://example.org:0", "nothing can listen on port 0"),
        ("https://example.org:65536", "this is not a URL: invalid port number"),
        ("https://example..org", "no host can have this name: it begins with a dot, or has two side by side"),
        ("https://example.org./a", "no host can have this name: it ends with a dot"),
        (
            &format!("https://{long}.org"),
            "no host can have this name: a part between its dots is longer than 63 characters",
        ),
        (&format!("https://{name}org"), "no host can have this name: it is longer than 253 characters"),
        ("https://example.org/a b", "it has a space or a control character: remove it, or write `%20` in a path"),
        (
            "http://169.254.169.254/latest",
            "its host is 169.254.169.254 (link-local), which is not on the internet: if it is meant, add it to \
            `whitelist_subnets`",
        ),
    ] {
        assert_eq!(check(url), format!("{expected} (plugin `webhook`)\n"), "{url}");
    }
    assert_eq!(check("https://hooks.example.org:8443/a?b=c"), "");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn a_name_of_this_machine() {
    let receiver = Receiver::start().await;
    let provider = receiver.provider("hook").replace("http://127.0.0.1", "http://localhost");
    let host = Host::start(&provider.replace(ALLOWED, ""));
    let (status, answer) = host.send(json!({ "provider": "hook", "text": "a" })).await;
    let detail = answer["detail"].as_str().unwrap_or_default().replace("::1", "127.0.0.1");
    let expected = "the URL's host resolves to 127.0.0.1 (loopback), which is not on the internet: if it is meant, add it to \
        `whitelist_subnets`";
    assert_eq!((status, detail.as_str()), (503, expected), "{answer}");
    assert_eq!(receiver.requests().len(), 0);
    let host = Host::start(&provider);
    let (status, answer) = host.send(json!({ "provider": "hook", "text": "a" })).await;
    assert_eq!((status, receiver.requests().len()), (200, 1), "{answer}");
}

/// Starts the host where `hosts` is /etc/hosts.
fn with_hosts(command: &mut Command, hosts: &Path) {
    let mut inside = Command::new("unshare");
    inside.args(["--user", "--map-root-user", "--mount", "--", "/bin/sh", "-c"]);
    inside.arg("PATH=/usr/sbin:/usr/bin:/sbin:/bin mount --bind \"$0\" /etc/hosts && exec \"$@\"").arg(hosts);
    inside.arg(command.get_program()).args(command.get_args());
    inside.current_dir(command.get_current_dir().expect("it has one")).env_clear().stdin(Stdio::null());
    *command = inside;
}

/// Between two deliveries the name gets another address.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn a_name_that_resolves_to_something_else_later() {
    let (dir, receiver) = (dir(), Receiver::start().await);
    let inside = TcpListener::bind(("127.0.0.2", receiver.address.port())).expect("a free port");
    inside.set_nonblocking(true).expect("a listener");
    // The next delivery opens a connection of its own.
    receiver.answer(204, &[("connection", "close")]);
    let hosts = dir.path().join("hosts");
    std::fs::write(&hosts, "127.0.0.1 hook.test\n").expect("a temporary file");
    let provider = receiver.provider("hook").replace("//127.0.0.1", "//hook.test").replace("127.0.0.0/8", "127.0.0.1");
    let host = Host::start_with(&provider, |command| with_hosts(command, &hosts));
    let (status, answer) = host.send(json!({ "provider": "hook", "text": "a" })).await;
    assert_eq!((status, receiver.requests().len()), (200, 1), "{answer}");
    std::fs::write(&hosts, "127.0.0.2 hook.test\n").expect("a temporary file");
    let (status, answer) = host.send(json!({ "provider": "hook", "text": "a" })).await;
    let expected = "the URL's host resolves to 127.0.0.2 (loopback), which is not on the internet: if it is meant, add it to \
        `whitelist_subnets`";
    assert_eq!((status, &answer["detail"]), (503, &json!(expected)));
    let asked = inside.accept().map(|_| ()).map_err(|error| error.kind());
    assert_eq!(asked, Err(io::ErrorKind::WouldBlock), "nothing was sent there");
}

/// The proxy resolves the receiver's name, and its own may lead to any address.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn a_proxy_on_this_machine() {
    for variable in ["HTTP_PROXY", "ALL_PROXY"] {
        let receiver = Receiver::start().await;
        let url = format!("http://{}", receiver.address);
        let provider = receiver.provider("hook").replace(&url, "http://hooks.example.invalid").replace(ALLOWED, "");
        let host = Host::start_with(&provider, |command| {
            command.env(variable, url.replace("127.0.0.1", "localhost"));
        });
        let (status, answer) = host.send(json!({ "provider": "hook", "text": "a" })).await;
        assert_eq!(status, 200, "{variable}: {answer}");
        assert_eq!(receiver.requests()[0].headers["host"], "hooks.example.invalid", "{variable}");
    }
}

/// Takes one connection, connects it with `to`, wherever it was meant for, and returns the line that asked for that.
async fn tunnel(proxy: TcpListener, to: SocketAddr) -> String {
    proxy.set_nonblocking(true).expect("a listener");
    let proxy = tokio::net::TcpListener::from_std(proxy).expect("a listener");
    let (stream, _) = proxy.accept().await.expect("a connection");
    let (mut stream, mut head) = (BufStream::new(stream), String::new());
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(stream.read_line(&mut head).await.expect("text"), 0, "{head}");
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.expect("the host reads");
    stream.flush().await.expect("the host reads");
    let mut far = tokio::net::TcpStream::connect(to).await.expect("the receiver listens");
    // An error says that a side has gone.
    tokio::spawn(async move { copy_bidirectional(&mut stream, &mut far).await });
    head.lines().next().unwrap_or_default().to_owned()
}

/// The proxy is told the receiver's name alone: TLS is the receiver's, and the proxy resolves its name.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn a_proxy_between_the_host_and_tls() {
    for variable in ["HTTPS_PROXY", "ALL_PROXY"] {
        let (dir, certificate) = (dir(), Certificate::new());
        let receiver = Receiver::start_tls(&certificate).await;
        let proxy = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", proxy.local_addr().expect("it is bound"));
        let bundle = certificate.write_bundle(dir.path());
        let host = Host::start_with(&receiver.provider("hook").replace(ALLOWED, ""), |command| {
            command.env("SSL_CERT_FILE", bundle).env(variable, url);
        });
        let sent = host.send(json!({ "provider": "hook", "text": "a" }));
        let both = async { tokio::join!(sent, tunnel(proxy, receiver.address)) };
        let ((status, answer), asked) = tokio::time::timeout(PATIENCE, both).await.expect("the host asks the proxy");
        assert_eq!(status, 200, "{variable}: {answer}");
        assert_eq!(asked, format!("CONNECT localhost:{} HTTP/1.1", receiver.address.port()), "{variable}");
        assert_eq!(receiver.requests().len(), 1, "{variable}");
    }
}

/// It refuses the host's login, not the message.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn a_proxy_that_wants_a_login() {
    for (variable, scheme) in [("HTTP_PROXY", "http"), ("HTTPS_PROXY", "https")] {
        let proxy = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", proxy.local_addr().expect("it is bound"));
        let provider = format!(
            "[providers.hook]\nplugin = \"webhook\"\nurl = \"{scheme}://hooks.example.invalid\"\nsecret = \"{SECRET}\"\n"
        );
        let host = Host::start_with(&provider, |command| {
            command.env(variable, url);
        });
        let refusing = async {
            let mut stream = BufStream::new(proxy.accept().await.expect("a connection").0);
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                assert_ne!(stream.read_line(&mut head).await.expect("text"), 0, "{head}");
            }
            stream.write_all(b"HTTP/1.1 407 Login\r\ncontent-length: 0\r\n\r\n").await.expect("the host reads");
            stream.flush().await.expect("the host reads");
        };
        let ((status, problem), ()) = tokio::join!(host.send(json!({ "provider": "hook", "text": "a" })), refusing);
        assert_eq!((status, &problem["type"]), (503, &json!("urn:provost:problem:unauthorized")), "{variable}");
    }
}

/// Requests would go out without it.
#[test]
#[ignore = "needs the files that `cargo xtask test` builds"]
fn a_proxy_that_cannot_be_used() {
    let dir = dir();
    let url = "https://hooks.example.invalid";
    let config = format!("[providers.hook]\nplugin = \"webhook\"\nurl = \"{url}\"\nsecret = \"{SECRET}\"\n");
    let config = write_config(dir.path(), &config);
    for (variable, kind) in [("HTTP_PROXY", "socks5"), ("all_proxy", "ftp")] {
        let mut command = provost();
        command.arg("--config").arg(&config).args(["--prov", "webhook.prov", "--check"]);
        let output = command.env(variable, format!("{kind}://hunter2@localhost")).output().expect("the host starts");
        let expected = format!(
            "error: {}: providers.hook: the environment variable {variable} names no proxy such as \
             `http://proxy.example.org:3128`; it must be http or https (plugin `webhook`)\n",
            config.display()
        );
        assert_eq!(
            (output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()),
            (Some(1), expected.as_str())
        );
    }
}

/// Where no proxy stands between, the host looks again at what a name resolves to.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn what_is_asked_without_the_proxy() {
    let (proxy, receiver) = (Receiver::start().await, Receiver::start().await);
    let url = format!("http://{}", receiver.address);
    let near = format!("http://localhost:{}", receiver.address.port());
    let provider = |name: &str, to: &str| receiver.provider(name).replace(&url, to);
    let providers = provider("far", "http://hooks.example.invalid").replace(ALLOWED, "")
        + &provider("near", &near)
        + &provider("refused", &near).replace(ALLOWED, "");
    let host = Host::start_with(&providers, |command| {
        command.env("HTTP_PROXY", format!("http://{}", proxy.address)).env("NO_PROXY", "example.org, localhost");
    });
    let mut statuses = Vec::new();
    for name in ["far", "near", "refused"] {
        statuses.push(host.send(json!({ "provider": name, "text": "a" })).await.0);
    }
    assert_eq!(statuses, [200, 200, 503]);
    let hosts = |receiver: &Receiver| -> Vec<_> {
        receiver.requests().iter().map(|request| request.headers["host"].clone()).collect()
    };
    assert_eq!(hosts(&proxy), ["hooks.example.invalid"]);
    assert_eq!(hosts(&receiver), [near.trim_start_matches("http://")]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn headers_and_a_login_that_nobody_sees() {
    let (dir, receiver) = (dir(), Receiver::start().await);
    let file = dir.path().join("password");
    std::fs::write(&file, "hunter2\n").expect("a temporary file");
    let more = format!(
        "basic = {{ user = \"alice\", password = \"file:{}\" }}\n\
        headers = {{ X-Token = \"env:HOOK_TOKEN\", X-Team = \"ops\" }}\n",
        file.display()
    );
    let host = Host::start_with(&(receiver.provider("hook") + &more), |command| {
        command.env("HOOK_TOKEN", " t0ken\n").args(["--log", "trace"]);
    });
    let (status, answer) = host.send(json!({ "provider": "hook", "text": "a" })).await;
    assert_eq!(status, 200, "{answer}");
    let request = receiver.requests().pop().expect("a request");
    for (name, value) in [("authorization", "Basic YWxpY2U6aHVudGVyMg=="), ("x-token", "t0ken"), ("x-team", "ops")] {
        assert_eq!(request.headers[name], value);
    }
    host.terminate();
    let (_, log) = host.wait();
    for secret in ["hunter2", "t0ken", "YWxpY2U6aHVudGVyMg"] {
        assert!(!log.contains(secret), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn a_login_that_is_refused_is_counted() {
    let receiver = Receiver::start().await;
    let host = Host::start(&receiver.provider("hook"));
    receiver.answer(401, &[]);
    let (status, problem) = host.send(json!({ "provider": "hook", "id": "a1", "text": "a" })).await;
    let expected = json!({
        "type": "urn:provost:problem:unauthorized", "title": "the other side refuses the host", "status": 503,
        "detail": "the server answered 401 Unauthorized", "provider": "hook", "id": "a1",
    });
    assert_eq!((status, problem), (503, expected));
    let metrics = host.metrics().await;
    let counted = |outcome: &str| {
        let sample = format!("provost_deliveries_total{{provider=\"hook\",outcome=\"{outcome}\"}} ");
        metrics.lines().find_map(|line| line.strip_prefix(&sample)).expect("each outcome is there")
    };
    let outcomes = ["delivered", "temporary-failure", "unauthorized", "refused"];
    assert_eq!(outcomes.map(counted), ["0", "0", "1", "0"]);
}
