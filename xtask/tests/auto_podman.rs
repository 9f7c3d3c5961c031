//! Which engine `auto` takes where docker does not answer and podman does.

mod support;

use support::Tree;
use support::runtime::{ALPINE, GNU, Leftovers, Runtime};

#[test]
fn podman_takes_dockers_place() {
    let tree = Tree::small("auto-podman").env("DOCKER_HOST", "tcp://127.0.0.1:1");
    tree.write("docker/builder.Dockerfile", &format!("FROM {GNU}\n"));
    tree.write("docker/deploy.Dockerfile", &format!("FROM {ALPINE}\n"));
    let (runtime, name) = (Runtime::podman(), "localhost/xtask-test/greeter:auto-podman");
    let _leftovers = Leftovers::of(&runtime, &tree, name);
    let image = tree.image(&["--engine", "auto", "--tag", name]);
    assert_eq!((image["runtime"].as_str(), image["verified"]["by"].as_str()), (Some("podman"), Some("podman")));
    runtime.no_container_is_left(&tree);
}
