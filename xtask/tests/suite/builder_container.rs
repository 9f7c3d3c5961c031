//! What lies in a builder's container between runs, and who else may use it.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::Stdio;

use crate::support::Tree;
use crate::support::engine::{ALPINE, Engine, GNU, GREETINGS, Leftovers, filter};

fn standins<'a>(engine: &'a Engine, name: &'a str) -> [&'a str; 8] {
    ["--engine", &engine.program, "--builder-image", GNU, "--base", ALPINE, "--tag", name]
}

#[test]
fn what_leaves_the_tree_leaves_the_container() {
    let (engine, tree) = (Engine::found(), Tree::small("container-sync"));
    let name = "localhost/xtask-test/greeter:container-sync";
    let _leftovers = Leftovers::new(&engine, &tree, name);
    tree.add_plugin("hello", "welcome");
    tree.write("plugins/hello/src/words", "hello");
    tree.write("plugins/goodbye/src/words/one", "goodbye");
    let module = "const _: &str = include_str!";
    let append = |plugin: &str, file: &str| {
        let path = format!("plugins/{plugin}/src/lib.rs");
        let code = tree.read(&path);
        let code = code.split(module).next().expect("code").to_owned();
        tree.write(&path, &format!("{code}{module}(\"{file}\");\n"));
    };
    append("hello", "words");
    append("goodbye", "words/one");
    assert_eq!(tree.image(&standins(&engine, name))["verified"]["said"], "3 plugins loaded");

    // A directory is gone, a file becomes a directory, a directory a file.
    let remove = |path: &str| std::fs::remove_dir_all(tree.root.join(path)).expect("a directory");
    remove("plugins/welcome");
    remove("plugins/goodbye/src/words");
    std::fs::remove_file(tree.root.join("plugins/hello/src/words")).expect("a file");
    tree.write("plugins/hello/src/words/one", "hello");
    tree.write("plugins/goodbye/src/words", "goodbye");
    append("hello", "words/one");
    append("goodbye", "words");
    assert_eq!(tree.image(&standins(&engine, name))["verified"]["said"], "2 plugins loaded");
    assert_eq!(engine.run(name), GREETINGS);
}

#[test]
fn a_volume_that_another_run_compiles_in_is_waited_for() {
    let (engine, tree) = (Engine::found(), Tree::small("container-lock"));
    let name = "localhost/xtask-test/greeter:container-lock";
    let _leftovers = Leftovers::new(&engine, &tree, name);
    tree.image(&standins(&engine, name));
    tree.replace("plugins/hello/src/lib.rs", "\"hello\"", "\"good day\"");
    // As a job of CI would, in a container of its own, with its checkout at the same path.
    let mount = format!("{}:/work", engine.volumes(&tree)[0]);
    let script = "exec 9>/work/lock; flock 9; echo held; read -r line";
    let mut other = engine.command(&[
        "run",
        "--rm",
        "--interactive",
        "--network",
        "none",
        "--volume",
        &mount,
        GNU,
        "sh",
        "-c",
        script,
    ]);
    let mut other = other.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the container engine starts");
    let mut held = String::new();
    BufReader::new(other.stdout.take().expect("its stdout")).read_line(&mut held).expect("UTF-8");
    assert_eq!(held, "held\n");

    let mut xtask = tree.command(&[&["image"], standins(&engine, name).as_slice()].concat());
    let mut xtask = xtask.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("xtask starts");
    let mut stderr = BufReader::new(xtask.stderr.take().expect("its stderr"));
    let mut said = String::new();
    while !said.contains("     Waiting for another run that compiles in the same volume\n") {
        assert!(stderr.read_line(&mut said).expect("UTF-8") > 0, "it did not wait:\n{said}");
    }
    other.stdin.take().expect("its stdin").write_all(b"done\n").expect("it reads");
    stderr.read_to_string(&mut said).expect("UTF-8");
    assert_eq!(xtask.wait().expect("xtask ends").code(), Some(0), "{said}");
    other.wait().expect("the other ends");
    assert!(engine.run(name).ends_with("good day"));
}

#[test]
fn a_warning_of_the_client_is_no_answer() {
    let (engine, tree) = (Engine::docker(), Tree::small("container-warning"));
    let name = "localhost/xtask-test/greeter:container-warning";
    let _leftovers = Leftovers::new(&engine, &tree, name);
    tree.write("docker-config/config.json", "not JSON");
    let config = tree.root.join("docker-config").into_string();
    let tree = tree.env("DOCKER_CONFIG", &config);
    assert_eq!(tree.image(&standins(&engine, name))["verified"]["said"], "2 plugins loaded");
}

#[test]
fn a_toolchain_of_another_name_is_taken_by_its_release() {
    let (engine, tree) = (Engine::found(), Tree::small("container-toolchain"));
    let name = "localhost/xtask-test/greeter:container-toolchain";
    let _leftovers = Leftovers::new(&engine, &tree, name);
    let rename = "cd /usr/local/rustup/toolchains && mv 1.95.0-* mine && rustup default mine";
    tree.write("docker/builder.Dockerfile", &format!("FROM {GNU}\nRUN {rename}\n"));
    let image = tree.image(&["--engine", &engine.program, "--base", ALPINE, "--tag", name]);
    assert_eq!(image["verified"]["said"], "2 plugins loaded");
    let built = || engine.read(&["image", "ls", "--quiet", "--filter", &filter(&tree)]);
    assert_ne!(built(), "");
    tree.xtask(&["clean", "--volumes"]);
    assert_eq!(built(), "", "what was built is removed with the volumes");
}
