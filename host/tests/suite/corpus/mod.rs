//! Files that are no plugins of this host: the built host refuses each before it loads anything, says which field
//! differs, what it has and wants, and what fixes it, and ends with exit code 1.

pub mod cases;
pub mod plugin;
pub mod report;
use self::cases::{BUILDS, Case, FILES, NOTES};
use self::plugin::{Plugin, replaced, sealed};
use self::report::{TOGETHER, print, refused, report, write};
use crate::support::{copy_dist, dir, dist, libc, provost, write_config, write_program};
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const READABLE: &str = "use readable .prov files, as `cargo xtask image` builds them";

/// `--check` with these plugins.
fn run(mut command: Command, dir: &Path, plugins: &[String]) -> Output {
    command.arg("--config").arg(write_config(dir, "")).arg("--check");
    command.args(plugins.iter().flat_map(|plugin| ["--prov", plugin]));
    command.output().expect("the host starts")
}

/// Each alone, then all in one run, beside a good one.
fn check(cases: &[Case], of: &str) {
    let (dir, plugin) = (dir(), Plugin::read());
    let (mut paths, mut all) = (vec!["smtp.prov".to_owned()], String::new());
    for case in cases {
        let path = write(dir.path(), case.name, &(case.bytes)(&plugin));
        let rows = case.rows(&plugin);
        let output = run(provost(), dir.path(), std::slice::from_ref(&path));
        assert_eq!(refused(output, dir.path()), report(1, 1, &rows, TOGETHER));
        paths.push(path);
        all += &rows;
    }
    let output = run(provost(), dir.path(), &paths);
    assert_eq!(refused(output, dir.path()), report(cases.len(), cases.len() + 1, &all, TOGETHER));
    print(cases.len(), of);
}

#[test]
#[ignore = "needs the files that `cargo xtask test` builds"]
fn other_files() {
    check(FILES, "files that are no plugins");
}

#[test]
#[ignore = "needs the files that `cargo xtask test` builds"]
fn other_builds() {
    check(BUILDS, "plugins of other builds");
}

#[test]
#[ignore = "needs the files that `cargo xtask test` builds"]
fn broken_records() {
    check(NOTES, "plugins with broken records");
}

#[test]
#[ignore = "needs the files that `cargo xtask test` builds"]
fn a_plugin_that_is_cut() {
    let (dir, plugin) = (dir(), Plugin::read());
    let ends: Vec<usize> = (512..plugin.bytes.len()).step_by(512).collect();
    let paths: Vec<String> =
        ends.iter().map(|end| write(dir.path(), &end.to_string(), &plugin.bytes[..*end])).collect();
    for (path, end) in paths.iter().zip(&ends) {
        let stderr = refused(run(provost(), dir.path(), std::slice::from_ref(path)), dir.path());
        let lines: Vec<&str> = stderr.lines().collect();
        let row = format!("@/{end}/file.prov | file | a broken ELF file: ");
        let object = plugin.filled(" | [OBJECT]");
        assert!(lines.len() == 4 && lines[2].starts_with(&row) && lines[2].ends_with(&object), "{stderr}");
    }
    let stderr = refused(run(provost(), dir.path(), &paths), dir.path());
    assert_eq!(stderr.lines().count(), ends.len() + 3, "{stderr}");
    print(ends.len(), "plugins that were cut");
}

/// What cannot be read, or lies at a wrong place; one run for all of it, each with a fix of its own.
#[test]
#[ignore = "needs the files that `cargo xtask test` builds"]
fn other_places() {
    let dir = dir();
    let at = |name: &str| dir.path().join(name);
    write(dir.path(), "empty", b"");
    symlink("loop.prov", at("loop.prov")).expect("a symlink");
    fs::copy(dist().join("file.prov"), at("renamed.prov")).expect("a temporary file");
    symlink(dist().join("file.prov"), at("file.prov")).expect("a symlink");
    let named = Plugin::read().with_record(|record| record["plugin"] = "../smtp".into());
    write(dir.path(), "named", &named);
    let paths = ["@/none.prov", "@", "@/empty/file.prov", "@/loop.prov", "/dev/null", "provost", "libprovost_sdk.so"];
    let names = ["@/renamed.prov", "@/named/file.prov", "file.prov", "./file.prov", "@/file.prov", "smtp.prov"];
    let shown = dir.path().to_str().expect("a temporary directory's name is text");
    let given: Vec<String> = paths.iter().chain(&names).map(|path| path.replace('@', shown)).collect();
    let anchor = Plugin::read().record.anchor;
    let looped = libc("Too many levels of symbolic links", "Symbolic link loop");
    let rows = format!(
        "\
@/none.prov | file | No such file or directory (os error 2) | a plugin
@ | file | a directory | a plugin
@/empty/file.prov | file | an empty file | a plugin
@/loop.prov | file | {looped} (os error 40) | a plugin
/dev/null | file | neither file nor directory | a plugin
provost | file | the host itself | a plugin
libprovost_sdk.so | anchor | one of its own | {anchor}
@/renamed.prov | name | renamed.prov | file.prov
@/named/file.prov | name | file.prov | ../smtp.prov
./file.prov | plugin | file, first given as file.prov | each plugin once
@/file.prov | plugin | file, first given as file.prov | each plugin once
"
    );
    let fix = format!(
        "{READABLE}; {TOGETHER}; rename @/renamed.prov to file.prov; \
        remove `--prov ./file.prov`; remove `--prov @/file.prov`"
    );
    let output = run(provost(), dir.path(), &given);
    assert_eq!(refused(output, dir.path()), report(11, 13, &rows, &fix));
    print(11, "files at wrong places");
}

