//! The built host while an initialiser holds the dynamic linker's lock: it waits, and ends, without it. With musl nobody
//! needs that lock for waiting, and a library of this machine's cannot be preloaded.

use crate::support::unruly::{BLOCKS, errors_of};
use crate::support::{dir, provost, write_config};
use std::path::Path;
use std::process::Command;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn a_plugin_that_is_never_loaded_is_waited_for_without_the_dynamic_linker() {
    let dir = dir();
    let config = write_config(dir.path(), "[server]\nstartup_deadline = \"1s\"\n");
    let late = dir.path().join("late.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite/linker_lock/late.rs");
    let mut rustc = Command::new("rustc");
    let status = rustc.args(["--edition=2024", "--crate-type=cdylib", "-o"]).args([&late, &source]).status();
    assert!(status.is_ok_and(|status| status.success()), "{rustc:?}");
    let mut command = provost();
    command.args(["--log", "debug"]).env("LD_PRELOAD", late).env(BLOCKS, "initialiser");
    let (errors, stderr) = errors_of(command, &config).await;
    assert!(stderr.contains(" loading file=unruly.prov\n"), "who ends the process there is named: {stderr}");
    let expected = "error: loading unruly.prov: the plugin `unruly` did not finish its initialisers within 1s \
        (`server.startup_deadline`)";
    assert_eq!(errors, [expected], "{stderr}");
}
