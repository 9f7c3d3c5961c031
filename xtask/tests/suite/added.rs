//! `cargo xtask add`, `update` and `remove`: plugins from outside become the tree's, with a record of where they came from.

use std::fs;
use std::io::Write;

use crate::support::beside::{Beside, MANIFEST, SDK, SOURCE, git, said};
use crate::support::{Tree, run, sha256};
use expect_test::expect;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

/// The record of the plugin `weather`, with `...` for digests and commits.
fn record(tree: &Tree) -> String {
    let text = tree.read("plugins/sources.toml");
    let (head, record) = text.split_once("\n[plugins.weather]\n").unwrap_or_else(|| panic!("{text}"));
    assert!(head.starts_with("# Where plugins came from."), "{head}");
    let masked = record.lines().map(|line| match line.split_once(" = ") {
        Some((key @ ("commit" | "checksum" | "content"), _)) => format!("{key} = ...\n"),
        _ => format!("{line}\n"),
    });
    masked.collect()
}

fn greetings(tree: &Tree) -> String {
    let run = tree.xtask(&["run"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    run.stdout
}

#[test]
fn a_directory_with_an_update_and_an_end() {
    let tree = Tree::small("added").without_engine();
    let beside = Beside::new(&tree);
    beside.write("weather/Cargo.toml", &format!("# Kept as it is.\n{MANIFEST}{SDK}"));
    beside.write("weather/src/lib.rs", SOURCE);
    let dir = beside.0.join("weather");
    let source = format!("../{}/weather", beside.0.file_name().expect("a name"));
    let added = said(&tree, &["add", dir.as_str()]);
    assert_eq!(added, format!("       Added plugins/weather from {source}\n"));
    assert_eq!(record(&tree), format!("source = \"{source}\"\ncontent = ...\n"));
    assert_eq!(greetings(&tree), "tone = \"casual\"\ngoodbye\nhello\nweather\n");

    assert_eq!(said(&tree, &["update"]), format!("   Unchanged plugins/weather from {source}\n"));
    beside.write("weather/src/lib.rs", &SOURCE.replace("\"weather\"", "\"rain\""));
    assert_eq!(said(&tree, &["update", "weather"]), format!("     Updated plugins/weather from {source}\n"));
    assert_eq!(greetings(&tree), "tone = \"casual\"\ngoodbye\nhello\nrain\n");

    // What somebody edited here is lost only when they say so.
    tree.replace("plugins/weather/src/lib.rs", "\"rain\"", "\"snow\"");
    for (args, how) in [(["update"].as_slice(), "replace"), (&["remove", "weather"], "remove")] {
        let run = tree.xtask(args);
        let expected = format!(
            "error: plugins/weather was edited since it was added: move your edits away, or {how} it with --force\n"
        );
        assert_eq!((run.code, run.stderr), (Some(1), expected));
    }
    assert_eq!(greetings(&tree), "tone = \"casual\"\ngoodbye\nhello\nsnow\n");
    let run = said(&tree, &["update", "--force"]);
    let expected = format!("  Discarding the edits in plugins/weather\n     Updated plugins/weather from {source}\n");
    assert_eq!(run, expected);
    assert_eq!(greetings(&tree), "tone = \"casual\"\ngoodbye\nhello\nrain\n");

    assert_eq!(said(&tree, &["remove", "weather"]), "     Removed plugins/weather\n");
    assert!(!tree.root.join("plugins/weather").exists() && !tree.root.join("plugins/sources.toml").exists());
    assert_eq!(greetings(&tree), "tone = \"casual\"\ngoodbye\nhello\n");
}

#[test]
fn a_file_with_its_dependencies_in_front() {
    let tree = Tree::small("added-script").without_engine();
    let beside = Beside::new(&tree);
    let code = SOURCE.replace("\"weather\".to_owned()", "goodbye_words::WORD.to_owned()");
    let words = "goodbye-words = { path = \"words\" }";
    beside.write("weather.rs", &format!("#!/usr/bin/env cargo\n---\n[dependencies]\n{words}\n---\n{code}"));
    let run = tree.xtask(&["add", beside.0.join("weather.rs").as_str()]);
    assert_eq!(run.code, Some(0), "a path in the plugin's own directory is its own affair: {}", run.stderr);
    tree.write("plugins/weather/words/Cargo.toml", "[package]\nname = \"goodbye-words\"\nversion = \"1.0.0\"\n");
    tree.write("plugins/weather/words/src/lib.rs", "pub const WORD: &str = \"sun\";\n");
    assert_eq!(greetings(&tree), "tone = \"casual\"\ngoodbye\nhello\nsun\n");

    beside.write("open.rs", "---\n[dependencies]\n");
    let open = beside.0.join("open.rs");
    let run = tree.xtask(&["add", open.as_str()]);
    let expected = format!("error: reading {open}: its frontmatter has no end: a line `---` is missing\n");
    assert_eq!((run.code, run.stderr), (Some(1), expected));
}

/// A gzipped tar of a plugin, below `dir`.
fn archive(dir: &str) -> Vec<u8> {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    let manifest = format!("{MANIFEST}{SDK}");
    for (path, text) in [("Cargo.toml", manifest.as_str()), ("src/lib.rs", SOURCE), ("Cargo.toml.orig", "not read")] {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, format!("{dir}/{path}"), text.as_bytes()).expect("an entry");
    }
    tar.into_inner().and_then(GzEncoder::finish).expect("a tar")
}

#[test]
fn an_archive() {
    let tree = Tree::small("added-archive").without_engine();
    let beside = Beside::new(&tree);
    let path = beside.0.join("weather-0.3.0.tar.gz");
    fs::write(&path, archive("weather-0.3.0")).expect("an archive");
    said(&tree, &["add", path.as_str()]);
    let source = format!("../{}/weather-0.3.0.tar.gz", beside.0.file_name().expect("a name"));
    assert_eq!(record(&tree), format!("source = \"{source}\"\nchecksum = ...\ncontent = ...\n"));
    let checksum = format!("checksum = \"sha256:{}\"", sha256(&fs::read(&path).expect("the archive")));
    assert!(tree.read("plugins/sources.toml").contains(&checksum));
    assert!(!tree.root.join("plugins/weather/Cargo.toml.orig").exists());
    assert_eq!(greetings(&tree), "tone = \"casual\"\ngoodbye\nhello\nweather\n");

    fs::write(&path, archive("a/b")).expect("an archive");
    let run = tree.xtask(&["add", path.as_str(), "--force"]);
    let expected = format!(
        "error: unpacking {path}: there is no Cargo.toml, neither at its top nor in its only directory: it is no plugin\n"
    );
    assert_eq!((run.code, run.stderr), (Some(1), expected));
    assert_eq!(greetings(&tree), "tone = \"casual\"\ngoodbye\nhello\nweather\n", "the old one stays");
}

#[test]
fn a_branch_of_a_git_repository() {
    let tree = Tree::small("added-git").without_engine();
    let beside = Beside::new(&tree);
    let work = beside.0.join("work");
    beside.write("work/Cargo.toml", &format!("{MANIFEST}{SDK}"));
    beside.write("work/src/lib.rs", SOURCE);
    run("git", &["init", "--quiet", "--initial-branch", "main", work.as_str()]);
    git(&work, &["add", "--all"]);
    git(&work, &["commit", "--quiet", "--message", "One"]);
    let url = format!("file://{work}");
    let fetching = format!("    Fetching {url} at main\n");
    assert_eq!(
        said(&tree, &["add", &url, "--rev", "main"]),
        format!("{fetching}       Added plugins/weather from {url}@main\n")
    );
    assert_eq!(record(&tree), format!("source = \"{url}@main\"\ncommit = ...\ncontent = ...\n"));
    assert!(tree.read("plugins/sources.toml").contains(&git(&work, &["rev-parse", "HEAD"])));
    beside.write("work/src/lib.rs", &SOURCE.replace("\"weather\"", "\"rain\""));
    git(&work, &["commit", "--quiet", "--all", "--message", "Two"]);
    assert_eq!(said(&tree, &["update"]), format!("{fetching}     Updated plugins/weather from {url}@main\n"));
    assert_eq!(greetings(&tree), "tone = \"casual\"\ngoodbye\nhello\nrain\n");
}

/// From a registry in a directory, which cargo is told to take in place of crates.io.
#[test]
fn a_crate_of_a_registry() {
    let tree = Tree::small("added-crate").without_engine();
    let beside = Beside::new(&tree);
    let mut index = String::new();
    for version in ["0.3.0", "0.3.1", "0.4.0"] {
        let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        let optional = "\n[dependencies]\ngreeter-sdk = { version = \"1\", optional = true }\n";
        let manifest = MANIFEST.replace("0.3.0", version) + optional;
        let source = SOURCE.replace("\"weather\"", &format!("\"{version}\""));
        for (path, text) in [("Cargo.toml", manifest.as_str()), ("src/lib.rs", &source)] {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, format!("weather-{version}/{path}"), text.as_bytes()).expect("an entry");
        }
        let packed = tar.into_inner().and_then(GzEncoder::finish).expect("a tar");
        let line = json!({ "name": "weather", "vers": version, "deps": [], "features": {}, "cksum": sha256(&packed), "yanked": false });
        index += &format!("{line}\n");
        fs::create_dir_all(beside.0.join("registry/index/we/at")).expect("a directory");
        fs::write(beside.0.join(format!("registry/weather-{version}.crate")), packed).expect("a crate");
    }
    beside.write("registry/index/we/at/weather", &index);
    let config = tree.read(".cargo/config.toml");
    let replaced = format!(
        "{config}\n[source.crates-io]\nreplace-with = \"beside\"\n\n[source.beside]\nlocal-registry = \"{}/registry\"\n",
        beside.0
    );
    tree.write(".cargo/config.toml", &replaced);

    let expected = "    Fetching weather =0.3.0\n       Added plugins/weather from weather@0.3.0\n";
    assert_eq!(said(&tree, &["add", "weather@0.3.0"]), expected);
    assert_eq!(record(&tree), "source = \"weather@0.3.0\"\nchecksum = ...\ncontent = ...\n");
    assert_eq!(greetings(&tree), "tone = \"casual\"\ngoodbye\nhello\n0.3.0\n");
    // 0.4.0 is not compatible.
    let expected = "    Fetching weather ^0.3.0\n     Updated plugins/weather from weather@0.3.1\n";
    assert_eq!(said(&tree, &["update"]), expected);
    assert_eq!(greetings(&tree), "tone = \"casual\"\ngoodbye\nhello\n0.3.1\n");

    let damaged = beside.0.join("registry/weather-0.4.0.crate");
    fs::OpenOptions::new().append(true).open(&damaged).and_then(|mut file| file.write_all(b"x")).expect("a crate");
    let run = tree.xtask(&["add", "weather@0.4.0", "--force"]);
    assert!(
        run.code == Some(1) && run.stderr.contains("failed to verify the checksum of `weather v0.4.0 (registry"),
        "{}",
        run.stderr
    );
    assert_eq!(record(&tree), "source = \"weather@0.3.1\"\nchecksum = ...\ncontent = ...\n");
}

