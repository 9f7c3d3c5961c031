//! The OpenAPI document (3.1), made from [`OPERATIONS`], from the types of bodies, and from the limits that are configured.

use crate::config::Limits;
use crate::http::operations::{Content, EVERYWHERE, OPERATIONS, Operation, Parameter, Problems, WATCH};
use crate::http::problem::Problem;
use crate::http::problems::{self, Known};
use provost_sdk::schemars::SchemaGenerator;
use provost_sdk::schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// What is said of the whole.
const DESCRIPTION: &str = "One API in front of all providers of messages. Requests need the header `authorization: Bearer TOKEN`, but for \
    health and this description; an operator may let requests from some addresses in without one. Each answer that is not a success is a \
    problem document (RFC 9457).";

/// The document, for a host with these limits.
pub fn document(limits: Limits) -> Value {
    let (mut requests, mut answers) = (generator(|settings| settings), generator(SchemaSettings::for_serialize));
    let mut paths = Map::new();
    for operation in &OPERATIONS {
        let methods = paths.entry(operation.path).or_insert_with(|| json!({}));
        methods[operation.method] = describe(operation, &mut requests, &mut answers);
    }
    answers.subschema_for::<Problem>();
    let mut schemas = answers.take_definitions(true);
    schemas.extend(requests.take_definitions(true));
    let mut document = json!({
        "openapi": "3.1.0",
        "info": { "title": "Provost", "version": env!("CARGO_PKG_VERSION"), "description": DESCRIPTION },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "bearer": { "type": "http", "scheme": "bearer", "description": "The token of a client in the host's configuration." },
            },
        },
        "x-problems": problems::ALL.iter().map(problem).collect::<Vec<_>>(),
    });
    limit(&mut document, limits);
    document
}

fn generator(change: impl FnOnce(SchemaSettings) -> SchemaSettings) -> SchemaGenerator {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    change(settings).into_generator()
}

/// Writes the limits of messages where a schema says what they may be.
fn limit(document: &mut Value, limits: Limits) {
    let Some(schemas) = document.pointer_mut("/components/schemas") else { return };
    for (place, key, most) in [
        ("/SendMessage/properties/to", "maxItems", limits.recipients),
        ("/SendMessage/properties/to/items", "maxLength", limits.field),
        ("/SendMessage/properties/subject", "maxLength", limits.field),
        ("/SendMessage/properties/attachments", "maxItems", limits.attachments),
        ("/SendMessage/properties/metadata", "maxProperties", limits.metadata),
        ("/SendMessage/properties/metadata/additionalProperties", "maxLength", limits.field),
        ("/SendBatch/properties/messages", "maxItems", limits.batch),
    ] {
        if let Some(schema) = schemas.pointer_mut(place) {
            schema[key] = most.into();
        }
    }
    if let Some(metadata) = schemas.pointer_mut("/SendMessage/properties/metadata") {
        metadata["propertyNames"] = json!({ "maxLength": limits.field });
    }
}

fn describe(operation: &Operation, requests: &mut SchemaGenerator, answers: &mut SchemaGenerator) -> Value {
    let mut parameters = vec![request_id()];
    parameters.extend(operation.parameters.iter().map(|parameter| match parameter {
        Parameter::Name => json!({
            "name": "name", "in": "path", "required": true, "description": "The name of a provider.",
            "schema": { "type": "string", "minLength": 1 }, "example": "file",
        }),
        Parameter::IdempotencyKey => json!({
            "name": "idempotency-key", "in": "header",
            "description": "Names this request, so that it can be sent again: 1 to 255 visible ASCII characters, with or without quotes.",
            // All visible characters, but not quotes around nothing.
            "schema": { "type": "string", "pattern": "^(\"|\"[!#-~][!-~]{0,253}|\"\"[!-~]{1,253}|[!#-~][!-~]{0,254})$" },
            "example": "8e03978e-40d5-43dd-bc93-6894a57f9324",
        }),
        Parameter::Traceparent => json!({
            "name": "traceparent", "in": "header", "schema": { "type": "string" },
            "description": "The trace that the request belongs to (W3C Trace Context). One that cannot be read counts as none.",
            "example": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        }),
    }));
    let mut responses = failures(operation);
    let mut success = json!({ "description": "Success.", "headers": headers(200, operation) });
    success["content"] = content(operation.answer, answers);
    if operation.id == "listProviders" {
        let parameters = json!({ "name": "$response.body#/providers/0/name" });
        success["links"] = json!({ "show": { "operationId": "showProvider", "parameters": parameters } });
    }
    responses.insert("200".to_owned(), success);
    let mut described = json!({
        "operationId": operation.id,
        "summary": operation.summary,
        "parameters": parameters,
        "responses": responses,
        "security": if operation.token { json!([{ "bearer": [] }]) } else { json!([]) },
    });
    if !operation.description.is_empty() {
        described["description"] = operation.description.into();
    }
    if let Some(body) = operation.body {
        described["requestBody"] = json!({ "required": true, "content": content(body, requests) });
    }
    described
}

