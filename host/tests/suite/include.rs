//! A configuration that includes a directory of other files: which providers there are then, and every error with its file.

use crate::support::{dir, provost, write_config};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Writes files into the directory `config.d`.
fn write_fragments(dir: &Path, fragments: &[(&str, &str)]) {
    fs::create_dir(dir.join("config.d")).expect("a directory of the test's own");
    for (name, text) in fragments {
        fs::write(dir.join("config.d").join(name), text).expect("a temporary file");
    }
}

fn checked(mut command: Command, config: &Path, dir: &Path) -> (Option<i32>, String, String) {
    command.arg("--check").arg("--config").arg(config);
    let output = command.args(["--prov=file.prov", "--prov=webhook.prov"]).output().expect("the host starts");
    let shown = dir.to_str().expect("a temporary directory's name is text");
    let text = |bytes| String::from_utf8(bytes).expect("messages are text").replace(shown, "@");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// `--check` with a configuration in the test's own directory, for which `@` stands in the messages.
fn check(dir: &Path, config: &str) -> (Option<i32>, String, String) {
    checked(provost(), &write_config(dir, config), dir)
}

#[test]
#[ignore = "needs the files that `cargo xtask test` builds"]
fn providers_come_from_all_files() {
    let dir = dir();
    let hidden = "this is no TOML";
    write_fragments(
        dir.path(),
        &[
            (
                "webhook.toml",
                "[providers.hook]\nplugin = \"webhook\"\nurl = \"https://example.org\"\nsecret = \
                 \"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"\n",
            ),
            (
                "file.toml",
                "[providers.file]\npath = \"/dev/null\"\n[providers.copy]\nplugin = \"file\"\npath = \"/dev/null\"\n",
            ),
            ("nothing.toml", ""),
            (".file.toml", hidden),
            ("file.toml~", hidden),
        ],
    );
    let said = |count| format!("2 plugins loaded, 2 ABI records match, {count}\n");
    let included = (Some(0), said("3 providers valid"), String::new());
    assert_eq!(check(dir.path(), "include = \"config.d\"\n"), included);
    let own = "include = \"config.d\"\n[providers.own]\nplugin = \"file\"\npath = \"/dev/null\"\n";
    assert_eq!(check(dir.path(), own), (Some(0), said("4 providers valid"), String::new()));
    let without = (Some(0), said("0 providers valid"), String::new());
    assert_eq!(check(dir.path(), ""), without);

    // From the configuration's directory, whatever the working directory is.
    write_config(dir.path(), "include = \"config.d\"\n");
    for name in ["file.prov", "webhook.prov"] {
        std::os::unix::fs::symlink(crate::support::dist().join(name), dir.path().join(name)).expect("a link");
    }
    let mut beside = provost();
    beside.current_dir(dir.path());
    assert_eq!(checked(beside, Path::new("config.toml"), dir.path()), included);
}

#[test]
#[ignore = "needs the files that `cargo xtask test` builds"]
fn a_provider_of_the_configuration_replaces_an_included_one_whole() {
    let dir = dir();
    let fragments =
        [("a.toml", "[providers.file]\npath = \"/dev/null\"\nconcurrency = 0\n"), ("b.toml", "[providers.file]\n")];
    write_fragments(dir.path(), &fragments);
    let config = "include = \"config.d\"\n[providers.file]\n";
    let expected = "error: @/config.toml: providers.file: missing field `path`\n";
    assert_eq!(check(dir.path(), config), (Some(1), String::new(), expected.to_owned()));
    let (code, ..) = check(dir.path(), &format!("{config}path = \"/dev/null\"\n"));
    assert_eq!(code, Some(0), "and there is one of the name");
}

#[test]
#[ignore = "needs the files that `cargo xtask test` builds"]
fn every_error_names_its_file() {
    let dir = dir();
    write_fragments(
        dir.path(),
        &[
            (
                "a.toml",
                "[providers.file]\npath = \"/dev/null\"\n[providers.slow]\nplugin = \"file\"\ntimeout = \"soon\"\n",
            ),
            ("b.toml", "[server]\nlisten = \"0.0.0.0:1\"\n[providers.file]\npath = \"x\"\n"),
            ("c.toml", "[providers.mail]\npassword = \"hunter2\" x\n"),
            ("d.toml", "include = \"more.d\"\nproviders = 3\n"),
        ],
    );
    fs::create_dir(dir.path().join("config.d/e.toml")).expect("a directory of the test's own");
    let config = "include = \"config.d\"\nlgo = 1\n[providers.own]\nplugin = \"file\"\n";
    let expected = "\
error: @/config.toml: lgo: unknown key; did you mean `log`?
error: @/config.d/a.toml: providers.slow.timeout: `soon` is not a duration such as \"10s\": expected number at 0
error: @/config.d/b.toml: server: unknown key; remove it, or use one of providers
error: @/config.d/b.toml: providers.file: @/config.d/a.toml also has a provider with this name; rename one of them, or define the provider in the configuration itself
error: @/config.d/c.toml:2:22: unexpected key or value, expected newline, `#`
error: @/config.d/d.toml: include: unknown key; remove it, or use one of providers
error: @/config.d/d.toml: providers: invalid type: integer `3`, expected a table
error: reading the configuration @/config.d/e.toml: Is a directory (os error 21)
error: @/config.toml: providers.own: missing field `path` (plugin `file`)
error: @/config.d/a.toml: providers.slow: missing field `path` (plugin `file`)
";
    assert_eq!(check(dir.path(), config), (Some(1), String::new(), expected.to_owned()));
}

#[test]
#[ignore = "needs the files that `cargo xtask test` builds"]
fn a_dir_that_is_not_there() {
    let dir = dir();
    let expected = "\
error: @/config.toml: include: listing @/config.d: No such file or directory (os error 2): create the directory, or remove the key
error: @/config.toml: providers.file: missing field `path`
";
    let config = "include = \"config.d\"\n[providers.file]\n";
    assert_eq!(check(dir.path(), config), (Some(1), String::new(), expected.to_owned()));
}