#[test]
fn what_is_not_added_updated_or_removed() {
    let tree = Tree::small("added-wrong");
    let beside = Beside::new(&tree);
    beside.write("hello/Cargo.toml", &MANIFEST.replace("weather", "hello"));
    beside.write("hello/src/lib.rs", SOURCE);
    beside.write("notes.txt", "");
    let hello = beside.0.join("hello");
    let check = |args: &[&str], expected: expect_test::Expect| {
        let run = tree.xtask(args);
        expected.assert_eq(&run.stderr.replace(beside.0.as_str(), "[BESIDE]"));
        assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""));
        assert!(!tree.root.join("plugins/sources.toml").exists());
    };
    check(
        &["add", hello.as_str()],
        expect![[r#"
            error: plugins/hello exists already; replace it with --force, or build with this one once by `--with [BESIDE]/hello`
        "#]],
    );
    check(
        &["add", hello.as_str(), "--force"],
        expect![[r#"
            error: [BESIDE]/hello/Cargo.toml: a plugin must depend on the SDK; write `greeter-sdk = { workspace = true }` under `[dependencies]`
        "#]],
    );
    check(
        &["add", beside.0.join("notes.txt").as_str()],
        expect![[r#"
            error: [BESIDE]/notes.txt: this file is no plugin: use a file of Rust (.rs) or an archive (.tar, .tar.gz, .tgz, .crate)
        "#]],
    );
    check(
        &["add", "plugins/hello"],
        expect![[r#"
            error: [ROOT]/plugins/hello belongs to this tree already
        "#]],
    );
    check(
        &["remove", "hello"],
        expect![[r#"
            error: plugins/hello was not added by `cargo xtask add`: remove it by hand, or with --force
        "#]],
    );
    check(
        &["remove", "helo"],
        expect![[r#"
            error: there is no plugin `helo`; did you mean `hello`?
        "#]],
    );
    check(
        &["update", "hello"],
        expect![[r#"
            error: plugins/hello was not added by `cargo xtask add`
        "#]],
    );
    check(
        &["update"],
        expect![[r#"
            error: no plugin was added by `cargo xtask add`; there is nothing to update
        "#]],
    );
}

#[test]
fn the_list_names_version_size_origin_and_configuration() {
    let tree = Tree::small("added-list").without_engine();
    let beside = Beside::new(&tree);
    let metadata = "[package.metadata.greeter]\nconfig = \"default.toml\"\n";
    beside.write("weather/Cargo.toml", &format!("{MANIFEST}{SDK}\n{metadata}"));
    beside.write("weather/default.toml", "[tones.rain]\n[tones.sun]\n");
    beside.write("weather/src/lib.rs", SOURCE);
    tree.replace("Cargo.toml", "port = 9000\n", "port = 9000\nplugin-config = \"/opt/greeter/etc/more\"\n");
    said(&tree, &["add", beside.0.join("weather").as_str()]);
    let source = format!("../{}/weather", beside.0.file_name().expect("a name"));
    let list = |args: &[&str]| {
        let run = tree.xtask(&[&["list"], args].concat());
        assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
        run.stdout.replace(&source, "[SOURCE]")
    };
    expect![[r#"
        NAME     VERSION  SIZE  ORIGIN                        DEFINES
        goodbye  0.1.0    -     plugins/goodbye               -
        hello    0.1.0    -     plugins/hello                 -
        weather  0.3.0    -     [SOURCE]  tones.rain, tones.sun
    "#]]
    .assert_eq(&list(&[]));
    tree.image(&[]);
    tree.write("plugins/weather/notes", "edited");
    let rows: Value = serde_json::from_str(&list(&["--format", "json"])).expect("JSON");
    let file = fs::metadata(tree.root.join("target/image/dist/weather.plug")).expect("it was built");
    assert_eq!((&rows[2]["size"], &rows[2]["edited"]), (&json!(file.len()), &json!(true)));
    assert_eq!(rows[2]["origin"]["source"], "[SOURCE]");
    assert!(list(&[]).contains("[SOURCE] (edited)  tones.rain"), "{}", list(&[]));
    let empty = Tree::small("added-list-empty");
    fs::remove_dir_all(empty.root.join("plugins")).expect("plugins");
    let run = empty.xtask(&["list"]);
    assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("there are no plugins in plugins/\n", ""));
}
