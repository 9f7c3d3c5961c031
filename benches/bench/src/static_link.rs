//! The yardstick for size: the same host and plugins as one program, linked statically with fat LTO. Only its size counts; it is not started.

use std::path::Path;

use crate::Places;
use crate::tree::Tree;

/// Bytes of the program, without symbols.
pub fn size(places: &Places) -> u64 {
    let tree = Tree::new(places, "static");
    let plugins = tree.plugins();
    tree.replace("host/sdk/Cargo.toml", "[\"dylib\"]", "[\"rlib\"]");
    for plugin in &plugins {
        tree.replace(&format!("plugins/{plugin}/Cargo.toml"), "[\"cdylib\"]", "[\"rlib\"]");
    }
    // Each is the program's own then, and no symbol that all have.
    tree.replace(
        "host/sdk/src/plugin.rs",
        "        const _: () = {\n            assert!",
        "        const _: () = assert!",
    );
    tree.replace(
        "host/sdk/src/plugin.rs",
        "            #[unsafe(no_mangle)]\n            static",
        "        #[doc(hidden)]\n        pub static",
    );
    tree.replace("host/sdk/src/plugin.rs", "::new::<$provider>();\n        };\n", "::new::<$provider>();\n");
    let dependencies =
        plugins.iter().map(|plugin| format!("{plugin} = {{ path = \"../plugins/{plugin}\" }}\n")).collect::<String>();
    tree.replace("host/Cargo.toml", "[dependencies]\n", &format!("[dependencies]\n{dependencies}"));
    let linked = plugins.iter().map(|plugin| format!("&{plugin}::PROVOST_PLUGIN, ")).collect::<String>();
    tree.replace(
        "host/src/main.rs",
        "fn main() {\n",
        &format!("fn main() {{\n    std::hint::black_box([{linked}]);\n"),
    );
    tree.write(".cargo/config.toml", "");
    // It would refuse a std of its own.
    tree.replace("host/sdk/build.rs", "if variable(\"CARGO_CFG_TARGET_OS\")? == \"linux\" && ", "if false && ");
    tree.replace("Cargo.toml", "lto = \"off\"", "lto = \"fat\"");
    tree.output(Path::new("cargo"), &["build", "--release", "--quiet", "--package", "provost", "--bin", "provost"]);
    let program = Path::new(tree.path()).join("target/release/provost");
    std::fs::metadata(program).expect("the program").len()
}