#[test]
#[ignore = "needs the files that `cargo xtask test` builds"]
fn a_file_that_the_user_cannot_read() {
    let dir = dir();
    let path = write(dir.path(), "closed", &Plugin::read().bytes);
    fs::set_permissions(&path, Permissions::from_mode(0o000)).expect("a file of the test's own");
    // Root may read everything; in a user namespace it is anybody.
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-user=1000", "--map-group=1000", "--"]).arg(dist().join("provost"));
    command.env_clear();
    let output = run(command, dir.path(), &[path]);
    let rows = "@/closed/file.prov | file | Permission denied (os error 13) | a plugin\n";
    assert_eq!(refused(output, dir.path()), report(1, 1, rows, READABLE));
    print(1, "file that cannot be read");
}

/// What its record does not say, the dynamic linker does.
#[test]
#[ignore = "needs the files that `cargo xtask test` builds"]
fn a_library_that_is_nowhere() {
    let (dir, plugin) = (dir(), Plugin::read());
    let path = write(dir.path(), "needs-more", &plugin.replaced("libgcc_s.so.1", "libgcc_\u{1b}.so.1"));
    let output = run(provost(), dir.path(), &[path]);
    let reason = libc(
        "libgcc_\\u{1b}.so.1: cannot open shared object file: No such file or directory",
        "Error loading shared library libgcc_\\u{1b}.so.1: No such file or directory (needed by @/needs-more/file.prov)",
    );
    let expected = format!("error: loading @/needs-more/file.prov: dlopen failed: {reason}; {TOGETHER}");
    assert_eq!(refused(output, dir.path()).lines().last(), Some(expected.as_str()));
    print(1, "plugin whose library is nowhere");
}

/// It would be found out only after its initialisers have run.
#[test]
#[ignore = "needs the files that `cargo xtask test` builds"]
fn a_file_that_exports_no_plugin() {
    let (dir, plugin) = (dir(), Plugin::read());
    let path = write(dir.path(), "no-export", &plugin.replaced("PROVOST_PLUGIN", "PROVOST_HAWSER"));
    let output = run(provost(), dir.path(), &[path]);
    let rows = "@/no-export/file.prov | export | none | PROVOST_PLUGIN\n";
    let fix = "export its provider by `provost_sdk::export!`";
    assert_eq!(refused(output, dir.path()), report(1, 1, rows, fix));
    print(1, "file that exports no plugin");
}

/// Whatever it says of itself, it is not what was built.
#[test]
#[ignore = "needs the files that `cargo xtask test` builds"]
fn a_plugin_that_was_changed() {
    let (dir, plugin) = (dir(), Plugin::read());
    let mut changed = plugin.bytes.clone();
    let last = changed.len() - 1;
    changed[last] ^= 1;
    let path = write(dir.path(), "changed", &changed);
    let output = run(provost(), dir.path(), &[path]);
    let restore = "restore the file as it was built, or build everything again: `cargo xtask image`";
    let rows = "@/changed/file.prov | seal | broken: changed after it was built | sealed\n";
    assert_eq!(refused(output, dir.path()), report(1, 1, rows, restore));

    let path = write(dir.path(), "unsealed", &unsealed(plugin.bytes.clone()));
    let output = run(provost(), dir.path(), &[path]);
    let rows = "@/unsealed/file.prov | seal | unsealed: built by cargo alone | sealed\n";
    assert_eq!(refused(output, dir.path()), report(1, 1, rows, TOGETHER));
    print(2, "plugins that are not what was built");
}

