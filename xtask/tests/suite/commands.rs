//! The commands beside `image`, on the small tree.

use std::io::{BufRead, BufReader};

use crate::support::{Tree, check};
use expect_test::expect;
use serde_json::Value;

#[test]
fn plan_prints_everything_that_is_decided() {
    let tree = Tree::small("plan").without_engine();
    let run = tree.xtask(&["plan", "--base", "scratch"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let platform = if cfg!(target_arch = "aarch64") { "linux/arm64" } else { "linux/amd64" };
    expect![[r#"
        image      greeter:1.2.3
        platform   [PLATFORM]
        engine     local
        toolchain  rustc 1.95.0 (59807616e 2026-04-14)
        base       scratch
        plugins    goodbye 0.1.0 from plugins/goodbye
                   hello 0.1.0 from plugins/hello
        command    ./greeter --settings /opt/greeter/etc/settings.toml --plugin goodbye.plug --plugin hello.plug
        layers     libraries      the SDK and shared libraries, new: first image
                   greeter        the host, new: first image
                   configuration  the default configuration, new: first image
                   goodbye.plug   the plugin goodbye, new: first image
                   hello.plug     the plugin hello, new: first image
    "#]]
    .assert_eq(&run.stdout.replace(platform, "[PLATFORM]"));
    assert!(!tree.image_dir().join("cargo").exists(), "a plan compiles nothing");

    let run = tree.xtask(&["plan", "--base", "scratch", "--format", "json"]);
    let plan: Value = serde_json::from_str(&run.stdout).expect("JSON");
    assert_eq!(plan["plugins"][1]["name"], "hello");
    assert_eq!(plan["command"][0], "./greeter");
}

#[test]
fn a_host_without_benchmarks() {
    let run = Tree::small("no-benches").xtask(&["bench"]);
    let error = "error: [workspace.metadata.image] names no `benches` in Cargo.toml\n";
    assert_eq!((run.code, run.stdout.as_str(), run.stderr.as_str()), (Some(1), "", error));
}

#[test]
fn names_of_test_modules_are_checked_before_anything_is_compiled() {
    let tree = Tree::small("test-names").without_engine();
    tree.write("greeter/tests/suite/main.rs", "mod circuit;\nmod delivery;\n");
    tree.write("xtask/Cargo.toml", "[package]\nname = \"xtask\"\nedition = \"2024\"\n\n[workspace]\n");
    tree.write("xtask/src/main.rs", "");
    tree.write("xtask/tests/suite/main.rs", "mod circuit {}\n");
    check(
        &tree,
        &["test", "--only", "greeter/circiut", "--only", "circuit", "--only", "curcuit", "--only", "greeter/nothing"],
        expect![[r#"
            error: 3 errors in the command line
              - --only greeter/circiut: there is no such test module; did you mean `greeter/circuit`?
              - --only curcuit: there is no such test module; did you mean `circuit`?
              - --only greeter/nothing: there is no such test module; there are greeter/circuit, greeter/delivery, xtask/circuit
        "#]],
    );
    tree.write("greeter/tests/suite/main.rs", "");
    tree.write("xtask/tests/suite/main.rs", "");
    check(
        &tree,
        &["test", "--only", "circuit"],
        expect![[r#"
            error: --only circuit: the tree has no test modules
        "#]],
    );
}

#[test]
fn run_starts_the_host_with_every_plugin_and_the_development_configuration() {
    let tree = Tree::small("run");
    let run = tree.xtask(&["run"]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), "tone = \"casual\"\ngoodbye\nhello\n"), "{}", run.stderr);
    let run = tree.xtask(&["run", "--", "--dry-run"]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), "2 plugins loaded\n"), "{}", run.stderr);
}

#[test]
fn run_gives_the_host_what_plugins_ship_as_in_an_image() {
    let tree = Tree::small("run-shipped");
    tree.replace("Cargo.toml", "port = 9000\n", "port = 9000\nplugin-config = \"/opt/greeter/etc/more\"\n");
    tree.replace("plugins/hello/Cargo.toml", "[lib]", "[package.metadata.greeter]\nconfig = \"own.toml\"\n\n[lib]");
    tree.write("plugins/hello/own.toml", "tone = \"warm\"\n");
    tree.write("target/run/image/run/more/of-another-run.toml", "");
    let run = tree.xtask(&["run"]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), "tone = \"casual\"\ngoodbye\nhello\n"), "{}", run.stderr);
    assert!(run.stderr.ends_with("     Running greeter with greeter/development.toml\n"), "{}", run.stderr);
    assert_eq!(tree.read("target/run/image/run/settings.toml"), "tone = \"casual\"\n");
    assert_eq!(tree.read("target/run/image/run/more/hello.toml"), "tone = \"warm\"\n");
    assert!(!tree.root.join("target/run/image/run/more/of-another-run.toml").exists());
}

/// What the host, a plugin and the compiler write, line by line, while files are edited.
#[test]
fn run_watches_the_tree() {
    let tree = Tree::small("run-watch").without_engine();
    let mut command = tree.command(&["run", "--watch"]);
    let mut xtask = command.stderr(std::process::Stdio::piped()).spawn().expect("xtask starts");
    let mut lines = BufReader::new(xtask.stderr.take().expect("a pipe")).lines().map_while(Result::ok);
    let mut until = |text: &str| {
        let found = lines.any(|line| line.contains(text));
        assert!(found, "xtask ended before it wrote `{text}`");
    };
    until("hello");
    tree.replace("plugins/hello/src/lib.rs", "\"hello\"", "\"good morning\"");
    until("good morning");
    tree.replace("plugins/hello/src/lib.rs", ".to_owned()", ".to_own()");
    until("error: compiling the plugin hello (plugins/hello) failed");
    tree.replace("plugins/hello/src/lib.rs", "\"good morning\".to_own()", "\"good night\".to_owned()");
    until("good night");
    xtask.kill().expect("it runs");
    xtask.wait().expect("it is ours");
}

#[test]
fn shells_take_the_completions() {
    let tree = Tree::small("completions");
    for shell in ["bash", "zsh", "fish"] {
        let run = tree.xtask(&["completions", shell]);
        assert!(run.code == Some(0) && run.stdout.contains("verify-reproducible"), "{shell}: {}", run.stderr);
    }
    tree.write("completions.bash", &tree.xtask(&["completions", "bash"]).stdout);
    let script =
        "source completions.bash; COMP_WORDS=(xtask che); COMP_CWORD=1; _xtask xtask che; echo \"${COMPREPLY[@]}\"";
    let bash = std::process::Command::new("bash").args(["-c", script]).current_dir(&tree.root).output().expect("bash");
    assert_eq!(String::from_utf8_lossy(&bash.stdout), "check\n", "{}", String::from_utf8_lossy(&bash.stderr));
}

#[test]
fn clean_removes_what_was_built() {
    let tree = Tree::small("clean").without_engine();
    assert_eq!(tree.xtask(&["build"]).code, Some(0));
    let run = tree.xtask(&["clean", "--volumes"]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), "     Removed target/image\n"));
    assert!(!tree.image_dir().exists());
}

