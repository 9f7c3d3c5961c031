//! A plugin of the same sources that another compiler made, really compiled: the host refuses it before it loads it.

use crate::support::Tree;
use crate::support::build::{Build, FIX, UNSEALED, lines, print};

#[test]
fn a_plugin_of_a_nightly_compiler() {
    let tree = Tree::real("nightly").quick();
    let (own, nightly) = (Build::make(&tree, "pinned"), Build::alone(&tree, "nightly", Some("nightly")));
    assert_eq!((&nightly.record.source, &nightly.record.target), (&own.record.source, &own.record.target));
    assert_eq!(nightly.record.profile, own.record.profile);

    let both = lines(&nightly.record.rustc).zip(lines(&own.record.rustc));
    let differing: Vec<&str> = both.filter(|(have, want)| have.1 != want.1).map(|((name, _), _)| name).collect();
    assert!(differing.starts_with(&["rustc", "commit-hash", "commit-date", "release"]), "{differing:?}");
    let row = |name: &str| format!("[{name} OF nightly] [{name} OF pinned]\n");
    let expected = format!(
        "error: 1 of 1 plugin is refused, and none is loaded\nfile field have want\n\
        @/nightly/file.prov rustc {}anchor {}{UNSEALED}{FIX}\n",
        differing.into_iter().map(row).collect::<String>(),
        row("ANCHOR")
    );
    assert_eq!(own.check(&nightly), (Some(1), expected));
    print(1, &nightly);
}
