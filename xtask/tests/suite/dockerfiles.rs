//! Dockerfiles of the tree that do more than name an image.

use std::process::Command;

use crate::support::Tree;
use crate::support::engine::{ALPINE, Engine, GNU, Leftovers};
use serde_json::Value;

/// Docker reads what is more than one FROM, and what is wrong is no reason to fall back.
#[test]
fn dockerfiles_are_dockers_to_read() {
    let tree = Tree::small("dockerfiles").without(&["podman"]);
    let name = "localhost/xtask-test/greeter:dockerfiles";
    let engine = Engine::docker();
    let _leftovers = Leftovers::new(&engine, &tree, name);
    let base = "localhost/xtask-test/base:dockerfiles";
    tree.write("docker/builder.Dockerfile", &format!("FROM {GNU}\n"));
    let stages = |from: &str| format!("FROM {from} AS Common\nRUN touch /a\nFROM common\nRUN touch /b\n");
    tree.write("docker/deploy.Dockerfile", &stages(base));
    let plan = |args: &[&str]| -> Value {
        let run = tree.xtask(&[&["plan", "--engine", "auto", "--format", "json"], args].concat());
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        serde_json::from_str(&run.stdout).expect("JSON")
    };
    engine.read(&["tag", ALPINE, base]);
    let first = plan(&[]);
    assert!(
        first["base"]["image"]["reference"].as_str().expect("a name").starts_with("localhost/xtask/deploy:"),
        "{first}"
    );
    assert_eq!(plan(&[])["base"]["image"]["id"], first["base"]["image"]["id"]);
    // The same name is another image now.
    let other = Command::new("sh")
        .args(["-c", &format!("printf 'FROM {ALPINE}\\nRUN touch /c\\n' | docker build --quiet --tag {base} -")])
        .output();
    assert!(other.expect("docker starts").status.success());
    assert_ne!(plan(&[])["base"]["image"]["id"], first["base"]["image"]["id"], "a retagged base is noticed");

    tree.write("docker/deploy.Dockerfile", &format!("FROM {ALPINE}\nRUN no-such-program\n"));
    let run = tree.xtask(&["plan", "--engine", "auto"]);
    let error = run.stderr.lines().rfind(|line| line.starts_with("error: ")).expect("an error");
    let begin = "error: building [ROOT]/docker/deploy.Dockerfile failed: `docker build ";
    assert!(run.code == Some(1) && error.starts_with(begin), "{}", run.stderr);
    tree.write("docker/deploy.Dockerfile", "RUN true\n");
    let run = tree.xtask(&["plan", "--engine", "auto"]);
    let error = "error: [ROOT]/docker/deploy.Dockerfile has no FROM line; add one, with an image pinned by digest\n";
    assert_eq!((run.code, run.stderr.as_str()), (Some(1), error));
    let _ = engine.command(&["rmi", "--force", base]).output();
}
