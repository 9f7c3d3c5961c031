//! JSON Schemas of the configuration, for editors: what [`Config::read`](super::Config::read) accepts, as far as a schema can say it.

use super::{RawFile, RawProvider};
use provost_sdk::plugin::Plugin;
use provost_sdk::schema::{finish, generator, of};
use provost_sdk::schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

/// Of the table of a provider of this plugin.
pub fn of_provider(name: &str, plugin: &Plugin) -> Value {
    let mut generator = generator();
    let mut schema = provider(name, plugin, &mut generator);
    schema.insert("title".to_owned(), format!("A provider of the plugin {name}").into());
    finish(schema, generator).to_value()
}

/// Of a whole file, for a host with these plugins.
pub fn of_file<'a>(plugins: impl Iterator<Item = (&'a str, &'a Plugin)>) -> Value {
    let mut generator = generator();
    let mut schema = of::<RawFile>(&mut generator);
    let tables: Map<String, Value> =
        plugins.map(|(name, plugin)| (name.to_owned(), provider(name, plugin, &mut generator).to_value())).collect();
    let of_plugin = |name: &String| json!({ "$ref": format!("#/definitions/{}", definition(name)) });
    // The table of each plugin allows no other plugin's name, so one at most fits.
    let named = json!({ "required": ["plugin"], "anyOf": tables.keys().map(of_plugin).collect::<Vec<_>>() });
    let by_name = tables.keys().map(|name| (name.clone(), json!({ "anyOf": [of_plugin(name), named] })));
    if let Some(Value::Object(providers)) = schema.pointer_mut("/properties/providers") {
        providers.insert("propertyNames".to_owned(), json!({ "pattern": "^[A-Za-z0-9_-]+$" }));
        providers.insert("properties".to_owned(), Value::Object(by_name.collect()));
        providers.insert("additionalProperties".to_owned(), if tables.is_empty() { false.into() } else { named });
    }
    schema.insert("title".to_owned(), "The configuration of provost".into());
    let definitions = tables.into_iter().map(|(name, table)| (definition(&name), table));
    schema.insert("definitions".to_owned(), Value::Object(definitions.collect()));
    finish(schema, generator).to_value()
}

/// Where a plugin's table is defined. No type's name has a dot.
fn definition(plugin: &str) -> String {
    format!("providers.{plugin}")
}

/// What a plugin reads of a provider's table, and what the host does.
fn provider(name: &str, plugin: &Plugin, generator: &mut SchemaGenerator) -> Schema {
    let common = of::<RawProvider>(generator);
    let mut common = common.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
    if let Some(Value::Object(key)) = common.get_mut("plugin") {
        key.insert("const".to_owned(), name.into());
    }
    let mut schema = plugin.schema(generator);
    add(schema.ensure_object(), &common);
    schema
}

/// Adds properties to an object, or to each that is a choice.
fn add(schema: &mut Map<String, Value>, properties: &Map<String, Value>) {
    for key in ["anyOf", "oneOf"] {
        let choices = schema.get_mut(key).and_then(Value::as_array_mut);
        choices.into_iter().flatten().filter_map(Value::as_object_mut).for_each(|choice| add(choice, properties));
    }
    if schema.get("type").is_some_and(|kind| kind == "object") {
        let all = schema.entry("properties").or_insert_with(|| Map::new().into());
        all.as_object_mut().into_iter().for_each(|all| all.extend(properties.clone()));
    }
}
