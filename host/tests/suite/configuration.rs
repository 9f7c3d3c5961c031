//! What the built host says of a configuration that is wrong: whole messages, and exit code 1.

use crate::support::{BUNDLED, bundled, dir, dist, provost, write_config};
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

const FILE: [&str; 1] = ["file.prov"];

/// Runs `--check` with a configuration; `@` stands for the test's own directory.
fn check(config: &str, plugins: &[&str], expected: &str) {
    let dir = dir();
    let shown = dir.path().to_str().expect("a temporary directory's name is text");
    let config = write_config(dir.path(), &config.replace('@', shown));
    let mut command = provost();
    command.arg("--config").arg(config).arg("--check");
    for plugin in plugins {
        command.args(["--prov", plugin]);
    }
    let output = command.output().expect("the host starts");
    let stderr = String::from_utf8(output.stderr).expect("messages are text").replace(shown, "@");
    assert_eq!(stderr, expected);
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(1), &b""[..]), "{:?}", output.status.signal());
}

/// The same with all plugins, whose names stand for `LOADED`.
fn check_all(config: &str, expected: &str) {
    let plugins: Vec<String> = bundled().collect();
    let plugins: Vec<&str> = plugins.iter().map(String::as_str).collect();
    check(config, &plugins, &expected.replace("LOADED", &BUNDLED.join(", ")));
}

#[test]
#[ignore = "needs the files that `cargo xtask test` builds"]
fn errors_of_a_configuration_come_together() {
    check_all(
        r#"
lgo = 1
[server]
lisen = "127.0.0.1:0"
listen = "localhost:8080"
[log]
filter = "info,smtp=loud"
[providers.file]
pathh = "x"
timout = "3s"
[providers.mail]
plugin = "smpt"
[providers.alerts]
plugin = "webhook"
url = "ftp://example.org"
[providers.other]
plugin = "smtp"
host = "localhost"
from = "nobody"
user = "alice"
[providers."a b"]
plugin = "file"
path = "@"
timeout = "0s"
[providers.slow]
plugin = "file"
path = "x"
timeout = "soon"
"#,
        "\
error: @/config.toml: lgo: unknown key; did you mean `log`?
error: @/config.toml: server.lisen: unknown key; did you mean `listen`?
error: @/config.toml: server.listen: `localhost:8080` is not an address with a port such as \"0.0.0.0:8080\", nor a socket such as \
\"unix:/run/provost.sock\"
error: @/config.toml: log.filter: `info,smtp=loud` is not a filter such as \"info,smtp=debug\": error parsing level filter: \
expected one of \"off\", \"error\", \"warn\", \"info\", \"debug\", \"trace\", or a number 0-5
error: @/config.toml: providers.a b: a provider's name may contain only letters, digits, `-` and `_`; rename it
error: @/config.toml: providers.a b.timeout: a duration must be at least a millisecond, \"1ms\"
error: @/config.toml: providers.slow.timeout: `soon` is not a duration such as \"10s\": expected number at 0
error: @/config.toml: providers.a b.path: @ is a directory; choose a file in it (plugin `file`)
error: @/config.toml: providers.alerts.url: `ftp` is neither https nor http (plugin `webhook`)
error: @/config.toml: providers.alerts.secret: missing: set it, or `secret_file`, to the receiver's `whsec_...` (plugin `webhook`)
error: @/config.toml: providers.file.pathh: unknown key; did you mean `path`?
error: @/config.toml: providers.file.timout: unknown key; did you mean `timeout`?
error: @/config.toml: providers.file: missing field `path`
error: @/config.toml: providers.mail: its plugin `smpt` is not loaded (loaded: LOADED): \
did you mean `plugin = \"smtp\"`?
error: @/config.toml: providers.other.from: `nobody` is not a mail address such as `Alerts <alerts@example.org>`: Invalid input (plugin `smtp`)
error: @/config.toml: providers.other.user: missing password: set `password` or `password_file` (plugin `smtp`)
",
    );
}