fn request_id() -> Value {
    json!({
        "name": "x-request-id", "in": "header", "schema": { "type": "string" },
        "description": "What you call the request: it is in the log of its delivery and in the answer. One that is not 1 to 255 visible ASCII characters \
                        counts as none.",
        "example": "checkout-17",
    })
}

fn content(content: Content, generator: &mut SchemaGenerator) -> Value {
    match content {
        Content::Json(schema, example) => {
            let example: Value = serde_json::from_str(example).unwrap_or_default();
            json!({ "application/json": { "schema": schema(generator), "example": example } })
        }
        Content::Object => json!({ "application/json": { "schema": { "type": "object" } } }),
        Content::Text(media) => json!({ media: { "schema": { "type": "string" } } }),
    }
}

/// Headers of an answer.
fn headers(status: u16, operation: &Operation) -> Value {
    let header = |description: &str, schema: Value| json!({ "description": description, "schema": schema });
    let mut headers = Map::new();
    let mut add = |name: &str, header: Value| headers.insert(name.to_owned(), header);
    add("x-request-id", header("That of the request.", json!({ "type": "string" })));
    add("traceparent", header("That of the request, if it could be read.", json!({ "type": "string" })));
    match status {
        200 if operation.id == "sendMessage" => {
            let schema = json!({ "type": "string", "const": "true" });
            add("idempotent-replayed", header("The message was delivered before: this is the first answer.", schema));
        }
        401 => {
            add("www-authenticate", header("How to authenticate.", json!({ "type": "string" })));
        }
        429 | 503 => {
            let schema = json!({ "type": "integer", "minimum": 1 });
            add("retry-after", header("After how many seconds the same request may succeed.", schema));
        }
        _ => {}
    }
    headers.into()
}

/// Answers that are problems, by status.
fn failures(operation: &Operation) -> Map<String, Value> {
    let has = |kind: &str| match operation.problems {
        _ if EVERYWHERE.contains(&kind) => true,
        _ if kind == "unauthenticated" => operation.token,
        _ if kind == "no-connection" => !WATCH.contains(&operation.path),
        Problems::Only(kinds) => kinds.contains(&kind),
        Problems::AllBut(kinds) => !kinds.contains(&kind),
    };
    let mut by_status: BTreeMap<u16, Vec<&Known>> = BTreeMap::new();
    for known in problems::ALL.iter().filter(|known| has(known.kind)) {
        known.statuses.iter().for_each(|status| by_status.entry(*status).or_default().push(known));
    }
    let failure = |(status, all): (u16, Vec<&Known>)| {
        let meanings: Vec<String> = all.iter().map(|known| format!("`{}`: {}.", known.kind, known.meaning)).collect();
        let kinds: Vec<String> = all.iter().map(|known| name(known)).collect();
        let these = json!({ "properties": { "type": { "enum": kinds }, "status": { "const": status } } });
        let schema = json!({ "allOf": [{ "$ref": "#/components/schemas/Problem" }, these] });
        let answer = json!({
            "description": meanings.join(" "),
            "headers": headers(status, operation),
            "content": { "application/problem+json": { "schema": schema } },
        });
        (status.to_string(), answer)
    };
    by_status.into_iter().map(failure).collect()
}

fn problem(known: &Known) -> Value {
    json!({ "type": name(known), "statuses": known.statuses, "meaning": known.meaning, "again": known.again })
}

fn name(known: &Known) -> String {
    format!("urn:provost:problem:{}", known.kind)
}
