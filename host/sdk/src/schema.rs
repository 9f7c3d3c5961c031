//! JSON Schemas of configurations, made from their types: draft 7, the one that most editors know.

use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value};

/// Makes the schemas of several types, so that types which contain themselves have one definition for all.
pub fn generator() -> SchemaGenerator {
    // Not by reference: an editor shows a key's description only where it stands.
    SchemaSettings::draft07().with(|settings| settings.inline_subschemas = true).into_generator()
}

/// The schema of `T`, for a place in a document that [`finish`] completes.
pub fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    T::json_schema(generator)
}

/// Makes a document of `schema` and of what the generator has defined: unknown keys are refused, as
/// [`config::parse`](crate::config::parse) does.
pub fn finish(mut schema: Schema, mut generator: SchemaGenerator) -> Schema {
    let document = schema.ensure_object();
    if let Some(dialect) = &generator.settings().meta_schema {
        document.insert("$schema".to_owned(), dialect.as_ref().into());
    }
    let definitions = generator.take_definitions(false);
    if !definitions.is_empty() {
        let all = document.entry("definitions").or_insert_with(|| Map::new().into());
        all.as_object_mut().into_iter().for_each(|all| all.extend(definitions.clone()));
    }
    close_object(document, false);
    // What draft 7 has not, or has under another name.
    generator.transforms_mut().for_each(|transform| transform.transform(&mut schema));
    schema
}

fn close(schema: &mut Value, is_part: bool) {
    if let Some(schema) = schema.as_object_mut() {
        close_object(schema, is_part);
    }
}

/// Refuses keys that an object does not name. `is_part`: others describe the same object, so none of them knows all its keys.
fn close_object(schema: &mut Map<String, Value>, is_part: bool) {
    const TOGETHER: [&str; 3] = ["allOf", "anyOf", "oneOf"];
    // TOML has no null: an option is there or not.
    if let Some(Value::Array(kinds)) = schema.get("type")
        && let [kind, Value::String(null)] = kinds.as_slice()
        && null == "null"
    {
        let kind = kind.clone();
        schema.insert("type".to_owned(), kind);
    }
    let is_part =
        is_part || (schema.contains_key("properties") && TOGETHER.iter().any(|key| schema.contains_key(*key)));
    let is_object = schema.get("type").is_some_and(|kind| kind == "object");
    if is_object && !is_part && !schema.contains_key("additionalProperties") {
        schema.insert("additionalProperties".to_owned(), false.into());
    }
    schema.retain(|key, value| key != "default" || !value.is_null());
    for (key, value) in schema.iter_mut() {
        match key.as_str() {
            "allOf" | "anyOf" | "oneOf" => {
                value.as_array_mut().into_iter().flatten().for_each(|one| close(one, is_part));
            }
            "properties" | "patternProperties" | "definitions" => {
                value.as_object_mut().into_iter().flat_map(Map::values_mut).for_each(|one| close(one, false));
            }
            "items" | "prefixItems" => match value {
                Value::Array(all) => all.iter_mut().for_each(|one| close(one, false)),
                one => close(one, false),
            },
            "additionalProperties" => close(value, false),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{HumanDuration, Secret};
    use serde_json::json;
    use std::collections::BTreeMap;
    use std::time::Duration;

    /// How it is sent.
    #[provost_sdk::config]
    #[serde(tag = "kind", rename_all = "lowercase")]
    #[expect(dead_code, reason = "only its schema is looked at")]
    enum Way {
        /// At once.
        Direct,
        /// Later.
        Queued { most: u8 },
    }

    #[provost_sdk::config]
    #[expect(dead_code, reason = "only its schema is looked at")]
    struct Common {
        name: String,
        #[serde(flatten)]
        way: Way,
    }

    #[provost_sdk::config]
    #[expect(dead_code, reason = "only its schema is looked at")]
    struct Config {
        /// Never shown.
        token: Secret,
        #[serde(default = "pause")]
        pause: HumanDuration,
        limit: Option<HumanDuration>,
        #[serde(default)]
        headers: BTreeMap<String, String>,
        way: Way,
        flat: Common,
        login: Option<Login>,
        children: Vec<Tree>,
    }

    #[provost_sdk::config]
    #[expect(dead_code, reason = "only its schema is looked at")]
    struct Login {
        user: Option<String>,
    }

    #[provost_sdk::config]
    #[expect(dead_code, reason = "only its schema is looked at")]
    struct Tree {
        children: Vec<Tree>,
    }

    fn pause() -> HumanDuration {
        Duration::from_secs(90).into()
    }

    #[test]
    fn unknown_keys_are_refused_wherever_all_are_known() {
        let mut generator = generator();
        let schema = of::<Config>(&mut generator);
        let schema = finish(schema, generator).to_value();
        let direct = json!({ "description": "At once.", "type": "object", "properties": { "kind": { "type": "string",
            "const": "direct" } }, "required": ["kind"] });
        let queued = json!({ "description": "Later.", "type": "object", "properties": { "kind": { "type": "string",
            "const": "queued" }, "most": { "type": "integer", "format": "uint8", "minimum": 0, "maximum": 255 } },
            "required": ["kind", "most"] });
        let closed = |schema: &Value| {
            let mut schema = schema.clone();
            schema["additionalProperties"] = false.into();
            schema
        };
        let tree = json!({ "type": "object", "properties": { "children": { "type": "array", "items": { "$ref":
            "#/definitions/Tree" } } }, "required": ["children"], "additionalProperties": false });
        let expected = json!({
            "$schema": "http://json-schema.org/draft-07/schema#",
            "type": "object",
            "properties": {
                "token": { "description": "Never shown.", "type": "string", "minLength": 1, "writeOnly": true },
                "pause": { "type": "string", "examples": ["10s", "1m 30s", "250ms"], "default": "1m 30s" },
                "limit": { "type": "string", "examples": ["10s", "1m 30s", "250ms"] },
                "headers": { "type": "object", "additionalProperties": { "type": "string" }, "default": {} },
                "way": { "description": "How it is sent.", "oneOf": [closed(&direct), closed(&queued)] },
                "flat": { "description": "How it is sent.", "type": "object", "properties": { "name": { "type": "string" } }, "required": ["name"],
                    "oneOf": [direct, queued] },
                "login": { "type": "object", "properties": { "user": { "type": "string" } }, "additionalProperties": false },
                "children": { "type": "array", "items": tree },
            },
            "required": ["token", "way", "flat", "children"],
            "additionalProperties": false,
            "definitions": { "Tree": tree },
        });
        assert_eq!(schema, expected, "{schema:#}");
    }
}
