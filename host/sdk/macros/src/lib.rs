//! `#[provost_sdk::config]`: serde's derive, told to use the SDK's serde, so that a plugin needs no serde of its own.
//!
//! Parses nothing and depends on nothing: it only puts two attributes in front of the item.

use proc_macro::TokenStream;

/// Makes a struct or enum readable from a provider's table in the configuration.
///
/// The same as `#[derive(Deserialize)]` with serde from the SDK. Serde's own attributes work on its fields.
#[proc_macro_attribute]
pub fn config(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let attributes = if arguments.is_empty() {
        "#[derive(::provost_sdk::serde::Deserialize)] #[serde(crate = \"::provost_sdk::serde\")]"
    } else {
        "::core::compile_error!(\"`#[provost_sdk::config]` takes no arguments\");"
    };
    let mut output: TokenStream = attributes.parse().expect("the text above is Rust");
    output.extend(item);
    output
}