/// A file in the place of the configuration is not written to the log.
#[test]
#[ignore = "needs the files that `cargo xtask test` builds"]
fn long_keys_and_values_are_not_repeated() {
    let long = "x".repeat(100_000);
    let (value, key, line) = (&long[..64], &long[..250], &long[..1000 - "unknown variant `".len()]);
    check_all(
        &format!(
            "{long} = 1\n[server]\nlisten = \"{long}\"\nrequest_timeout = \"{long}\"\n[providers.a]\nplugin = \"{long}\"\n \
             [providers.b]\nplugin = \"smtp\"\nhost = \"h\"\nfrom = \"{long}\"\n[providers.c]\nplugin = \"webhook\"\nurl = \
             \"{long}:\"\n [providers.d]\nplugin = \"smtp\"\nhost = \"h\"\nfrom = \"a@example.org\"\ntls = \"{long}\"\n"
        ),
        &format!(
            "\
error: @/config.toml: {key}...: unknown key; remove it, or use one of clients, include, log, providers, server
error: @/config.toml: server.request_timeout: `{value}...` is not a duration such as \"10s\": expected number at 0
error: @/config.toml: providers.a: its plugin `{value}...` is not loaded (loaded: LOADED): set `plugin`, \
or add `--prov {value}....prov` to the command
error: @/config.toml: providers.b.from: `{value}...` is not a mail address such as `Alerts <alerts@example.org>`: \
it is longer than a line, or has control characters (plugin `smtp`)
error: @/config.toml: providers.c.url: `{value}...` is neither https nor http (plugin `webhook`)
error: @/config.toml: providers.c.secret: missing: set it, or `secret_file`, to the receiver's `whsec_...` (plugin `webhook`)
error: @/config.toml: providers.d.tls: unknown variant `{line}...
"
        ),
    );
    let file = dir();
    let path = file.path().join("config.toml");
    std::fs::write(&path, format!("a = {long}")).expect("a temporary file");
    let output = provost().arg("--config").arg(&path).arg("--check").output().expect("the host starts");
    let expected = format!("error: {}:1:5: string values must be quoted, expected literal string\n", path.display());
    assert_eq!(String::from_utf8_lossy(&output.stderr), expected);
}

/// The configuration of a new image is also the list of what can be configured.
#[test]
#[ignore = "needs the files that `cargo xtask test` builds"]
fn the_default_configuration_shows_every_key() {
    let shown = include_str!("../../config/default.toml");
    let dir = dir();
    let mut config = "zzzzzz = 1\n[server]\nzzzzzz = 1\n[log]\nzzzzzz = 1\n".to_owned();
    for plugin in BUNDLED {
        config += &format!("[providers.{plugin}]\nzzzzzz = 1\n");
    }
    let config = write_config(dir.path(), &config);
    let mut command = provost();
    command.arg("--config").arg(config).arg("--check").args(bundled().map(|name| format!("--prov={name}")));
    let output = command.output().expect("the host starts");
    let stderr = String::from_utf8(output.stderr).expect("messages are text");
    let known: Vec<&str> = stderr.lines().filter_map(|line| Some(line.split_once("use one of ")?.1)).collect();
    assert_eq!(known.len(), 3 + BUNDLED.len(), "{stderr}");
    for key in known.iter().flat_map(|keys| keys.split(", ")) {
        let shows = |line: &str| {
            let line = line.trim_start_matches(['#', ' ', '[']);
            line.strip_prefix(key).is_some_and(|rest| rest.starts_with([' ', ']', '.']))
        };
        let instead = format!("# or {key} = ");
        assert!(shown.lines().any(|line| shows(line) || line.contains(&instead)), "{key} is missing");
    }
}

#[test]
#[ignore = "needs the files that `cargo xtask test` builds"]
fn a_file_that_is_a_pipe() {
    let dir = dir();
    let pipe = dir.path().join("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status().expect("mkfifo is everywhere");
    assert!(made.success());
    let pipe = pipe.display();
    check(
        &format!("[providers.file]\npath = \"{pipe}\"\n"),
        &FILE,
        &format!(
            "error: @/config.toml: providers.file.path: {pipe} is a pipe, a socket or a disk, which stores no lines; choose \
            a file\n"
        ),
    );
}

#[test]
#[ignore = "needs the files that `cargo xtask test` builds"]
fn settings_that_seem_right() {
    check(
        "[server]\nrequest_timeout = \"300000y\"\n",
        &[],
        "error: @/config.toml: server.request_timeout: a duration must be at most a day, \"24h\"\n",
    );
    // `@` would be replaced.
    check_all(
        r#"
[server]
listen = "127.0.0.1:8080"
metrics_listen = "0.0.0.0:8080"
hosts = ["example.org:8080", "", "a b", "*.example.org", "[::1]:80", "..", "-", "a..b", "[::1]", "example.org", "a_b."]
body_limit = 0
memory_limit = 2000000000
connections_limit = 0
peer_connections_limit = 0
batch_limit = 0
[clients.shop]
tokens = ["hunter2", "sha256:12"]
providers = ["aa"]
rate_limit = 0
[clients.none]
tokens = []
providers = []
[clients.nothing]
tokens = ["sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"]
[clients.one]
tokens = ["sha256:a665a45920422f9d417e4867efdc4fb8a04a1f3fff1fa07e998e86f7f7a27ae3"]
[clients.twin]
tokens = ["sha256:A665A45920422F9D417E4867EFDC4FB8A04A1F3FFF1FA07E998E86F7F7A27AE3"]
[providers.a]
plugin = "smtp"
host = "smtp://mail.example.org"
from = "a\u0040example.org"
timeout = "25h"
[providers.b]
plugin = "smtp"
host = "mail.example.org"
port = 0
from = "a\u0040example.org"
user = "alice"
password = "${PASSWORD}"
[providers.c]
plugin = "webhook"
url = "https://example.org"
secret = "  "
[providers.d]
plugin = "webhook"
url = "https://example.org"
secret = "env:NOBODY_SETS_IT"
[providers.e]
plugin = "webhook"
url = "https://example.org:0/"
secret_file = "none"
"#,
        "\
error: @/config.toml: providers.b.password: `${...}` is not replaced here; write the value, or for a secret `env:NAME`
error: @/config.toml: server.body_limit: must be 1 to 1073741824
error: @/config.toml: server.memory_limit: must be 4097 to 1073741824
error: @/config.toml: server.connections_limit: must be at least 1
error: @/config.toml: server.peer_connections_limit: must be at least 1
error: @/config.toml: server.batch_limit: must be 1 to 10000
error: @/config.toml: server.hosts: `example.org:8080` is not a host without a port such as \"example.org\"
error: @/config.toml: server.hosts: `` is not a host without a port such as \"example.org\"
error: @/config.toml: server.hosts: `a b` is not a host without a port such as \"example.org\"
error: @/config.toml: server.hosts: `*.example.org` is not a host without a port such as \"example.org\"
error: @/config.toml: server.hosts: `[::1]:80` is not a host without a port such as \"example.org\"
error: @/config.toml: server.hosts: `..` is not a host without a port such as \"example.org\"
error: @/config.toml: server.hosts: `-` is not a host without a port such as \"example.org\"
error: @/config.toml: server.hosts: `a..b` is not a host without a port such as \"example.org\"
error: @/config.toml: server.metrics_listen: `server.listen` is there too: choose another port
error: @/config.toml: providers.a.timeout: a duration must be at most a day, \"24h\"
error: @/config.toml: clients.none.tokens: empty: such a client can send nothing
error: @/config.toml: clients.none.providers: empty: such a client can send nothing; without the key it may use all
error: @/config.toml: clients.nothing.tokens: number 1 is the SHA-256 of an empty text: no token is empty
error: @/config.toml: clients.shop.tokens: number 1 is not `sha256:` and 64 hexadecimal digits, as `printf %s TOKEN | sha256sum` prints them
error: @/config.toml: clients.shop.tokens: number 2 is not `sha256:` and 64 hexadecimal digits, as `printf %s TOKEN | sha256sum` prints them
error: @/config.toml: clients.shop.providers: there is no provider `aa`: did you mean `a`?
error: @/config.toml: clients.shop.rate_limit: must be 1 to 1000000
error: @/config.toml: clients.twin.tokens: number 1 is a token of client `one` too: each has its own
error: @/config.toml: providers.a.host: `smtp://mail.example.org` is not a server's name such as `mail.example.org`, or an address (plugin `smtp`)
error: @/config.toml: providers.b.port: invalid value: integer `0`, expected a whole number from 1 to 65535 (plugin `smtp`)
error: @/config.toml: providers.c.secret: empty: set it, say where it is by `env:NAME` or `file:/PATH`, or remove it (plugin `webhook`)
error: @/config.toml: providers.d.secret: the environment variable NOBODY_SETS_IT is not set, or is not UTF-8 (plugin `webhook`)
error: @/config.toml: providers.e.url: nothing can listen on port 0 (plugin `webhook`)
error: @/config.toml: providers.e.secret_file: reading @/none: No such file or directory (os error 2) (plugin `webhook`)
",
    );
}

#[test]
#[ignore = "needs the files that `cargo xtask test` builds"]
fn limits_that_no_host_could_keep() {
    check(
        "[server]\nbody_limit = 4097\nmemory_limit = 8192\nrecipients_limit = 1000001\nfield_limit = 1073741825\n\
         attachments_limit = 10001\nmetadata_limit = 10001\nidempotency_limit = 100001\n[log]\nformat = \"xml\"\n",
        &[],
        "\
error: @/config.toml: log.format: unknown variant `xml`, expected `human` or `json`
error: @/config.toml: server.recipients_limit: must be 0 to 1000000
error: @/config.toml: server.field_limit: must be 0 to 1073741824
error: @/config.toml: server.attachments_limit: must be 0 to 10000
error: @/config.toml: server.metadata_limit: must be 0 to 10000
error: @/config.toml: server.idempotency_limit: must be 0 to 100000
error: @/config.toml: server.memory_limit: less than `server.body_limit` and 4096 more: no message of such a body would have room
",
    );
    for (text, key, expected) in [
        ("[clients.shop]\ntokens = \"hunter2\"\n", "clients.shop.tokens", "a list"),
        ("[clients]\nshop = \"hunter2\"\n", "clients.shop", "a table"),
    ] {
        check(text, &[], &format!("error: @/config.toml: {key}: invalid type: a text, expected {expected}\n"));
    }
    for filter in ["warning", "smtp", "info,", "smtp=debug,none", "smtp=debug, none "] {
        let word = filter.rsplit(',').next().unwrap_or_default().trim();
        check(
            &format!("[log]\nfilter = \"{filter}\"\n"),
            &[],
            &format!(
                "error: @/config.toml: log.filter: `{filter}` is not a filter such as \"info,smtp=debug\": `{word}` is no level; \
                 use one of off, error, warn, info, debug and trace, and for a module `NAME=LEVEL`\n"
            ),
        );
    }
    // The largest and the smallest that can be.
    let dir = dir();
    let limits = "[server]\nbody_limit = 4096\nmemory_limit = 8192\nrecipients_limit = 1000000\nfield_limit = 1073741824\n\
                  attachments_limit = 10000\nmetadata_limit = 0\nidempotency_limit = 100000\n[log]\nfilter = \" smtp=debug, INFO \"\nformat = \"json\"\n";
    let config = write_config(dir.path(), limits);
    let output = provost().arg("--config").arg(config).arg("--check").output().expect("the host starts");
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
}

#[test]
#[ignore = "needs the files that `cargo xtask test` builds"]
fn a_value_of_a_wrong_type() {
    check_all(
        "[server]\nbody_limit = \"big\"\n[providers.file]\npath = 3\nconcurrency = 0\n",
        "\
error: @/config.toml: server.body_limit: invalid type: a text, expected a whole number of at least 0
error: @/config.toml: providers.file.concurrency: must be 1 to 10000
error: @/config.toml: providers.file.path: invalid type: integer `3`, expected a path
",
    );
}

#[test]
#[ignore = "needs the files that `cargo xtask test` builds"]
fn limits_of_deliveries_are_checked_together() {
    check_all(
        "[providers.file]\npath = \"/dev/null\"\nqueue = 10001\nrate = 0\n\
        retry = { attempts = 0, first_delay = \"1s\", longest_delay = \"1ms\" }\ncircuit = { failures = 1000001, open = 1 }\n",
        "\
error: @/config.toml: providers.file.circuit.open: unknown key; remove it
error: @/config.toml: providers.file.queue: must be at most 10000
error: @/config.toml: providers.file.rate: must be 1 to 1000000
error: @/config.toml: providers.file.retry.attempts: must be 1 to 100
error: @/config.toml: providers.file.retry.longest_delay: less than `retry.first_delay`; make it as long at least
error: @/config.toml: providers.file.circuit.failures: must be at most 1000000
",
    );
}

#[test]
#[ignore = "needs the files that `cargo xtask test` builds"]
fn a_configuration_that_cannot_be_read() {
    check_all(
        "[providers.mail]\npassword = \"hunter2\" x\n",
        "error: @/config.toml:2:22: unexpected key or value, expected newline, `#`\n",
    );
    let dir = dir();
    let made = Command::new("mkfifo").arg(dir.path().join("pipe")).status().expect("mkfifo is everywhere");
    assert!(made.success());
    for (name, why) in [
        ("none.toml", "No such file or directory (os error 2)"),
        ("", "Is a directory (os error 21)"),
        ("pipe", "not a file, but a pipe, a socket or a device"),
    ] {
        let path = dir.path().join(name);
        let output = provost().arg("--config").arg(&path).arg("--check").output().expect("the host starts");
        let expected = format!("error: reading the configuration {}: {why}\n", path.display());
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), said.as_ref()), (Some(1), expected.as_str()));
    }
}

