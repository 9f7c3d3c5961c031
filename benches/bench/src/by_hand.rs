//! The Dockerfile that people write by hand for the same tree: several stages, `COPY . .`, the plugins typed, with and without cache
//! mounts, or with cargo-chef. Built by docker's BuildKit, without a network: the crates lie beside the tree, and are copied first.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::Places;
use crate::statistics::median;
use crate::tree::Tree;

const NAME: &str = "localhost/provost-bench:by-hand";

const PLUGIN: &str = "plugins/file/src/lib.rs";

/// How often a build with cache mounts is measured. One without compiles everything, and is measured once.
const ROUNDS: usize = 3;

/// Seconds from nothing, but with the crates in their place: without cache mounts, and with them. After one plugin was edited: the same two,
/// and with cargo-chef. With nothing changed.
pub struct ByHand {
    pub cold: f64,
    pub cold_with: f64,
    pub without: f64,
    pub with: f64,
    pub chef: f64,
    pub nothing: f64,
}

pub fn measure(places: &Places, builder: &str, base: &str, channel: &str) -> ByHand {
    let tree = Tree::new(places, "by-hand/tree");
    tree.output(Path::new("cargo"), &["vendor", "--quiet", "--locked", "../vendor"]);
    let source = "\n[source.crates-io]\nreplace-with = \"there\"\n[source.there]\ndirectory = \"/vendor\"\n";
    tree.append(".cargo/config.toml", source);
    tree.write("../.dockerignore", "tree/.git\ntree/xtask\ntree/examples\ntree/benches\n");
    let (packages, plugins) = (tree.packages(), tree.plugins());
    let command: String = plugins.iter().map(|name| format!(", \"--prov\", \"{name}.prov\"")).collect();
    let plugins = plugins.join(" ");
    let compile = |mounts: &str| {
        format!(
            "COPY tree .\n\
             RUN {mounts}cargo build --release --offline --lib --bin provost {packages} && \
             mkdir /out && cp target/release/provost target/release/libprovost_sdk.so /out && \
             for plugin in {plugins}; do cp target/release/lib$plugin.so /out/$plugin.prov; done && \
             cp \"$(rustc --print target-libdir)\"/libstd-*.so /out\n\
             FROM {base}\nWORKDIR /provost\nCOPY --from=build /out /provost\n\
             CMD [\"./provost\", \"--config\", \"/etc/provost/config.toml\"{command}]\n"
        )
    };
    let stage = |name: &str| {
        format!("FROM {builder} AS {name}\nENV RUSTUP_TOOLCHAIN={channel}\nCOPY vendor /vendor\nWORKDIR /source\n")
    };
    let build = |file: &str| {
        let args = ["build", "--quiet", "--network", "none", "--tag", NAME, "--file", file, ".."];
        tree.run(Path::new("docker"), &args)
    };
    tree.write("../without.Dockerfile", &format!("{}{}", stage("build"), compile("")));
    // BuildKit remembers mounts and edits of earlier runs: none is made twice.
    let mut round = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs() as usize;
    let mount = compile(&format!("--mount=type=cache,id=provost-bench-{round},target=/source/target "));
    tree.write("../with.Dockerfile", &format!("{}{mount}", stage("build")));
    install_chef(places, &tree);
    let chef = "COPY chef/bin/cargo-chef /usr/local/bin/\n";
    let recipe = format!("{}{chef}COPY tree .\nRUN cargo chef prepare --recipe-path recipe.json\n", stage("recipe"));
    let cook = format!(
        "{}{chef}COPY tree/.cargo .cargo\nCOPY --from=recipe /source/recipe.json .\n\
         RUN cargo chef cook --release --offline --recipe-path recipe.json {packages}\n",
        stage("build")
    );
    tree.write("../chef.Dockerfile", &format!("{recipe}{cook}{}", compile("")));
    tree.edit(PLUGIN, round);
    let cold = build("../without.Dockerfile");
    let nothing = median((0..ROUNDS).map(|_| build("../without.Dockerfile")).collect());
    let cold_with = build("../with.Dockerfile");
    build("../chef.Dockerfile");
    let mut edited = |file: &str| {
        round += 1;
        tree.edit(PLUGIN, round);
        build(file)
    };
    let without = edited("../without.Dockerfile");
    let [with, chef] =
        ["../with.Dockerfile", "../chef.Dockerfile"].map(|file| median((0..ROUNDS).map(|_| edited(file)).collect()));
    tree.output(Path::new("docker"), &["rmi", "--force", NAME]);
    ByHand { cold, cold_with, without, with, chef, nothing }
}

/// A container without a network cannot.
fn install_chef(places: &Places, tree: &Tree) {
    let to = format!("{}/../chef", tree.path());
    let args = ["install", "--quiet", "--locked", "--root", &to, "cargo-chef"];
    crate::process::output(&places.root, Path::new("cargo"), &args);
}
