//! What a plugin's layer has beside its file and its assets: libraries that the plugin brings along, and its schema.

use crate::support::{Tree, check, run};
use expect_test::{Expect, expect};
use serde_json::Value;

/// A script that says where the libraries are.
const SEARCH: &str = "fn main() {
    println!(\"cargo::rustc-link-search=native={}/lib\", std::env::var(\"CARGO_MANIFEST_DIR\").unwrap());
    println!(\"cargo::rustc-link-lib=dylib=word\");
}
";

const CALL: &str = "
unsafe extern \"C\" {
    fn word() -> *const std::ffi::c_char;
}

fn greet() -> String {
    unsafe { std::ffi::CStr::from_ptr(word()) }.to_str().unwrap().to_owned()
}

greeter_sdk::export!(greet);
";

/// Gives the plugin two libraries that were compiled elsewhere; only one of them needs the other.
fn bring_libraries(tree: &Tree, plugin: &str, word: &str) {
    let dir = format!("plugins/{plugin}");
    tree.write(&format!("{dir}/build.rs"), SEARCH);
    tree.write(&format!("{dir}/src/lib.rs"), CALL);
    let source = tree.root.join("target/source");
    tree.write("target/source/letters.c", &format!("const char *letters(void) {{ return \"{word}\"; }}\n"));
    tree.write("target/source/word.c", "const char *letters(void);\nconst char *word(void) { return letters(); }\n");
    let lib = tree.root.join(&dir).join("lib");
    std::fs::create_dir_all(&lib).expect("a directory");
    let compile = |name: &str, more: &[&str]| {
        let (from, to) = (source.join(format!("{name}.c")), lib.join(format!("lib{name}.so")));
        let soname = format!("-Wl,-soname,lib{name}.so");
        run("cc", &[&["-shared", "-fPIC", "-o", to.as_str(), from.as_str(), &soname], more].concat());
    };
    compile("letters", &[]);
    compile("word", &["-L", lib.as_str(), "-lletters", "-Wl,-rpath,$ORIGIN"]);
}

fn files(image: &Value, layer: &str) -> Vec<String> {
    let layers = image["layers"].as_array().expect("layers");
    let layer = layers.iter().find(|one| one["name"] == layer).expect("the layer");
    let paths = layer["files"].as_array().expect("files").iter().map(|file| file["path"].as_str().expect("a path"));
    // Directories have no extension here.
    paths.filter(|path| path.contains('.')).map(str::to_owned).collect()
}

/// How the next image fails.
fn check_error(tree: &Tree, expected: Expect) {
    let run = tree.xtask(&["image", "--base", "scratch"]);
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    expected.assert_eq(run.stderr.split_once("error: ").expect("an error").1);
}

#[test]
fn libraries_that_a_plugin_brings_along_are_in_its_layer() {
    let tree = Tree::small("shipped").without_engine();
    bring_libraries(&tree, "hello", "prebuilt");
    // The image is verified without anything of this machine.
    let image = tree.image(&["--base", "scratch"]);
    let expected = ["opt/greeter/hello.plug", "opt/greeter/libletters.so", "opt/greeter/libword.so"];
    assert_eq!(files(&image, "hello.plug"), expected);
    let run = tree.xtask(&["run"]);
    assert_eq!(run.stdout, "tone = \"casual\"\ngoodbye\nprebuilt\n", "{}", run.stderr);

    // The same libraries of another plugin are there once; others cannot be.
    bring_libraries(&tree, "goodbye", "prebuilt");
    let image = tree.image(&["--base", "scratch"]);
    assert_eq!(files(&image, "hello.plug"), expected[..1]);
    let moved = ["opt/greeter/goodbye.plug", expected[1], expected[2]];
    assert_eq!(files(&image, "goodbye.plug"), moved);
    bring_libraries(&tree, "goodbye", "another");
    check_error(
        &tree,
        expect![[r#"
        plugins/hello/lib/libletters.so differs from the libletters.so of another plugin, and a process loads one library of a name: give one of them another file name and SONAME
    "#]],
    );
}

#[test]
fn a_schema_is_in_its_plugins_layer() {
    let tree = Tree::small("schemas").without_engine();
    check(
        &tree,
        &["list", "--schemas"],
        expect![[r#"
            error: 2 errors in the plugins' schemas
              - the plugin goodbye has none yet, as it was not built: run `cargo xtask build`
              - the plugin hello has none yet, as it was not built: run `cargo xtask build`
        "#]],
    );
    tree.replace("Cargo.toml", "config-flag =", "schema-flag = \"--schema\"\nconfig-flag =");
    let image = tree.image(&[]);
    assert_eq!(files(&image, "hello.plug"), ["opt/greeter/hello.plug", "opt/greeter/schemas/hello.json"]);
    assert_eq!(tree.read("target/image/dist/schemas/hello.json"), "{\n  \"title\": \"hello\"\n}\n");
    let schemas: Value = serde_json::from_str(&tree.xtask(&["list", "--schemas"]).stdout).expect("JSON");
    assert_eq!(schemas, serde_json::json!({ "goodbye": { "title": "goodbye" }, "hello": { "title": "hello" } }));

    // Plugins that the host cannot load are named, all of them.
    let ended = "#[used]\n#[unsafe(link_section = \".init_array\")]\nstatic INIT: extern \"C\" fn() = init;\n\nextern \"C\" fn init() {\n    \
                 END\n}\n";
    for (plugin, end) in [
        ("hello", "eprintln!(\"error: not today\");\n    std::process::exit(3);"),
        ("goodbye", "std::process::exit(4);"),
    ] {
        let path = format!("plugins/{plugin}/src/lib.rs");
        tree.write(&path, &format!("{}\n{}", tree.read(&path), ended.replace("END", end)));
    }
    check_error(
        &tree,
        expect![[r#"
        2 errors in the plugins' schemas (`greeter --schema`)
          - the plugin goodbye: the host ended with status 4
          - the plugin hello: not today
    "#]],
    );
}
