//! The same files that are no plugins, given to the host in the finished image, on the image's own libc.

use crate::corpus::cases::{BUILDS, FILES, NOTES};
use crate::corpus::plugin::Plugin;
use crate::corpus::report::{TOGETHER, print, refused, report, write};
use crate::support::container::started_with;
use crate::support::{dir, write_config};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Where the files lie in the container.
const CORPUS: &str = "/corpus";

/// What is on this machine `dir`, as the container sees it.
fn seen(dir: &Path, path: &str) -> String {
    path.replace(dir.to_str().expect("a temporary directory's name is text"), CORPUS)
}

#[test]
#[ignore = "needs the files that `cargo xtask test` builds"]
fn the_image_refuses_every_file() {
    let (dir, plugin) = (dir(), Plugin::read());
    let mut plugins = Vec::new();
    let mut rows = String::new();
    for case in [FILES, BUILDS, NOTES].into_iter().flatten() {
        plugins.push(seen(dir.path(), &write(dir.path(), case.name, &(case.bytes)(&plugin))));
        rows += &case.rows(&plugin);
    }
    write_config(dir.path(), "");
    fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).expect("a directory of the test's own");
    let mut command = vec!["./provost", "--check", "--config", "/corpus/config.toml"];
    command.extend(plugins.iter().flat_map(|plugin| ["--prov", plugin]));
    let output = started_with(dir.path(), CORPUS, &command);
    assert_eq!(refused(output, Path::new(CORPUS)), report(plugins.len(), plugins.len(), &rows, TOGETHER));
    print(plugins.len(), "files in the image");
}
