//! The built host where the system gives it too few threads: it says for what, and ends.

mod support;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::thread;
use support::{dist, folder, write_config};

/// Nobody's: the system counts threads by user, and spares root.
const USER: &str = "4242";

#[test]
fn too_few_threads_are_a_fault() {
    let folder = folder();
    let providers = format!("[providers.file]\npath = {:?}\n", folder.path().join("messages.jsonl"));
    let config = write_config(folder.path(), &format!("[server]\nlisten = \"127.0.0.1:0\"\n{providers}"));
    fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).expect("a folder of the test's own");
    for entry in fs::read_dir(dist()).expect("the built files").map(|entry| entry.expect("a built file")) {
        fs::copy(entry.path(), folder.path().join(entry.file_name())).expect("a temporary file");
    }
    let api = thread::available_parallelism().expect("this machine tells").get();
    let system = "Resource temporarily unavailable (os error 11)";
    let provider = format!("{}: providers.file: starting the provider's threads", config.display());
    // The process itself is one, and a provider has two.
    for (threads, step, why) in [
        (1, "starting the thread that loads plugins", system),
        (2, &provider, "the system gives no more of them; see the log"),
        (3 + api - 1, "starting the API's threads", system),
    ] {
        let mut host = Command::new("setpriv");
        host.args(["--reuid", USER, "--regid", USER, "--clear-groups", "prlimit", &format!("--nproc={threads}")]);
        host.args(["./provost", "--prov", "file.prov", "--config"]).arg(&config).current_dir(folder.path());
        let output = host.env_clear().env("PATH", "/usr/bin:/bin").output().expect("setpriv starts");
        let log = String::from_utf8_lossy(&output.stderr);
        assert_eq!(log.lines().last(), Some(format!("error: {step}: {why}").as_str()), "{log}");
        assert_eq!(output.status.code(), Some(1));
    }
}