/// A host that nobody has sealed, as cargo alone makes it, takes plugins that are sealed and that are not, and none that was changed.
#[test]
#[ignore = "needs the files that `cargo xtask test` builds"]
fn an_unsealed_host() {
    let (dir, plugin) = (dir(), Plugin::read());
    let mut changed = plugin.bytes.clone();
    let last = changed.len() - 1;
    changed[last] ^= 1;
    let command = with_library(dir.path(), "provost", unsealed);
    write_config(dir.path(), "");
    let plugins = ["sealed", "unsealed", "changed"].map(|name| {
        let bytes = match name {
            "sealed" => plugin.bytes.clone(),
            "unsealed" => unsealed(plugin.bytes.clone()),
            _ => changed.clone(),
        };
        write(dir.path(), name, &bytes)
    });
    let mut codes = Vec::new();
    for plugin in plugins {
        let mut command = Command::new(command.get_program());
        command.current_dir(dir.path()).env_clear().args(["--config", "config.toml", "--check", "--prov", &plugin]);
        codes.push(command.output().expect("the host starts").status.code());
    }
    assert_eq!(codes, [Some(0), Some(0), Some(1)]);
}

/// As cargo alone makes it.
fn unsealed(mut bytes: Vec<u8>) -> Vec<u8> {
    for field in ["\"std\":\"", "\"seal\":\""] {
        let at =
            bytes.windows(field.len()).rposition(|window| window == field.as_bytes()).expect("a field") + field.len();
        bytes[at..at + 64].fill(b'0');
    }
    bytes
}

/// What the host itself is made of, as far as the dynamic linker gets by with it.
#[test]
#[ignore = "needs the files that `cargo xtask test` builds"]
fn files_of_the_host_that_were_changed() {
    for (library, file) in [
        ("provost", "this host"),
        ("libprovost_sdk.so", "the SDK beside this host"),
        ("libstd-", "std beside this host"),
    ] {
        // With musl's toolchain std is in the SDK.
        if library == "libstd-" && libc("glibc", "musl") == "musl" {
            continue;
        }
        let dir = dir();
        let command = with_library(dir.path(), library, |mut bytes| {
            // Nobody maps what lies behind everything.
            bytes.push(0);
            bytes
        });
        let output = run(command, dir.path(), &["file.prov".to_owned()]);
        let expected = format!(
            "error: the host's own files are not what was built, and no plugin is loaded\n\
            file | field | have | want\n\
            {file} | seal | broken: changed after it was built | sealed\n\
            fix: restore the file as it was built, or build everything again: `cargo xtask image`\n"
        );
        assert_eq!(refused(output, dir.path()), expected);
    }
    print(3, "files of the host that were changed");
}

/// A copy of host and libraries with something else in place of one of them.
fn with_library(dir: &Path, prefix: &str, change: impl Fn(Vec<u8>) -> Vec<u8>) -> Command {
    copy_dist(dir);
    let names = fs::read_dir(dir).expect("the copy").map(|entry| entry.expect("an entry").path());
    let wanted = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix)) && path.is_file()
    };
    let libraries: Vec<PathBuf> = names.filter(wanted).collect();
    let [library] = libraries.as_slice() else { panic!("{prefix}: {libraries:?}") };
    write_program(library, &change(fs::read(library).expect("the library")));
    let mut command = Command::new(dir.join("provost"));
    command.current_dir(dir).env_clear();
    command
}

#[test]
#[ignore = "needs the files that `cargo xtask test` builds"]
fn an_sdk_of_other_sources() {
    let (dir, plugin) = (dir(), Plugin::read());
    let other = "00".repeat(32);
    let command =
        with_library(dir.path(), "libprovost_sdk.so", |sdk| sealed(replaced(&sdk, &plugin.record.source, &other)));
    let output = run(command, dir.path(), &["file.prov".to_owned()]);
    let expected = format!(
        "error: the SDK is refused, and no plugin is loaded\n\
        file | field | have | want\n\
        the SDK beside this host | source | {other} | [SOURCE]\n\
        fix: {TOGETHER}\n"
    );
    assert_eq!(refused(output, dir.path()), plugin.filled(&expected));
    print(1, "SDK of other sources");
}

/// Its symbols have other names, as those of another compiler's std do; that the dynamic linker itself finds out.
#[test]
#[ignore = "needs the files that `cargo xtask test` builds"]
fn another_std() {
    let dir = dir();
    // With musl's toolchain it is in the SDK.
    let library = libc("libstd-", "libprovost_sdk.so");
    let command = with_library(dir.path(), library, |std| replaced(&std, "_3std", "_3STD"));
    let output = run(command, dir.path(), &["file.prov".to_owned()]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    let (begin, end) = libc("symbol lookup error: |undefined symbol: _", "Error relocating |: symbol not found")
        .split_once('|')
        .expect("two parts");
    assert!(stderr.split_once(begin).is_some_and(|(_, rest)| rest.contains(end)), "{stderr}");
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(127), &b""[..]), "{}", output.status);
    print(1, "std of another compiler");
}
