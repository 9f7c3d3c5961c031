//! Tools and libraries of the system that a build lacked, by what build scripts say, and the packages that have them.

use crate::environment::options::BuildEnvironment;

/// A tool or a library, with its packages in Debian and Alpine.
const PACKAGES: [(&str, &str, &str); 21] = [
    ("alsa", "libasound2-dev", "alsa-lib-dev"),
    ("autoconf", "autoconf", "autoconf"),
    ("c++", "g++", "g++"),
    ("cc", "gcc libc6-dev", "gcc musl-dev"),
    ("clang", "clang", "clang"),
    ("cmake", "cmake make g++", "cmake make g++"),
    ("dbus-1", "libdbus-1-dev", "dbus-dev"),
    ("g++", "g++", "g++"),
    ("libclang", "libclang-dev", "clang-dev"),
    ("libgit2", "libgit2-dev", "libgit2-dev"),
    ("libpq", "libpq-dev", "libpq-dev"),
    ("libudev", "libudev-dev", "eudev-dev"),
    ("libzmq", "libzmq3-dev", "zeromq-dev"),
    ("make", "make", "make"),
    ("mysqlclient", "default-libmysqlclient-dev", "mariadb-connector-c-dev"),
    ("openssl", "libssl-dev", "openssl-dev"),
    ("perl", "perl", "perl"),
    ("pkg-config", "pkg-config", "pkgconf"),
    ("protoc", "protobuf-compiler", "protoc protobuf-dev"),
    ("rdkafka", "librdkafka-dev", "librdkafka-dev"),
    ("sqlite3", "libsqlite3-dev", "sqlite-dev"),
];

/// What stands around the name in a message: of cc-rs, the `cmake` and `pkg-config` crates, of bindgen, of prost, of linkers.
const MESSAGES: [(&str, &str); 8] = [
    ("failed to find tool \"", "\""),
    ("Failed to find tool. Is `", "`"),
    ("\nis `", "` not installed?"),
    ("The system library `", "` required by crate"),
    ("The `", "` command could not be found"),
    ("The ", " command could not be found"),
    ("Could not find `", "`"),
    ("Unable to find ", ":"),
];

/// Linkers name a library without its `lib`.
const LIBRARY: [&str; 2] = ["cannot find -l", "unable to find library -l"];

/// What was missing, and how to install it: once for each tool or library.
pub fn missing(said: &str, environment: &BuildEnvironment) -> Vec<String> {
    let between = |(before, after): &(&str, &str)| {
        let rests = said.split(before).skip(1);
        rests.filter_map(|rest| Some(rest.split_once(after)?.0.to_owned())).collect::<Vec<_>>()
    };
    let tools = MESSAGES.iter().flat_map(between);
    let libraries = LIBRARY.iter().flat_map(|before| said.split(before).skip(1));
    let libraries =
        libraries.map(|rest| rest.chars().take_while(|letter| !":\n ".contains(*letter)).collect::<String>());
    // A name is one word; anything longer is another message.
    let mut names: Vec<String> =
        tools.chain(libraries).filter(|name| !name.is_empty() && !name.contains([' ', '\n'])).collect();
    names.sort();
    names.dedup();
    names.iter().map(|name| format!("`{name}` is missing; {}", install(name, environment))).collect()
}

/// The packages in Debian and Alpine that have a tool or a library.
pub fn packages(name: &str) -> Option<(&'static str, &'static str)> {
    PACKAGES.iter().find(|(known, ..)| *known == name).map(|(_, debian, alpine)| (*debian, *alpine))
}

fn install(name: &str, environment: &BuildEnvironment) -> String {
    let place = match environment {
        BuildEnvironment::Local => "install it".to_owned(),
        BuildEnvironment::Container(_) => "install it in docker/builder.Dockerfile".to_owned(),
    };
    match packages(name) {
        Some((debian, alpine)) => {
            format!(
                "{place}: `RUN apk add {alpine}` (Alpine) or `RUN apt-get update && apt-get install -y {debian}` (Debian)"
            )
        }
        None => format!("{place}, with the package of your distribution that has it"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_and_libraries_are_named_once_with_their_packages() {
        let local = BuildEnvironment::Local;
        for (said, expected) in [
            ("error occurred in cc-rs: failed to find tool \"c++\": No such file or directory (os error 2)", "c++"),
            ("failed to execute command: No such file or directory (os error 2)\nis `cmake` not installed?\n", "cmake"),
            ("The system library `libpq` required by crate `pq-sys` was not found.", "libpq"),
            ("The pkg-config command could not be found.", "pkg-config"),
            ("Could not find `protoc`. If `protoc` is installed, try setting", "protoc"),
            ("Unable to find libclang: \"couldn't find any valid shared libraries", "libclang"),
            ("/usr/bin/ld: cannot find -lfoo: No such file or directory\n/usr/bin/ld: cannot find -lfoo: again", "foo"),
        ] {
            let found = missing(said, &local);
            assert!(
                found.len() == 1 && found[0].starts_with(&format!("`{expected}` is missing; install it")),
                "{found:?}"
            );
        }
        let openssl = missing("The system library `openssl` required by crate `openssl-sys` was not found.", &local);
        let expected = "`openssl` is missing; install it: `RUN apk add openssl-dev` (Alpine) or `RUN apt-get update && \
                        apt-get install -y libssl-dev` (Debian)";
        assert_eq!(openssl, [expected]);
        assert_eq!(
            missing("error[E0432]: unresolved import `foo`\nCould not find `foo bar` in `baz`", &local),
            <[&str; 0]>::default()
        );
    }
}
