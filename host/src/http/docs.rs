//! The page of the API's documentation, made from the OpenAPI document. It needs no script and loads nothing.

use serde_json::{Map, Value};
use std::fmt::Write;

const STYLE: &str = include_str!("docs.css");

/// What a browser may do with the page: use its style, which has this digest, and nothing else.
pub const POLICY: &str = "default-src 'none'; style-src 'sha256-k4dU9Q1pfcjqVqF657SYt+pGEyju0zqc93jr9yK3tPo='; img-src data:; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

/// Where a schema is defined, in the document.
const SCHEMAS: &str = "#/components/schemas/";

/// The page for this document.
pub fn page(document: &Value) -> String {
    let info = &document["info"];
    let mut page = String::from("<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n");
    // Without an icon that is there already, a browser asks for one.
    page += "<meta name=\"viewport\" content=\"width=device-width\">\n<link rel=\"icon\" href=\"data:,\">\n";
    put(&mut page, &format!("<title>{} {}</title>\n", text(&info["title"]), text(&info["version"])));
    put(
        &mut page,
        &format!(
            "<style>{STYLE}</style>\n<h1>{} <small>{}</small></h1>\n",
            text(&info["title"]),
            text(&info["version"])
        ),
    );
    put(&mut page, &format!("<p>{}</p>\n", prose(&info["description"])));
    page += "<p><a href=\"/openapi.json\">The same as OpenAPI 3.1</a> · <a href=\"#problems\">Problems</a> · <a href=\"#schemas\">Schemas</a></p>\n";
    page += "<nav><ul>\n";
    for (path, method, operation) in operations(document) {
        let (id, summary) = (text(&operation["operationId"]), prose(&operation["summary"]));
        put(&mut page, &format!("<li><a href=\"#{id}\"><code>{method} {path}</code></a> {summary}\n"));
    }
    page += "</ul></nav>\n";
    for (path, method, operation) in operations(document) {
        section(&mut page, &path, &method, operation);
    }
    problems(&mut page, &document["x-problems"]);
    page += "<section id=\"schemas\"><h2>Schemas</h2>\n";
    for (name, schema) in members(&document["components"]["schemas"]) {
        let (name, description) = (escape(name), prose(&schema["description"]));
        put(&mut page, &format!("<h3 id=\"schema-{name}\">{name}</h3>\n<p>{description}</p>\n"));
        properties(&mut page, schema);
    }
    page += "</section>\n</html>\n";
    page
}

/// Path, method and the rest, of each.
fn operations(document: &Value) -> impl Iterator<Item = (String, String, &Value)> {
    members(&document["paths"]).flat_map(|(path, methods)| {
        let path = escape(path);
        members(methods).map(move |(method, operation)| (path.clone(), escape(&method.to_uppercase()), operation))
    })
}

fn section(page: &mut String, path: &str, method: &str, operation: &Value) {
    let (id, summary) = (text(&operation["operationId"]), prose(&operation["summary"]));
    put(page, &format!("<section id=\"{id}\"><h2><code>{method} {path}</code></h2>\n<p>{summary}.</p>\n"));
    put(page, &format!("<p>{}</p>\n", prose(&operation["description"])));
    let open = operation["security"].as_array().is_some_and(Vec::is_empty);
    *page += if open { "<p>It needs no token.</p>\n" } else { "<p>It needs a token.</p>\n" };
    *page += "<h3>Parameters</h3>\n<table><tr><th>name<th>in<th>type<th>meaning\n";
    for parameter in items(&operation["parameters"]) {
        let (name, place, kind) = (text(&parameter["name"]), text(&parameter["in"]), kind(&parameter["schema"]));
        put(
            page,
            &format!("<tr><td><code>{name}</code><td>{place}<td>{kind}<td>{}\n", prose(&parameter["description"])),
        );
    }
    *page += "</table>\n";
    if let Some((media, body)) = members(&operation["requestBody"]["content"]).next() {
        put(page, &format!("<h3>Body</h3>\n<p><code>{}</code>: {}</p>\n", escape(media), kind(&body["schema"])));
        example(page, body);
    }
    *page += "<h3>Answers</h3>\n<table><tr><th>status<th>meaning<th>body<th>headers\n";
    for (status, answer) in members(&operation["responses"]) {
        let content: Vec<String> = members(&answer["content"])
            .map(|(media, body)| format!("<code>{}</code> {}", escape(media), kind(&body["schema"])))
            .collect();
        let headers: Vec<String> =
            members(&answer["headers"]).map(|(name, _)| format!("<code>{}</code>", escape(name))).collect();
        let (content, headers, meaning) = (content.join(", "), headers.join(" "), prose(&answer["description"]));
        put(page, &format!("<tr><td>{}<td>{meaning}<td>{content}<td>{headers}\n", escape(status)));
    }
    *page += "</table>\n";
    members(&operation["responses"]["200"]["content"]).for_each(|(_, body)| example(page, body));
    *page += "</section>\n";
}

