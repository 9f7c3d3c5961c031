//! The finished image when its start fails: on either libc the dynamic linker is held by an initialiser, and the host ends.

mod support;

use support::container::Container;
use support::{folder, write_config};

/// Where the image's configuration lies.
const CONFIG: &str = "/etc/provost/config.toml";

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_is_never_loaded_ends_the_start() {
    let folder = folder();
    let config = write_config(folder.path(), "[server]\nstartup_deadline = \"1s\"\n");
    let container = Container::create(&[(&config, CONFIG)], &["UNRULY_BLOCKS=initialiser"]);
    let expected = "error: loading unruly.prov: the plugin `unruly` has not come back from its initialisers after 1s, \
        which is `server.startup_deadline`\n";
    assert_eq!(container.run().await, (Some(1), expected.to_owned()));
}
