//! Plugins of builds that differ in one thing, really compiled: the host of each build refuses the plugins of the other
//! before it loads them, and names what differs. What can be made by editing a file is in the host's own corpus.

use crate::support::build::{Build, FIX, print};
use crate::support::{Tree, plugins, run};

/// What is edited for a build: the file, the text that is there, and what stands there instead.
type Edit = (&'static str, &'static str, &'static str);

const SWAPPED_METHODS: Edit = (
    "host/sdk/src/plugin.rs",
    "    fn validate(&self) -> Result<(), ConfigError>;

    /// [`Provider::deliver`].
    fn deliver<'a>(&'a self, message: &'a Message) -> Delivery<'a>;
",
    "    fn deliver<'a>(&'a self, message: &'a Message) -> Delivery<'a>;

    /// [`Provider::validate`].
    fn validate(&self) -> Result<(), ConfigError>;
",
);
const ADDED_FIELD: Edit =
    ("host/sdk/src/message.rs", "pub id: String,", "pub id: String,\n    /// Added.\n    pub added: u64,");
const FILLED_FIELD: Edit = ("host/src/http/message.rs", "Ok(Message { id,", "Ok(Message { id, added: 0,");
const FEATURE: Edit = (
    "plugins/file/Cargo.toml",
    "[dependencies]\n",
    "[dependencies]\nserde_json = { workspace = true, features = [\"preserve_order\"] }\n",
);

/// What a cfg alone turns on, in the sources of every build here.
const FIELD_OF_A_CFG: [Edit; 2] = [
    (
        "host/sdk/src/message.rs",
        "pub to: Vec<String>,",
        "pub to: Vec<String>,\n    /// Added.\n    #[cfg(wide)]\n    pub wide: [u64; 8],",
    ),
    ("host/src/http/message.rs", "Ok(Message { id,", "Ok(Message { id, #[cfg(wide)] wide: [0; 8],"),
];
/// Profile settings for the SDK, and for a crate that the SDK uses.
const PROFILES: [(&str, &str); 2] = [
    ("sdk-profile", "[profile.release.package.provost-sdk]\noverflow-checks = true\n"),
    ("crate-profile", "[profile.release.package.serde_json]\noverflow-checks = true\n"),
];

/// One test, since all builds share a directory: each takes what the one before it left.
#[test]
fn plugins_of_another_build() {
    let tree = Tree::real("corpus").quick();
    // One plugin shows it: what the others need would only be compiled again and again.
    for plugin in plugins().iter().filter(|name| *name != "file") {
        tree.remove(&format!("plugins/{plugin}"));
    }
    FIELD_OF_A_CFG.iter().for_each(|(file, from, to)| tree.replace(file, from, to));
    let first = Build::make(&tree, "first");
    assert_eq!(first.check(&first), (Some(0), String::new()), "a plugin of the same build is loaded");

    let edited = |name, edits: &[Edit]| {
        edits.iter().for_each(|(file, from, to)| tree.replace(file, from, to));
        let build = Build::make(&tree, name);
        edits.iter().for_each(|(file, from, to)| tree.replace(file, to, from));
        build
    };

    let swapped = edited("swapped-methods", &[SWAPPED_METHODS]);
    first.differs_from(&swapped, &["source"]);
    let mixed = first.with_sdk_of(&swapped);
    let expected = format!(
        "error: the SDK is refused, and no plugin is loaded\nfile field have want\n\
        the SDK beside this host source [SOURCE OF swapped-methods] [SOURCE OF mixed]\n{FIX}\n"
    );
    assert_eq!(mixed.check(&swapped), (Some(1), expected));

    first.differs_from(&edited("added-field", &[ADDED_FIELD, FILLED_FIELD]), &["source"]);

    let manifest = tree.read("Cargo.toml");
    for (name, profile) in PROFILES {
        tree.write("Cargo.toml", &format!("{manifest}\n{profile}"));
        first.differs_from(&Build::make(&tree, name), &["anchor"]);
    }
    tree.write("Cargo.toml", &manifest);

    let turned_on = edited("other-features", &[FEATURE]);
    first.differs_from(&turned_on, &["anchor"]);
    // Of other names: that the dynamic linker itself finds out.
    let (code, stderr) = first.with_sdk_of(&turned_on).check(&turned_on);
    assert!(code == Some(127) && stderr.contains(": undefined symbol: "), "{code:?}: {stderr}");

    tree.replace(FEATURE.0, FEATURE.1, FEATURE.2);
    let alone = Build::alone(&tree, "alone", None);
    tree.replace(FEATURE.0, FEATURE.2, FEATURE.1);
    first.refuses_unsealed(&alone, &["anchor"]);
    print(1, &alone);

    let (manifest, lock) = (tree.root.join("Cargo.toml"), tree.read("Cargo.lock"));
    run("cargo", &["update", "--manifest-path", manifest.as_str(), "serde_json", "--precise", "1.0.145"]);
    first.differs_from(&Build::make(&tree, "other-version"), &["anchor"]);

    tree.write("Cargo.lock", &lock);
    // Other flags compile everything, and the way back would, too.
    let tree =
        tree.apart("other-flags").env("RUSTFLAGS", "--cfg wide -C target-cpu=x86-64-v2 -C link-arg=-Wl,--as-needed");
    let wide = Build::make(&tree, "other-flags");
    first.refuses_with(&wide, "flags --cfg wide -\n-C target-cpu=x86-64-v2 -\n");
    wide.refuses_with(&first, "flags - --cfg wide\n- -C target-cpu=x86-64-v2\n");
    print(2, &wide);
}