#[test]
fn the_tree_is_found_from_any_dir_of_it() {
    let tree = Tree::small("from-below");
    let output = tree.command(&["build"]).current_dir(tree.root.join("plugins/hello")).output().expect("xtask starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let output = tree.command(&["build"]).current_dir("/").output().expect("xtask starts");
    assert_eq!(output.status.code(), Some(1));
    let error =
        "error: / is not in a checkout with a Cargo.toml and an xtask directory; change to the root of a checkout\n";
    assert_eq!(String::from_utf8_lossy(&output.stderr), error);
}

#[test]
fn verbose_shows_commands_that_can_be_pasted_and_how_long_stages_take() {
    let tree = Tree::small("verbose").without_engine();
    let run = tree.xtask(&["image", "-v"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let commands: Vec<&str> = run.stderr.lines().filter_map(|line| line.strip_prefix("$ ")).collect();
    let build = commands.iter().find(|command| command.contains(" cargo build ")).expect("the build");
    let pasted = std::process::Command::new("bash")
        .args(["-c", &build.replace("[ROOT]", tree.root.as_str())])
        .env_remove("CARGO_TARGET_DIR")
        .output()
        .expect("bash");
    let stderr = String::from_utf8_lossy(&pasted.stderr);
    assert!(
        pasted.status.success() && !stderr.contains("Compiling"),
        "the same command finds all of it built: {stderr}"
    );
    let last = run.stderr.lines().last().expect("a last line");
    let stages = last.trim_start().strip_prefix("Finished ").expect("the stages");
    let names: Vec<&str> = stages.split(", ").filter_map(|stage| stage.split(' ').next()).collect();
    assert_eq!(names, ["plan", "build", "assemble", "verify", "deliver", "push"]);
}
