//! `#[provost_sdk::config]`: the derives of serde and schemars, told to use the SDK's crates, so that a plugin needs none of its own.
//!
//! Parses nothing and depends on nothing: it only puts attributes in front of the item.

use proc_macro::TokenStream;

/// Makes a struct or enum readable from a provider's table in the configuration, and gives it a JSON Schema.
///
/// The same as `#[derive(Deserialize, JsonSchema)]` with serde and schemars from the SDK. Their attributes work on its fields: a
/// field of a type without a schema needs one, for example `#[schemars(with = "String")]`. Comments of documentation become
/// the schema's descriptions.
#[proc_macro_attribute]
pub fn config(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let attributes = if arguments.is_empty() {
        "#[derive(::provost_sdk::serde::Deserialize, ::provost_sdk::schemars::JsonSchema)] \
         #[serde(crate = \"::provost_sdk::serde\")] #[schemars(crate = \"::provost_sdk::schemars\")]"
    } else {
        "::core::compile_error!(\"`#[provost_sdk::config]` takes no arguments\");"
    };
    let mut output: TokenStream = attributes.parse().expect("the text above is Rust");
    output.extend(item);
    output
}
