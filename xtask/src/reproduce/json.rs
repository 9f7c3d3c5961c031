//! Finds the first difference of two JSON documents.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use serde_json::Value;

/// `config.Labels."a.b": 1 and 2`; they differ.
pub fn difference(one: &[u8], two: &[u8]) -> Result<String> {
    let [one, two] = [one, two].map(|bytes| serde_json::from_slice::<Value>(bytes).context("reading JSON"));
    let found = first(Some(&one?), Some(&two?), "");
    Ok(found.unwrap_or_else(|| "the same keys and values, written differently".to_owned()))
}

fn first(one: Option<&Value>, two: Option<&Value>, key: &str) -> Option<String> {
    if one == two {
        return None;
    }
    let below = |name: &str| match key {
        "" => name.to_owned(),
        key => format!("{key}.{name}"),
    };
    match (one, two) {
        (Some(Value::Object(one)), Some(Value::Object(two))) => {
            let keys: BTreeSet<&String> = one.keys().chain(two.keys()).collect();
            keys.into_iter().find_map(|name| {
                let plain = name.chars().all(|character| character.is_ascii_alphanumeric() || "-_".contains(character));
                let quoted = if plain { name.clone() } else { format!("\"{name}\"") };
                first(one.get(name), two.get(name), &below(&quoted))
            })
        }
        (Some(Value::Array(one)), Some(Value::Array(two))) => (0..one.len().max(two.len()))
            .find_map(|index| first(one.get(index), two.get(index), &below(&index.to_string()))),
        _ => {
            let [one, two] = [one, two].map(|value| value.map_or("nothing".to_owned(), Value::to_string));
            Some(format!("{key}: {one} and {two}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::difference;

    fn check(one: &str, two: &str, expected: &str) {
        assert_eq!(difference(one.as_bytes(), two.as_bytes()).expect("JSON"), expected);
    }

    #[test]
    fn the_first_key_that_differs_is_named() {
        check(r#"{"a":1,"b":[1,{"c.d":2}]}"#, r#"{"a":1,"b":[1,{"c.d":3}]}"#, r#"b.1."c.d": 2 and 3"#);
        check(r#"{"a":{"b":"x"}}"#, r#"{"a":{}}"#, r#"a.b: "x" and nothing"#);
        check(r#"{"a":[1]}"#, r#"{"a":[1,2]}"#, "a.1: nothing and 2");
        check(r#"{"a":1}"#, r#"{ "a": 1 }"#, "the same keys and values, written differently");
        assert!(difference(b"{", b"{}").is_err());
    }
}