fn example(page: &mut String, body: &Value) {
    if let Some(example) = body.get("example") {
        put(page, &format!("<pre>{}</pre>\n", escape(&format!("{example:#}"))));
    }
}

fn problems(page: &mut String, all: &Value) {
    *page += "<section id=\"problems\"><h2>Problems</h2>\n<table><tr><th>type<th>status<th>meaning<th>send it again?\n";
    for problem in items(all) {
        let statuses: Vec<String> = items(&problem["statuses"]).map(Value::to_string).collect();
        let (name, meaning, again) = (text(&problem["type"]), prose(&problem["meaning"]), text(&problem["again"]));
        put(page, &format!("<tr><td><code>{name}</code><td>{}<td>{meaning}<td>{again}\n", statuses.join(", ")));
    }
    *page += "</table></section>\n";
}

fn properties(page: &mut String, schema: &Value) {
    if schema.get("properties").is_none() {
        return put(page, &format!("<p>{}</p>\n", kind(schema)));
    }
    let required: Vec<&Value> = items(&schema["required"]).collect();
    *page += "<table><tr><th>field<th>type<th>required<th>meaning\n";
    for (name, property) in members(&schema["properties"]) {
        let is_required = if required.iter().any(|required| *required == name) { "yes" } else { "no" };
        let (name, kind, meaning) = (escape(name), kind(property), prose(&property["description"]));
        put(page, &format!("<tr><td><code>{name}</code><td>{kind}<td>{is_required}<td>{meaning}\n"));
    }
    *page += "</table>\n";
}

/// What a schema allows, in words.
fn kind(schema: &Value) -> String {
    const LIMITS: [&str; 8] =
        ["minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "maxProperties", "pattern"];
    if let Some(name) = schema["$ref"].as_str().and_then(|target| target.strip_prefix(SCHEMAS)) {
        let name = escape(name);
        return format!("<a href=\"#schema-{name}\">{name}</a>");
    }
    if let Some(first) = items(&schema["allOf"]).next() {
        return kind(first);
    }
    let mut words = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().map(text).collect::<Vec<_>>().join(" or "),
        other => text(other),
    };
    if let Some(each) = schema.get("items").or(schema.get("additionalProperties")).filter(|each| each.is_object()) {
        let _ = write!(words, " of {}", kind(each));
    }
    for limit in LIMITS.iter().filter(|limit| schema.get(**limit).is_some()) {
        let _ = write!(words, "; {limit} <code>{}</code>", text(&schema[*limit]));
    }
    words
}

fn members(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter).map(|(name, value)| (name.as_str(), value))
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn put(page: &mut String, html: &str) {
    page.push_str(html);
}

/// A value as text.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => escape(text),
        Value::Null => String::new(),
        other => escape(&other.to_string()),
    }
}

/// A text in which `code` is in backticks.
fn prose(value: &Value) -> String {
    let parts = text(value);
    let parts = parts.split('`').enumerate();
    parts.map(|(index, part)| if index % 2 == 1 { format!("<code>{part}</code>") } else { part.to_owned() }).collect()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::sha256;

    #[test]
    fn the_policy_has_the_digest_of_the_style() {
        const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let digit = |group: u32, place: usize| DIGITS[(group >> (18 - 6 * place) & 63) as usize] as char;
        let digest: String = sha256(STYLE)
            .chunks(3)
            .flat_map(|bytes| {
                let group = (0..3).fold(0, |group, at| group << 8 | u32::from(*bytes.get(at).unwrap_or(&0)));
                (0..4).map(move |place| if place > bytes.len() { '=' } else { digit(group, place) })
            })
            .collect();
        assert!(POLICY.contains(&format!("style-src 'sha256-{digest}';")), "{digest}");
    }

    #[test]
    fn nothing_of_a_text_is_html() {
        assert_eq!(prose(&"a `<b>` & c".into()), "a <code>&lt;b&gt;</code> &amp; c");
    }
}
