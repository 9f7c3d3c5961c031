//! The Dockerfile that people write by hand for the same tree: several stages, `COPY . .`, the plugins typed, with and without cache
//! mounts. Built by docker's BuildKit, without a network: the crates lie in the tree.

use std::path::Path;

use crate::Places;
use crate::statistics::median;
use crate::tree::Tree;

const NAME: &str = "localhost/provost-bench:by-hand";

const PLUGIN: &str = "plugins/file/src/lib.rs";

/// How often a build with cache mounts is measured. One without compiles everything, and is measured once.
const ROUNDS: usize = 3;

/// Seconds after one plugin was edited: without cache mounts, then with; and with nothing changed.
pub struct ByHand {
    pub without: f64,
    pub with: f64,
    pub nothing: f64,
}

pub fn measure(places: &Places, builder: &str, base: &str) -> ByHand {
    let tree = Tree::new(places, "by-hand");
    tree.output(Path::new("cargo"), &["vendor", "--quiet", "--locked", "vendor"]);
    let source = "\n[source.crates-io]\nreplace-with = \"here\"\n[source.here]\ndirectory = \"vendor\"\n";
    tree.append(".cargo/config.toml", source);
    tree.append(".dockerignore", "xtask\nexamples\nbenches\n");
    let channel = places.channel();
    let text = |mounts: &str| {
        format!(
            "FROM {builder} AS build\nENV RUSTUP_TOOLCHAIN={channel}\nWORKDIR /source\nCOPY . .\n\
             RUN {mounts}cargo build --release --offline --lib --bin provost -p provost -p provost-sdk -p file -p smtp -p webhook && \
             mkdir /out && cp target/release/provost target/release/libprovost_sdk.so /out && \
             for plugin in file smtp webhook; do cp target/release/lib$plugin.so /out/$plugin.prov; done && \
             cp \"$(rustc --print target-libdir)\"/libstd-*.so /out\n\
             FROM {base}\nWORKDIR /provost\nCOPY --from=build /out /provost\n\
             CMD [\"./provost\", \"--config\", \"/etc/provost/config.toml\", \"--prov\", \"file.prov\", \"--prov\", \"smtp.prov\", \
             \"--prov\", \"webhook.prov\"]\n"
        )
    };
    let build = |file: &str| {
        let args = ["build", "--quiet", "--network", "none", "--tag", NAME, "--file", file, "."];
        tree.run(Path::new("docker"), &args)
    };
    tree.write("without.Dockerfile", &text(""));
    tree.write("with.Dockerfile", &text("--mount=type=cache,target=/source/target "));
    build("without.Dockerfile");
    let nothing = median((0..ROUNDS).map(|_| build("without.Dockerfile")).collect());
    build("with.Dockerfile");
    tree.edit(PLUGIN, 0);
    let without = build("without.Dockerfile");
    let edited = |round| {
        tree.edit(PLUGIN, round);
        build("with.Dockerfile")
    };
    let with = median((1..=ROUNDS).map(edited).collect());
    tree.output(Path::new("docker"), &["rmi", "--force", NAME]);
    ByHand { without, with, nothing }
}
