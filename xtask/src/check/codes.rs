//! The kinds of errors that `cargo xtask check` finds. Their codes are stable.

/// A code, and what `--explain` says about it.
const CODES: &[(&str, &str)] = &[
    (
        "allocator",
        "A plugin must not have a `#[global_allocator]`. Host and plugins share one std, and so one allocator: memory that \
      one of them allocates is freed by another. Remove it.",
    ),
    (
        "assets",
        "`[package.metadata.HOST]` names a file that does not exist, lies outside of the plugin's directory, or cannot be \
      shipped. Correct the path, or add the file.",
    ),
    (
        "build",
        "The plugin does not compile together with the host: cargo's messages are above. Or the host cannot load it to ask for the \
      schema of its configuration: the message is the host's own.",
    ),
    (
        "build-network",
        "The build script, or a crate that it uses, downloads something. The container that compiles has no network, and \
      a build must depend on the tree alone. Put what it downloads into the plugin's directory, or into a crate.",
    ),
    ("clippy", "Clippy has warnings. `cargo clippy -p NAME` shows them, `cargo clippy --fix -p NAME` fixes most."),
    (
        "config",
        "The host refuses the plugin's default configuration. It must contain a provider that works as it is: `--config` checks \
      another file.",
    ),
    (
        "crate-type",
        "A plugin must be a `cdylib`, which the host can load at run time. Write `crate-type = [\"cdylib\"]` under `[lib]`.",
    ),
    (
        "crypto",
        "A crate of the plugin brings a second implementation of cryptography for TLS, usually `aws-lc-rs`. It makes every image \
      larger by megabytes, needs more tools to compile, and rustls cannot choose between two. The SDK uses `ring`. The message names \
      the crates that lead to it: turn it off at the first, usually with `default-features = false` and the features that are needed.",
    ),
    (
        "duplicate",
        "The plugin brings another version of a crate that the SDK has. Both are in the image then, and their types do not fit \
      together. Use the SDK's re-export, or the same version.",
    ),
    (
        "exit",
        "A plugin must not end the process: the host reports that as an error, and all other providers end, too. Return an error.",
    ),
    (
        "export",
        "The host finds a plugin by one line: `provost_sdk::export!(TYPE);`, once in the crate, at its top level.",
    ),
    (
        "features",
        "The plugin turns on features of crates that all plugins share. They are on for everybody, and every layer of the image \
      changes. Turn off what the plugin does not need: `default-features = false`.",
    ),
    ("format", "The code is not formatted as `cargo fmt` does it."),
    (
        "include",
        "The code includes a file from outside of the plugin's directory. The file may be missing elsewhere, and a change of it is \
      not noticed. Move it into the plugin's directory.",
    ),
    ("load", "The host does not load the plugin. The message is the host's own."),
    ("manifest", "Cargo.toml is missing, is not TOML, or has no `[package]`."),
    (
        "name",
        "The name of a plugin is the name of its package. It must not be the host's or the SDK's, neither must its library, and two \
      plugins cannot have one name. Rename the package.",
    ),
    (
        "patch",
        "`[patch]` and `[replace]` have an effect only in the Cargo.toml at the root of the tree. Move them there, where they count \
      for all plugins, or remove them.",
    ),
    (
        "path-dependency",
        "A path dependency leaves the tree. It would not be in the copy of the sources that is compiled. Move the crate \
      into the tree, or depend on it by version or git.",
    ),
    (
        "probe",
        "The plugin did not do in the real host what it should: it was loaded with its default configuration, was sent an empty \
      message, a large one, and one that was cut off, and was ended. The message says what happened.",
    ),
    (
        "profile",
        "`[profile]` has an effect only in the Cargo.toml at the root of the tree: also `panic = \"abort\"`, which the host does not \
      allow, since it catches panics. Remove it.",
    ),
    ("resolve", "Cargo finds no set of crates for the host and its plugins. The message is cargo's own."),
    ("sdk", "A plugin depends on the SDK, the crate that host and plugins share."),
    (
        "system-package",
        "A crate of the plugin needs a library of the system, and tools to find it. Add its package to \
      docker/builder.Dockerfile to compile, and to docker/deploy.Dockerfile to run: the names are those of Debian and Alpine.",
    ),
    ("tests", "The plugin's tests fail. `cargo test -p NAME` shows them."),
    (
        "tokio",
        "The plugin has a tokio of its own, of another version than the SDK's. Its timers and sockets panic on the host's runtime. \
      Use `provost_sdk::tokio`, or a version that is compatible.",
    ),
    (
        "workspace",
        "A plugin in plugins/ is a member of the tree's workspace, and cannot have a workspace of its own. Remove the table, or \
      keep the plugin outside and build with `--with`.",
    ),
];

/// What is known about a kind of errors.
pub fn explanation(code: &str) -> Option<&'static str> {
    CODES.iter().find(|(known, _)| *known == code).map(|(_, text)| *text)
}

/// All codes, sorted.
pub fn all() -> impl Iterator<Item = &'static str> {
    CODES.iter().map(|(code, _)| *code)
}

#[cfg(test)]
mod tests {
    use super::all;

    #[test]
    fn codes_are_sorted_and_unique() {
        let codes: Vec<_> = all().collect();
        assert!(codes.is_sorted() && codes.windows(2).all(|pair| pair[0] != pair[1]), "{codes:?}");
    }
}
