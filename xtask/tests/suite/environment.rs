//! What of the environment counts: variables, cargo's configuration outside of the tree, what a builder image sets. docs/environment.md
//! has the list.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::support::engine::{ALPINE, Engine, GNU, Leftovers};
use crate::support::{Tree, check, errors};
use expect_test::expect;
use serde_json::Value;

fn image(tree: &Tree, variables: &[(&str, &str)]) -> Value {
    // So that cargo runs, although nothing changed that xtask knows of.
    let _ = fs::remove_file(tree.image_dir().join("built.json"));
    let mut command = tree.command(&["image", "--format", "json", "--base", "scratch"]);
    let output = command.envs(variables.iter().copied()).output().expect("xtask starts");
    assert!(output.status.success(), "{variables:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice::<Value>(&output.stdout).expect("JSON")["manifest_digest"].clone()
}

#[test]
fn no_variable_changes_what_is_built() {
    let tree = Tree::small("variables").without_engine();
    tree.write(".gitignore", "/target\n/xtask/path\n");
    tree.commit();
    let expected = image(&tree, &[]);
    for variable in [
        ("CARGO_BUILD_TARGET", "x86_64-unknown-linux-gnu"),
        ("CARGO_BUILD_BUILD_DIR", "elsewhere"),
        ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0"),
        ("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS", "--cfg other"),
        ("CARGO_INCREMENTAL", "1"),
        ("RUSTC_BOOTSTRAP", "1"),
        ("RUSTUP_TOOLCHAIN", "nightly"),
        ("LD_RUN_PATH", "/elsewhere"),
        ("LC_ALL", "de_DE.UTF-8"),
        ("LANGUAGE", "de"),
        ("SOURCE_DATE_EPOCH", ""),
        ("DOCKER_DEFAULT_PLATFORM", "linux/arm64"),
        ("GIT_DIR", "/nowhere"),
        ("GIT_INDEX_FILE", "/nowhere"),
        ("GIT_CONFIG_COUNT", "nonsense"),
        ("GIT_SHALLOW_FILE", "/nowhere"),
        ("CARGO_HOME", ""),
    ] {
        assert_eq!(image(&tree, &[variable]), expected, "{variable:?}");
    }
    assert!(!tree.root.join("elsewhere").exists());
}

#[test]
fn nothing_runs_until_something_changes() {
    let (tree, elsewhere) = (Tree::small("fresh").without_engine(), tempfile::tempdir().expect("a directory"));
    let path = |name: &str| elsewhere.path().join(name).display().to_string();
    let write = |name: &str, content: &str| fs::write(path(name), content).expect("a file");
    write("an included file", "hello");
    write("of a build script", "hello");
    let code = tree.read("plugins/hello/src/lib.rs");
    tree.write(
        "plugins/hello/src/lib.rs",
        &format!("{code}const _: &str = include_str!({:?});\n", path("an included file")),
    );
    let script =
        format!("fn main() {{ println!({:?}); }}\n", format!("cargo::rerun-if-changed={}", path("of a build script")));
    tree.write("plugins/hello/build.rs", &script);
    let image = |variable: &str| {
        let mut command = tree.command(&["image", "--base", "scratch"]);
        let run = tree.masked(command.env("GREETING", variable).output().expect("xtask starts"));
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        let words = ["  Compiling host, SDK", "      Fresh host, SDK"].map(|words| run.stderr.contains(words));
        assert!(words[0] != words[1], "{}", run.stderr);
        words[1]
    };
    let changes = |what: &str, variable: &str| {
        assert_eq!((image(variable), image(variable)), (false, true), "{what}");
    };
    changes("the first", "");
    write("an included file", "good day");
    changes("an included file", "");
    write("of a build script", "good day");
    changes("of a build script", "");
    fs::remove_file(path("of a build script")).expect("a file");
    changes("one that is gone", "");
    changes("a variable", "ciao");
    fs::write(tree.image_dir().join("dist/hello.plug"), "damaged").expect("a file");
    changes("what was built", "ciao");
    // What a directory contains is not compared, so cargo is asked each time.
    fs::create_dir(path("of a build script")).expect("a directory");
    assert_eq!((image("ciao"), image("ciao")), (false, false));
    // Nor what a path means that leads out of the package.
    tree.write("plugins/hello/build.rs", "fn main() { println!(\"cargo::rerun-if-changed=../elsewhere\"); }\n");
    assert_eq!((image("ciao"), image("ciao")), (false, false));
}

/// What xtask itself sets holds, whatever the variable was.
#[test]
fn flags_count_in_either_variable() {
    let tree = Tree::small("user-flags").without_engine();
    tree.replace(
        "plugins/hello/src/lib.rs",
        "\"hello\".to_owned()",
        "if cfg!(other) { \"ciao\" } else { \"hello\" }.to_owned()",
    );
    let plain = image(&tree, &[("CARGO_ENCODED_RUSTFLAGS", "")]);
    assert_eq!(image(&tree, &[]), plain);
    let split = image(&tree, &[("RUSTFLAGS", "--cfg other")]);
    assert_ne!(split, plain);
    assert_eq!(image(&tree, &[("CARGO_ENCODED_RUSTFLAGS", "--cfg\u{1f}other"), ("RUSTFLAGS", "--cfg another")]), split);
}

#[test]
fn a_date_that_is_none_is_refused_before_anything_compiles() {
    let tree = Tree::small("epoch").without_engine().env("SOURCE_DATE_EPOCH", "yesterday");
    check(
        &tree,
        &["image", "--base", "scratch"],
        expect![[r#"
            error: SOURCE_DATE_EPOCH is `yesterday`, not seconds since 1970: invalid digit found in string
        "#]],
    );
    let tree = tree.env("SOURCE_DATE_EPOCH", "253402300800");
    check(
        &tree,
        &["image", "--base", "scratch"],
        expect![[r#"
            error: SOURCE_DATE_EPOCH is 253402300800, expected seconds since 1970 before the year 10000
        "#]],
    );
}

#[test]
fn the_users_configuration_changes_nothing_or_is_refused() {
    let tree = Tree::small("user-config").without_engine();
    let home = tree.root.join("target/home");
    tree.write("target/home/config.toml", "");
    let tree = tree.env("CARGO_HOME", home.as_str());
    let expected = image(&tree, &[]);
    let flags = "rustflags = [\"--cfg\", \"other\"]\n";
    tree.write(
        "target/home/config.toml",
        &format!(
            "[build]\nbuild-dir = \"{home}/build\"\ntarget-dir = \
             \"{home}/target\"\n{flags}[target.x86_64-unknown-linux-gnu]\n{flags} \
             [target.'cfg(unix)']\n{flags}[profile.dev]\nopt-level = 3\n"
        ),
    );
    assert_eq!(image(&tree, &[]), expected);
    assert!(!home.join("build").exists() && !home.join("target").exists());

    tree.write(
        "target/home/config.toml",
        "paths = [\"/elsewhere\"]\ninclude = [{ path = \"more.toml\" }]\n[build]\ntarget = \
         \"x86_64-unknown-linux-gnu\"\nrustc = \"/rustc\"\n[env]\nA = \"b\"\n [profile.release]\nopt-level = 0\n",
    );
    tree.write("target/home/more.toml", "[patch.crates-io]\nitoa = { path = \"/itoa\" }\n");
    std::fs::remove_dir_all(tree.image_dir()).expect("what was built");
    let said = errors(&tree, &["--base", "scratch"]);
    expect![[r#"
        error: 6 errors in cargo's configuration
          - [ROOT]/target/home/more.toml sets `patch`, which would change what is compiled (crates would differ from Cargo.lock); move it into the tree, or remove it there
          - [ROOT]/target/home/config.toml sets `build.target`, which would change what is compiled (built files would be in another directory); move it into the tree, or remove it there
          - [ROOT]/target/home/config.toml sets `build.rustc`, which would change what is compiled (a compiler other than the pinned one); move it into the tree, or remove it there
          - [ROOT]/target/home/config.toml sets `profile.release`, which would change what is compiled (the tree defines the profile); move it into the tree, or remove it there
          - [ROOT]/target/home/config.toml sets `env`, which would change what is compiled (build scripts would see it); move it into the tree, or remove it there
          - [ROOT]/target/home/config.toml sets `paths`, which would change what is compiled (crates would differ from Cargo.lock); move it into the tree, or remove it there
    "#]]
    .assert_eq(&said);
}

#[test]
fn all_of_the_trees_own_flags_count() {
    let tree = Tree::small("tree-flags").without_engine();
    let config = tree.read(".cargo/config.toml");
    let tables = "[target.x86_64-unknown-linux-gnu]\nrustflags = [\"--cfg\", \"one\"]\n[target.'cfg(unix)']\nrustflags = \
        \"--cfg two\"\n [target.'cfg(windows)']\nrustflags = \"--cfg three\"\n";
    tree.write(".cargo/config.toml", &format!("{config}\n{tables}"));
    let code = tree.read("plugins/hello/src/lib.rs");
    let condition = "#[cfg(not(all(one, two, not(three))))]\ncompile_error!(\"other flags\");\n";
    tree.write("plugins/hello/src/lib.rs", &format!("{code}\n{condition}"));
    image(&tree, &[]);
}

#[test]
fn a_builders_variables_and_user_change_nothing() {
    let engine = Engine::docker();
    // It would have docker look for images of another machine.
    let tree = Tree::small("builder-env").env("DOCKER_DEFAULT_PLATFORM", "linux/arm64");
    let name = "localhost/xtask-test/greeter:builder-env";
    let leftovers = Leftovers::new(&engine, &tree, name);
    let args = ["--engine", "docker", "--base", ALPINE, "--tag", name];
    let digest = |more: &[&str]| tree.image(&[&args[..], more].concat())["manifest_digest"].clone();
    let expected = digest(&["--builder-image", GNU]);
    tree.write(
        "docker/builder.Dockerfile",
        &format!(
            "FROM {GNU}\nENV RUSTFLAGS=--nonsense CARGO_BUILD_TARGET=nonsense CARGO_TARGET_DIR=/nonsense RUSTC=/nonsense \
             LC_ALL=nonsense CARGO_NOT-A-NAME=x\n USER 1000:1000\n"
        ),
    );
    assert_eq!(digest(&[]), expected);

    tree.write(
        "docker/builder.Dockerfile",
        &format!("FROM {GNU}\nRUN printf '[profile.release]\\nopt-level = 0\\n' >> \"$CARGO_HOME/config.toml\"\n"),
    );
    let run = tree.xtask(&[&["plan"], &args[..]].concat());
    let said = run.stderr.split_once("error: builder").map_or(run.stderr.as_str(), |(_, said)| said);
    let name = said.split("localhost/xtask/builder:").nth(1).and_then(|rest| rest.get(..16)).expect("its name");
    let error = said.lines().rfind(|line| line.starts_with("error")).expect("an error").replace(name, "[BUILT]");
    assert_eq!(
        error,
        "error: cargo's configuration in the builder localhost/xtask/builder:[BUILT] sets `profile.release`, which would change \
        what is compiled (the tree defines the profile); move it into the tree, or remove it there"
    );
    drop(leftovers);
}

/// Such as sccache. The image is the same.
#[test]
fn a_wrapper_of_rustc_is_called() {
    let tree = Tree::small("wrapper").titled("Wrapped").without_engine();
    let log = tree.root.join("target/calls");
    let wrapper = tree.root.join("xtask/path/wrapper");
    tree.write("xtask/path/wrapper", &format!("#!/bin/sh\nprintf '%s\\n' \"$*\" >> {log}\nexec \"$@\"\n"));
    fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).expect("a program");
    let tree = tree.env("RUSTC_WRAPPER", wrapper.as_str());
    fs::create_dir_all(tree.root.join("target")).expect("a directory");
    let wrapped = tree.image(&["--base", "scratch"])["manifest_digest"].clone();
    let calls = fs::read_to_string(&log).expect("it was called");
    for name in ["greeter", "greeter_sdk", "goodbye", "hello"] {
        assert!(calls.contains(&format!("--crate-name {name} ")), "{name}: {calls}");
    }
    let plain = Tree::small("wrapper-not").titled("Wrapped").without_engine();
    assert_eq!(plain.image(&["--base", "scratch"])["manifest_digest"], wrapped);
}

/// In a container it is the builder's own.
#[test]
fn a_builders_wrapper_of_rustc_is_called() {
    let engine = Engine::docker();
    let tree = Tree::small("builder-wrapper");
    let name = "localhost/xtask-test/greeter:builder-wrapper";
    let _leftovers = Leftovers::new(&engine, &tree, name);
    tree.write(
        "docker/builder.Dockerfile",
        &format!(
            "FROM {GNU}\nENV RUSTC_WRAPPER=/wrapper\nRUN printf '#!/bin/sh\\ncase \"$*\" in *\"--crate-name hello \"*) echo of the builder \
             >&2; exit 9;; esac\\nexec \"$@\"\\n' > /wrapper && chmod +x /wrapper\n"
        ),
    );
    let run = tree.xtask(&["image", "--engine", "docker", "--base", ALPINE, "--tag", name]);
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    assert!(run.stderr.contains("of the builder\n") && run.stderr.contains("the plugin hello"), "{}", run.stderr);
}

#[test]
fn a_configuration_above_the_target_dir_counts_too() {
    let tree = Tree::small("target-elsewhere").without_engine();
    let elsewhere = Tree::small("elsewhere");
    let settings = "[build]\nincremental = true\nrustc-workspace-wrapper = \"/wrapper\"\n";
    elsewhere.write(".cargo/config.toml", settings);
    let tree = tree.env("CARGO_TARGET_DIR", elsewhere.root.join("target").as_str());
    let said = errors(&tree, &["--base", "scratch"]).replace(elsewhere.root.as_str(), "[ELSEWHERE]");
    expect![[r#"
        error: 2 errors in cargo's configuration
          - [ELSEWHERE]/.cargo/config.toml sets `build.rustc-workspace-wrapper`, which would change what is compiled (a compiler other than the pinned one); move it into the tree, or remove it there
          - [ELSEWHERE]/.cargo/config.toml sets `build.incremental`, which would change what is compiled (the tree defines the profile); move it into the tree, or remove it there
    "#]].assert_eq(&said);
}

/// As in a container that root has not all rights in.
#[test]
fn a_check_that_cannot_be_kept_from_the_network_says_so() {
    let tree = Tree::small("check-network").without_engine();
    let tree = tree.by(&["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin", "--"]);
    let run = tree.xtask(&["image", "--base", "scratch"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let lines = run.stderr.lines().filter(|line| line.contains("network") || line.contains("Verifying"));
    expect![[r#"
        warning: verifying the image with network access: root cannot create a network namespace here
           Verifying ./greeter --settings /opt/greeter/etc/settings.toml --plugin goodbye.plug --plugin hello.plug --dry-run (chroot): 2 plugins loaded
    "#]].assert_eq(&lines.map(|line| format!("{line}\n")).collect::<String>());
}

/// Then a container starts the image, and the network is no matter.
#[test]
fn a_check_that_is_denied_here_is_made_in_a_container() {
    let (engine, name) = (Engine::docker(), "localhost/xtask-test/greeter:check-denied");
    let tree = Tree::small("check-denied");
    let _leftovers = Leftovers::new(&engine, &tree, name);
    let tree = tree.by(&["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin", "--"]);
    let args = ["image", "--engine", "docker", "--builder-image", GNU, "--base", ALPINE, "--tag", name];
    let run = tree.xtask(&args);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(run.stderr.contains(" (docker): 2 plugins loaded\n") && !run.stderr.contains("warning"), "{}", run.stderr);
    engine.no_container_is_left(&tree);
}

/// The host says what it sees, and whether another machine could be reached.
#[test]
fn the_check_of_an_image_sees_nothing_of_this_machine() {
    let tree = Tree::small("check-alone").without_engine().env("SECRET_OF_THIS_MACHINE", "yes");
    tree.replace(
        "greeter/src/main.rs",
        "        println!(\"{} plugins loaded\", greetings.len());\n",
        "        let socket = std::net::UdpSocket::bind(\"0.0.0.0:0\").and_then(|socket| socket.connect(\"192.0.2.1:9\"));\n \
                println!(\"{:?} {:?}\", std::env::vars().collect::<Vec<_>>(), socket.map_err(|error| error.kind()));\n",
    );
    let image = tree.image(&["--base", "scratch"]);
    assert_eq!(image["verified"]["said"], "[] Err(NetworkUnreachable)");
}
