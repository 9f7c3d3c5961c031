//! JSON Schemas of the configuration, and the reference that is made of them.

use crate::support::{BUNDLED, bundled, dist, provost};
use serde_json::{Map, Value};
use std::fmt::Write;
use std::fs;
use std::path::Path;

/// What the host prints on stdout and stderr with the bundled plugins.
fn asked(args: &[&str]) -> (Option<i32>, String, String) {
    let plugins = bundled().map(|file| format!("--prov={file}"));
    let output = provost().args(plugins).args(args).output().expect("the host starts");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn schema(args: &[&str]) -> Value {
    let (code, text, errors) = asked(args);
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    serde_json::from_str(&text).expect("JSON")
}

#[test]
#[ignore = "needs the files that `cargo xtask test` builds"]
fn each_plugin_ships_its_own() {
    let whole = schema(&["--schema"]);
    for name in BUNDLED {
        let (code, text, _) = asked(&["--schema", name]);
        let path = dist().join("schemas").join(format!("{name}.json"));
        assert_eq!((code, text), (Some(0), fs::read_to_string(path).expect("it is shipped")));
        let own = schema(&["--schema", name]);
        let definition = &whole["definitions"][format!("providers.{name}")];
        assert_eq!(definition["properties"], own["properties"], "{name}");
    }
    let loaded = BUNDLED.join(", ");
    for (name, fix) in [
        ("smpt", "did you mean `--schema smtp`?"),
        ("pager", "choose another, or add `--prov pager.prov` to the command"),
    ] {
        let expected = format!("error: the plugin `{name}` is not loaded (loaded: {loaded}): {fix}\n");
        assert_eq!(asked(&["--schema", name]), (Some(1), String::new(), expected));
    }
}

#[test]
#[ignore = "needs the files that `cargo xtask test` builds"]
fn the_reference_is_what_the_schemas_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
    let expected = reference(&schema(&["--schema"]));
    if std::env::var_os("UPDATE_REFERENCE").is_some() {
        fs::write(&path, &expected).expect("the tree can be written");
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    let fix = "write it again: UPDATE_REFERENCE=1 cargo xtask test --only provost/schemas";
    assert!(found == expected, "docs/configuration.md is not what the schemas say; {fix}");
}

const HEAD: &str = "# Configuration

The host reads one TOML file. A key that is not listed here is an error. This page is made from the JSON Schemas of the host and of the bundled
plugins. `provost --schema` prints the schema of the whole file, with all plugins that `--prov` names, for editors:

```sh
docker run --rm provost:0.1.0 ./provost --prov ... --schema > provost.schema.json
```

An editor with Taplo or Tombi (Even Better TOML in VS Code) reads the line `#:schema provost.schema.json` at the top of the configuration: it then
completes keys, and marks wrong ones. `provost --schema smtp` prints the schema of one plugin's table; the image has it in
`/provost/schemas/smtp.json`.
";

/// The page about the configuration with this schema.
fn reference(schema: &Value) -> String {
    let plugins: Vec<String> = bundled().map(|file| format!("--prov {file}")).collect();
    let mut page = HEAD.replace("--prov ...", &plugins.join(" "));
    let object = |value: &Value| value["properties"].as_object().cloned().unwrap_or_default();
    let mut keys = object(schema);
    let (mut server, log) = (keys.remove("server").expect("a section"), keys.remove("log").expect("a section"));
    keys.remove("providers").expect("a section");
    section(&mut page, "The file", "", &keys, schema);
    let tls = server["properties"]["tls"].clone();
    // They have a section of their own.
    server["properties"]["tls"]["properties"] = Value::Null;
    for (name, table) in [("server", server), ("server.tls", tls), ("log", log)] {
        section(
            &mut page,
            &format!("[{name}]"),
            table["description"].as_str().unwrap_or_default(),
            &object(&table),
            &table,
        );
    }
    let of = |name: &str| &schema["definitions"][format!("providers.{name}")];
    let common = ["plugin", "timeout", "concurrency", "queue", "rate", "retry", "circuit"];
    let mut every = object(of(BUNDLED[0]));
    every.retain(|key, _| common.contains(&key.as_str()));
    let about = "One table for each provider, named as callers name it. Every one has these keys:";
    section(&mut page, "[providers.NAME]", about, &every, &Value::Null);
    for name in BUNDLED {
        let mut keys = object(of(name));
        keys.retain(|key, _| !common.contains(&key.as_str()));
        section(&mut page, &format!("Providers of the plugin `{name}`"), "", &keys, of(name));
    }
    page
}

fn section(page: &mut String, title: &str, about: &str, keys: &Map<String, Value>, table: &Value) {
    let required = |key: &String| table["required"].as_array().is_some_and(|all| all.iter().any(|one| one == key));
    write!(page, "\n## {title}\n\n").expect("memory takes all");
    if !about.is_empty() {
        write!(page, "{about}\n\n").expect("memory takes all");
    }
    page.push_str("| key | value | default | meaning |\n| --- | --- | --- | --- |\n");
    for (key, schema) in keys.iter().flat_map(|(key, schema)| with_inner(key, schema)) {
        let default = match &schema["default"] {
            Value::Null if required(&key) => "must be set".to_owned(),
            Value::Null => String::new(),
            default => format!("`{default}`"),
        };
        let meaning = schema["description"].as_str().unwrap_or_default().replace('\n', " ");
        writeln!(page, "| `{key}` | {} | {default} | {meaning} |", kind(&schema)).expect("memory takes all");
    }
}

/// A key, and behind it those of a table that it is.
fn with_inner(key: &str, schema: &Value) -> Vec<(String, Value)> {
    let inner = schema["properties"].as_object().into_iter().flatten();
    let inner = inner.map(|(name, schema)| (format!("{key}.{name}"), schema.clone()));
    std::iter::once((key.to_owned(), schema.clone())).chain(inner).collect()
}

/// Which values are allowed, in words.
fn kind(schema: &Value) -> String {
    let texts = |all: &Value, key: Option<&str>| -> Vec<String> {
        let all = all.as_array().into_iter().flatten();
        all.map(|one| format!("`{}`", key.map_or(one, |key| &one[key]))).collect()
    };
    // It may be left out, which the default says.
    let given = schema["anyOf"].as_array().into_iter().flatten().find(|one| one["type"] != "null");
    if let Some(given) = given {
        return kind(given);
    }
    if let Value::Array(_) = schema["oneOf"] {
        return texts(&schema["oneOf"], Some("const")).join(", ");
    }
    match (schema["type"].as_str(), &schema["examples"], schema["writeOnly"].as_bool()) {
        (Some("string"), Value::Array(examples), _) => format!("text such as `{}`", examples[0]),
        (Some("string"), _, Some(true)) => "text, secret".to_owned(),
        (Some("string"), ..) => "text".to_owned(),
        (Some("integer"), ..) => match (schema["minimum"].as_u64(), schema["maximum"].as_u64()) {
            (Some(least), Some(most)) => format!("{least} to {most}"),
            (Some(least @ 1..), None) => format!("at least {least}"),
            _ => "number".to_owned(),
        },
        (kind, ..) => kind.unwrap_or("any").to_owned(),
    }
}