/// A path of the configuration begins at the file that has it, wherever the host is started.
#[test]
#[ignore = "needs the files that `cargo xtask test` builds"]
fn relative_paths() {
    let (dir, elsewhere) = (dir(), dir());
    let config = write_config(
        dir.path(),
        "[providers.hook]\nplugin = \"webhook\"\nurl = \"https://example.org\"\nsecret_file = \"secret\"\n",
    );
    std::fs::write(dir.path().join("secret"), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n").expect("a temporary file");
    let mut command = provost();
    command.arg("--config").arg(config).arg("--check").arg("--prov").arg(dist().join("webhook.prov"));
    let output = command.current_dir(elsewhere.path()).output().expect("the host starts");
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
}

#[test]
#[ignore = "needs the files that `cargo xtask test` builds"]
fn a_provider_without_its_plugin() {
    check_all(
        "[providers.alerts]\nplugin = \"pager\"\n[providers.smpt]\n",
        "\
error: @/config.toml: providers.alerts: its plugin `pager` is not loaded (loaded: LOADED): \
set `plugin`, or add `--prov pager.prov` to the command
error: @/config.toml: providers.smpt: its plugin `smpt` is not loaded (loaded: LOADED): \
did you mean `plugin = \"smtp\"`?
",
    );
    check(
        "[providers.file]\n",
        &[],
        "error: @/config.toml: providers.file: its plugin `file` is not loaded (no plugin is loaded): \
        set `plugin`, or add `--prov file.prov` to the command\n",
    );
}
