//! One tree, one digest: whoever builds it, wherever and whenever.

use std::collections::BTreeMap;

use crate::support::Tree;

/// What one clean build has of its own.
struct Builder {
    dir: &'static str,
    environment: &'static [(&'static str, &'static str)],
    /// Octal.
    umask: &'static str,
    root: bool,
    /// What xtask's clock shows, if not the time.
    clock: Option<&'static str>,
}

const PLAIN: Builder = Builder { dir: "plain", environment: &[], umask: "022", root: true, clock: None };

const BUILDERS: [Builder; 10] = [
    PLAIN,
    Builder { dir: "a/long/way/down/below/the/others", ..PLAIN },
    Builder { dir: "with a space", ..PLAIN },
    Builder { dir: "homes", environment: &[("HOME", "home"), ("CARGO_HOME", "home/crates")], ..PLAIN },
    Builder { dir: "user", root: false, ..PLAIN },
    Builder { dir: "umask", umask: "077", ..PLAIN },
    Builder { dir: "zone", environment: &[("TZ", "Pacific/Kiritimati"), ("LC_ALL", "tr_TR.UTF-8")], ..PLAIN },
    Builder { dir: "past", clock: Some("1999-12-31 23:59:59"), ..PLAIN },
    Builder { dir: "jobs", environment: &[("CARGO_BUILD_JOBS", "1"), ("LANG", "ja_JP.eucJP")], ..PLAIN },
    Builder {
        dir: "all",
        environment: &[("TZ", "America/St_Johns"), ("CARGO_BUILD_JOBS", "7")],
        umask: "002",
        root: false,
        clock: Some("2035-06-01 12:00:00"),
    },
];

impl Builder {
    fn digest(&self) -> String {
        let mut tree = Tree::small(&format!("same-bytes/{}", self.dir)).titled("Same bytes").without_engine();
        for (name, value) in self.environment {
            // Rust itself stays where it is.
            let value = if name.ends_with("HOME") { tree.root.join(value).into_string() } else { (*value).to_owned() };
            tree = tree.env(name, &value);
        }
        if let Some(time) = self.clock {
            // Waiting goes by the monotonic clock, which stays true.
            tree = tree.env("FAKETIME_DONT_FAKE_MONOTONIC", "1").by(&["faketime", time]);
        }
        if !self.root {
            tree = tree.by_a_user();
        }
        let tree = tree.by(&["sh", "-c", &format!("umask {}; exec \"$@\"", self.umask), "sh"]);
        let image = tree.image(&[]);
        image["manifest_digest"].as_str().expect("a digest").to_owned()
    }
}

#[test]
fn ten_builders_make_one_digest() {
    let digests = BUILDERS.iter().map(|builder| (builder.dir, builder.digest()));
    let digests: BTreeMap<&str, String> = digests.collect();
    let expected = &digests[PLAIN.dir];
    assert!(digests.values().all(|digest| digest == expected), "{digests:#?}");
    assert_eq!(digests.len(), 10);
}
