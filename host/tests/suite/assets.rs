//! Files that a plugin ships: where it finds them, however the plugin's own file was named.

use crate::support::unruly::provider;
use crate::support::{Host, bundled, dir, dist};
use serde_json::json;
use std::fs;
use std::os::unix::fs::symlink;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn a_plugin_reads_what_it_ships() {
    let dir = dir();
    for name in bundled().chain(["unruly.prov".to_owned()]) {
        symlink(dist().join(&name), dir.path().join(name)).expect("a link");
    }
    let assets = dir.path().join("assets/unruly");
    fs::create_dir_all(&assets).expect("a directory of the test's own");
    fs::write(assets.join("answer.txt"), "shipped").expect("a temporary file");
    let message = json!({ "provider": "read-asset", "id": "a", "text": "a" });

    let absolute = dir.path().join("unruly.prov");
    for (working_dir, plugin) in [(dist(), absolute.as_path()), (dir.path().to_owned(), "unruly.prov".as_ref())] {
        let host = Host::start_with(&provider("read-asset"), |command| {
            command.current_dir(working_dir).arg("--prov").arg(plugin);
        });
        let expected = json!({ "id": "a", "provider": "read-asset", "receipt": { "reference": "shipped" } });
        assert_eq!(host.send(message.clone()).await, (200, expected));
    }

    let without = Host::start_with(&provider("read-asset"), |command| {
        command.arg("--prov").arg(dist().join("unruly.prov"));
    });
    let (status, answer) = without.send(message).await;
    assert_eq!((status, &answer["detail"]), (422, &json!("No such file or directory (os error 2)")));
}
