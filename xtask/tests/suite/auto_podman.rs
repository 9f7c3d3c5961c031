//! Which engine `auto` takes where docker does not answer and podman does.

use crate::support::Tree;
use crate::support::engine::{ALPINE, Engine, GNU, Leftovers};

#[test]
fn podman_takes_dockers_place() {
    let tree = Tree::small("auto-podman").env("DOCKER_HOST", "tcp://127.0.0.1:1");
    tree.write("docker/builder.Dockerfile", &format!("FROM {GNU}\n"));
    tree.write("docker/deploy.Dockerfile", &format!("FROM {ALPINE}\n"));
    let (engine, name) = (Engine::podman(), "localhost/xtask-test/greeter:auto-podman");
    let _leftovers = Leftovers::new(&engine, &tree, name);
    let image = tree.image(&["--engine", "auto", "--tag", name]);
    assert_eq!(image["loaded_into"], "podman");
    engine.no_container_is_left(&tree);
}

/// It answers, and no container of it starts: more open files are asked for than the kernel gives anybody.
#[test]
fn a_podman_that_cannot_run_a_container_is_said_at_the_start() {
    let tree = Tree::small("broken-podman").without(&["docker"]);
    let limits = "default_ulimits = [\"nofile=2147483647:2147483647\"]";
    tree.write(
        "containers.conf",
        &format!("[engine]\nruntime = \"runc\"\ncgroup_manager = \"cgroupfs\"\n[containers]\n{limits}\n"),
    );
    let conf = tree.root.join("containers.conf").into_string();
    let tree = tree.env("CONTAINERS_CONF", &conf);
    let run = tree.xtask(&["test", "--require-containers"]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""));
    let begin = "error: --require-containers: podman cannot run a container: ";
    assert!(
        run.stderr.starts_with(begin) && run.stderr.ends_with("; fix its configuration, or remove it\n"),
        "{}",
        run.stderr
    );
    assert!(run.stderr.contains("rlimit"), "{}", run.stderr);

    // Without the option it is one more thing that is not here.
    let run = tree.xtask(&["test", "--only", "engines"]);
    let begin = "    Skipping podman, which cannot run a container: ";
    assert!(run.stderr.starts_with(begin), "{}", run.stderr);
}
