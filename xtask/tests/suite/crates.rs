//! Where crates come from: registries that only the user knows, one version from two sources, submodules that were not fetched.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;

use crate::support::engine::{ALPINE, Engine, GNU, Leftovers};
use crate::support::{Tree, check, errors, run, sha256};
use expect_test::expect;
use flate2::{Compression, GzBuilder};

/// A registry with one crate, `mine` 1.0.0; the address of its index, and of a copy of that.
fn registry() -> [String; 2] {
    let server = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = server.local_addr().expect("an address");
    let mut tar = tar::Builder::new(GzBuilder::new().write(Vec::new(), Compression::fast()));
    for (path, content) in [
        ("mine-1.0.0/Cargo.toml", "[package]\nname = \"mine\"\nversion = \"1.0.0\"\nedition = \"2024\"\n"),
        ("mine-1.0.0/src/lib.rs", "pub const MINE: &str = \"mine\";\n"),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, path, content.as_bytes()).expect("an entry");
    }
    let crate_ = tar.into_inner().and_then(|gzip| gzip.finish()).expect("a crate");
    let entry = format!(
        "{{\"name\":\"mine\",\"vers\":\"1.0.0\",\"deps\":[],\"cksum\":\"{}\",\"features\":{{}},\"yanked\":false}}\n",
        sha256(&crate_)
    );
    let config = format!("{{\"dl\":\"http://{address}/{{crate}}.crate\"}}");
    let files: BTreeMap<&str, Vec<u8>> = BTreeMap::from([
        ("/index/config.json", config.clone().into_bytes()),
        ("/index/mi/ne/mine", entry.clone().into_bytes()),
        ("/mirror/config.json", config.into_bytes()),
        ("/mirror/mi/ne/mine", entry.into_bytes()),
        ("/mine.crate", crate_),
    ]);
    std::thread::spawn(move || {
        for client in server.incoming() {
            let mut client = client.expect("a connection");
            let mut lines = BufReader::new(client.try_clone().expect("a copy")).lines().map_while(Result::ok);
            let path = lines.next().and_then(|line| line.split(' ').nth(1).map(str::to_owned)).unwrap_or_default();
            lines.find(String::is_empty);
            let (status, body) = files.get(path.as_str()).map_or(("404 Not Found", &[][..]), |body| ("200 OK", body));
            let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            let _ = client.write_all(head.as_bytes()).and_then(|()| client.write_all(body));
        }
    });
    ["index", "mirror"].map(|name| format!("sparse+http://{address}/{name}/"))
}

#[test]
fn a_registry_that_only_the_user_knows() {
    let engine = Engine::docker();
    let image = "localhost/xtask-test/greeter:registry";
    let args = ["--engine", "docker", "--builder-image", GNU, "--base", ALPINE, "--tag", image];
    for place in ["environment", "configuration"] {
        let [index, mirror] = registry();
        let tree = Tree::small(&format!("registry-{place}"));
        let _leftovers = Leftovers::new(&engine, &tree, image);
        tree.replace(
            "plugins/hello/Cargo.toml",
            "[dependencies]",
            "[dependencies]\nmine = { version = \"1\", registry = \"my-corp\" }",
        );
        tree.replace("plugins/hello/src/lib.rs", "\"hello\"", "mine::MINE");
        let tables = |index: &str| format!("[registries.my-corp]\nindex = \"{index}\"\ntoken = \"secret\"\n");
        let own = tree.read(".cargo/config.toml");
        let home = tree.root.join("target/home").into_string();
        let tree = if place == "environment" {
            // It counts before the user's configuration, and the tree may take the crates from a mirror of it.
            tree.write("target/home/config.toml", &tables("sparse+http://127.0.0.1:9/old/"));
            let sources = format!(
                "[source.corp]\nregistry = \"{index}\"\nreplace-with = \"mirror\"\n[source.mirror]\nregistry = \"{mirror}\"\n"
            );
            tree.write(".cargo/config.toml", &format!("{own}\n{sources}"));
            tree.env("CARGO_REGISTRIES_MY_CORP_INDEX", &index)
        } else {
            // The tree knows the registry, but not where it is, and the user's configuration is in two files.
            tree.write("target/home/config.toml", "include = [\"registries.toml\"]\n");
            tree.write("target/home/registries.toml", &tables(&index));
            tree.write(
                ".cargo/config.toml",
                &format!("{own}\n[registries.my-corp]\ncredential-provider = \"cargo:token\"\n"),
            );
            tree
        };
        let tree = tree.env("CARGO_HOME", &home);
        assert_eq!(tree.image(&args)["verified"]["said"], "2 plugins loaded");
        assert_eq!(engine.run(image), "tone = \"polite\"\ngoodbye\nmine");
    }
}

