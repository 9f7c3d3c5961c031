//! What the built host says when something is wrong at its start: whole messages, and exit code 1.

use crate::support::{bundled, dir, dist, libc, provost, write_config};
use std::fs::File;
use std::io;
use std::net::TcpListener;
use std::process::Stdio;

const ALL: [&str; 3] = ["file.prov", "smtp.prov", "webhook.prov"];

#[test]
#[ignore = "needs the files that `cargo xtask test` builds"]
fn a_result_that_cannot_be_written_is_an_error() {
    let dir = dir();
    let config = write_config(dir.path(), "");
    let full = "error: writing to stdout: No space left on device (os error 28)\n";
    let unread = || io::pipe().expect("a pipe").1.into();
    let file = || File::create("/dev/full").expect("a full disk").into();
    for (stdout, code, expected) in [(file(), 1, full), (unread(), 0, "")] as [(Stdio, i32, &str); 2] {
        let mut command = provost();
        command.arg("--config").arg(&config).arg("--check");
        let output = command.stdout(stdout).stderr(Stdio::piped()).spawn().expect("the host starts").wait_with_output();
        let output = output.expect("it is this process's own");
        assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(code), expected));
    }
}

/// An image's command names a configuration, and cannot be added to.
#[test]
#[ignore = "needs the files that `cargo xtask test` builds"]
fn variables_count_more_than_the_command() {
    let dir = dir();
    let config = write_config(dir.path(), "");
    let config = config.to_str().expect("a temporary directory's name is text");
    let valid = "0 plugins loaded, 0 ABI records match, 0 providers valid\n";
    let none = "error: reading the configuration none: No such file or directory (os error 2)\n";
    let filter = "error: PROVOST_LOG: `a=b=c` is not a filter such as \"info,smtp=debug\": invalid filter directive: \
        too many '=' in filter directive, expected 0 or 1\n";
    // It would be a module of which all is logged, and nothing of others.
    let level = " is not a filter such as \"info,smtp=debug\": `warning` is no level; use one of off, error, warn, info, debug and trace, \
        and for a module `NAME=LEVEL`\n";
    let unnamed = "error: no configuration is named: add `--config FILE`, or set PROVOST_CONFIG\n";
    for (args, variables, code, stdout, stderr) in [
        (&["--config", "none"][..], &[("PROVOST_CONFIG", config)][..], 0, valid, ""),
        (&[], &[("PROVOST_CONFIG", config), ("PROVOST_LOG", "debug")], 0, valid, ""),
        (&["--config", config], &[("PROVOST_CONFIG", "none")], 1, "", none),
        (&["--config", config], &[("PROVOST_CONFIG", ""), ("PROVOST_LOG", "a=b=c")], 1, "", filter),
        (&["--config", config], &[("PROVOST_LOG", "warning")], 1, "", &format!("error: PROVOST_LOG: `warning`{level}")),
        (&[], &[], 1, "", unnamed),
    ] {
        let output =
            provost().args(args).arg("--check").envs(variables.iter().copied()).output().expect("the host starts");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert_eq!(
            (output.status.code(), text(&output.stdout).as_str(), text(&output.stderr).as_str()),
            (Some(code), stdout, stderr),
            "{args:?} {variables:?}"
        );
    }
}

#[test]
#[ignore = "needs the files that `cargo xtask test` builds"]
fn nothing_is_wrong() {
    let dir = dir();
    let state = dir.path().join("state/messages.jsonl");
    let file = format!("[providers.file]\npath = {state:?}\n");
    let webhook = "[providers.hook]\nplugin = \"webhook\"\nurl = \"https://example.org\"\n\
        secret = \"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"\n";
    let smtp = "[providers.smtp]\nhost = \"mail.example.org\"\nfrom = \"a@example.org\"\n";
    for (config, plugins, expected) in [
        ("", &[][..], "0 plugins loaded, 0 ABI records match, 0 providers valid\n"),
        (&file, &ALL[..1], "1 plugin loaded, 1 ABI record matches, 1 provider valid\n"),
        (&(file.clone() + webhook + smtp), &ALL, "3 plugins loaded, 3 ABI records match, 3 providers valid\n"),
    ] {
        let config = write_config(dir.path(), config);
        let mut command = provost();
        command.arg("--config").arg(config).arg("--check");
        for plugin in plugins {
            command.args(["--prov", plugin]);
        }
        let output = command.output().expect("the host starts");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stdout).as_ref()), (Some(0), expected));
    }
    assert!(!state.exists() && !dir.path().join("state").exists(), "a check leaves nothing behind");
}

#[test]
#[ignore = "needs the files that `cargo xtask test` builds"]
fn a_bundle_that_is_named_and_not_there() {
    let dir = dir();
    let config = write_config(dir.path(), "[providers.smtp]\nhost = \"localhost\"\nfrom = \"a@example.org\"\n");
    let mut command = provost();
    command.arg("--config").arg(&config).args(["--check", "--prov", "smtp.prov"]).env("SSL_CERT_FILE", "/none.pem");
    let output = command.output().expect("the host starts");
    let expected = format!(
        "error: {}: providers.smtp: SSL_CERT_FILE=/none.pem has no certificate (failed to read PEM \
        from file: No such file or directory (os error 2) at '/none.pem'): correct or unset the variable\n",
        config.display()
    );
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(1), expected.as_str()));
}

#[test]
#[ignore = "needs the files that `cargo xtask test` builds"]
fn the_port_is_in_use() {
    let dir = dir();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("it is bound");
    let config = write_config(dir.path(), &format!("[server]\nlisten = \"{address}\"\n"));
    let output = provost().arg("--config").arg(&config).output().expect("the host starts");
    let expected = format!(
        "error: {}: server.listen: listening on {address}: {} (os error 98): stop the program that listens there, or choose \
         another port\n",
        config.display(),
        libc("Address already in use", "Address in use")
    );
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(1), expected.as_str()));
}

#[test]
#[ignore = "needs the files that `cargo xtask test` builds"]
fn the_host_carries_a_record_too() {
    let read = |name: &str| {
        let bytes = std::fs::read(dist().join(name)).expect("the file is there");
        provost_record::read(&bytes).expect("it has a record")
    };
    let host = read("provost");
    for name in bundled() {
        let plugin = read(&name);
        assert_eq!(provost_record::compare(&plugin, &host), []);
        assert_eq!(format!("{}.prov", plugin.plugin), name);
    }
}