#[test]
fn what_was_sent_in_part_is_removed() {
    let engine = Engine::docker();
    let image = "localhost/xtask-test/greeter:sent-in-part";
    let args = ["--engine", "docker", "--builder-image", GNU, "--base", ALPINE, "--tag", image];
    let tree = Tree::small("sent-in-part");
    let _leftovers = Leftovers::new(&engine, &tree, image);
    tree.replace("plugins/hello/Cargo.toml", "[dependencies]", "[dependencies]\nitoa = \"=1.0.15\"");
    tree.image(&args);
    let volumes = engine.volumes(&tree);
    let in_volume = |script: &str| {
        let volume = format!("{}:/work", volumes[0]);
        run("docker", &["run", "--rm", "--network", "none", "--volume", &volume, ALPINE, "sh", "-c", script])
    };
    // As a run leaves a crate that ends while it sends, and which a later lock does not have.
    in_volume("mkdir /work/vendor/half-1.0.0 && echo '[package]' > /work/vendor/half-1.0.0/Cargo.toml");
    tree.replace("plugins/hello/src/lib.rs", "\"hello\"", "\"good day\"");
    tree.image(&args);
    assert_eq!(in_volume("ls -A /work/vendor"), "itoa-1.0.15");
}

#[test]
fn an_archive_that_the_lock_does_not_name() {
    let tree = Tree::small("archive");
    let home = tree.root.join("target/home");
    tree.replace("plugins/hello/Cargo.toml", "[dependencies]", "[dependencies]\nitoa = \"=1.0.15\"");
    let tree = tree.env("CARGO_HOME", home.as_str());
    let args = ["--engine", "docker", "--builder-image", GNU, "--base", ALPINE];
    assert_eq!(tree.xtask(&[&["plan"], &args[..]].concat()).code, Some(0));
    let archives = run("find", &[home.as_str(), "-name", "itoa-1.0.15.crate"]);
    // Another registry may have one of the same name.
    let other = home.join("registry/cache/other.example-0123456789abcdef");
    std::fs::create_dir(&other).expect("a directory");
    std::fs::write(other.join("itoa-1.0.15.crate"), "another").expect("an archive");
    let engine = Engine::docker();
    let image = "localhost/xtask-test/greeter:archive";
    let _leftovers = Leftovers::new(&engine, &tree, image);
    tree.image(&[&args[..], &["--tag", image]].concat());
    assert_eq!(tree.xtask(&["clean", "--volumes"]).code, Some(0));
    std::fs::remove_dir_all(&other).expect("a directory");
    std::fs::write(&archives, "half").expect("an archive");
    let said = errors(&tree, &args);
    let registry = archives.strip_prefix(home.as_str()).and_then(|path| path.strip_suffix("/itoa-1.0.15.crate"));
    expect![[r#"
        error: [ROOT]/target/home[REGISTRY]/itoa-1.0.15.crate is not the archive that Cargo.lock names: remove it, and cargo fetches it again
    "#]]
    .assert_eq(&said.replace(registry.expect("in cargo's home"), "[REGISTRY]"));
}

#[test]
fn one_version_from_two_sources() {
    let tree = Tree::small("two-sources");
    let fork = tree.root.join("target/fork");
    tree.write("target/fork/Cargo.toml", "[package]\nname = \"itoa\"\nversion = \"1.0.15\"\nedition = \"2021\"\n");
    tree.write("target/fork/src/lib.rs", "");
    for args in [
        &["init", "--quiet"][..],
        &["add", "--all"],
        &["-c", "user.name=T", "-c", "user.email=t@example.org", "commit", "--quiet", "-m", "fork"],
    ] {
        run("git", &[&["-C", fork.as_str()], args].concat());
    }
    let commit = run("git", &["-C", fork.as_str(), "rev-parse", "--short=8", "HEAD"]);
    tree.replace(
        "plugins/hello/Cargo.toml",
        "[dependencies]",
        &format!("[dependencies]\nitoa = {{ git = \"file://{fork}\" }}"),
    );
    tree.replace("plugins/goodbye/Cargo.toml", "[dependencies]", "[dependencies]\nitoa = \"=1.0.15\"");
    let args = ["--engine", "docker", "--builder-image", GNU, "--base", ALPINE];
    let said = errors(&tree, &args);
    expect![[r#"
        error: itoa 1.0.15 comes from two sources, crates.io (needed by goodbye) and file:///[FORK] (needed by hello); use one source for all, usually with `[patch]` in Cargo.toml; only --engine local can compile both
    "#]]
    .assert_eq(&said.replace(&format!("[ROOT]/target/fork#{commit}"), "/[FORK]"));
    // One directory also holds what only tests need, and what is compiled for other targets.
    let manifest = tree.read("plugins/hello/Cargo.toml");
    for elsewhere in ["dev-dependencies", "target.'cfg(windows)'.dependencies"] {
        let line = manifest.lines().find(|line| line.starts_with("itoa")).expect("the fork");
        let rest = manifest.replace(line, "");
        tree.write("plugins/hello/Cargo.toml", &format!("{rest}\n[{elsewhere}]\n{line}\n"));
        assert_eq!(errors(&tree, &args), said, "{elsewhere}");
    }
    tree.write("plugins/hello/Cargo.toml", &manifest);
    tree.image(&["--base", "scratch"]);
}

#[test]
fn submodules_that_were_not_fetched() {
    let tree = Tree::small("submodules").without_engine();
    let module = |path: &str| format!("[submodule \"{path}\"]\n\tpath = {path}\n\turl = https://example.org/{path}\n");
    let paths = ["\"plugins/extra\" ; ours", "libs/shared", "plugins/hello/web", "docs/theme"];
    tree.write(".gitmodules", &paths.map(module).concat());
    for dir in ["plugins/extra", "libs/shared", "plugins/hello/web", "docs/theme"] {
        std::fs::create_dir_all(tree.root.join(dir)).expect("a directory");
    }
    let manifest = tree.read("plugins/hello/Cargo.toml");
    let with = "[dependencies]\nshared = { path = \"../../libs/shared\" }";
    tree.write(
        "plugins/hello/Cargo.toml",
        &format!("{}\n[package.metadata.greeter]\nassets = [\"web\"]\n", manifest.replace("[dependencies]", with)),
    );
    check(
        &tree,
        &["plan", "--base", "scratch"],
        expect![[r#"
            error: 3 errors in plugins/
              - plugins/extra is a submodule that was not fetched: run `git submodule update --init --recursive plugins/extra`
              - plugins/hello/Cargo.toml: the path dependency `shared`: libs/shared is a submodule that was not fetched: run `git submodule update --init --recursive libs/shared`
              - plugins/hello/Cargo.toml: [package.metadata.greeter]: plugins/hello/web is a submodule that was not fetched: run `git submodule update --init --recursive plugins/hello/web`
        "#]],
    );
    // One that nobody compiles stops nothing.
    std::fs::remove_dir(tree.root.join("plugins/extra")).expect("a directory");
    tree.write("plugins/hello/Cargo.toml", &manifest);
    tree.write(".gitmodules", &module("docs/theme"));
    assert_eq!(tree.xtask(&["plan", "--base", "scratch"]).code, Some(0));
    // The host's own directory.
    std::fs::remove_dir_all(tree.root.join("greeter")).expect("a directory");
    tree.write(".gitmodules", &module("greeter"));
    check(
        &tree,
        &["plan", "--base", "scratch"],
        expect![[r#"
            error: reading [ROOT]/Cargo.toml: 2 errors in [workspace.metadata.image]
              - `default-config = "greeter/default.toml"` is not a file in the tree: greeter is a submodule that was not fetched: run `git submodule update --init --recursive greeter`
              - `development-config = "greeter/development.toml"` is not a file in the tree: greeter is a submodule that was not fetched: run `git submodule update --init --recursive greeter`
        "#]],
    );
}
