//! What is delivered, and what comes back.

use serde::Serialize;
use std::collections::BTreeMap;

/// A message, as the API accepted it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Message {
    /// Unique, 1 to 64 characters of `A-Z a-z 0-9 _ -`. A caller that sends a message again keeps it.
    pub id: String,
    /// Who is to receive it, in the provider's own terms: mail addresses for one, nothing at all for another.
    pub to: Vec<String>,
    /// One line, possibly empty.
    pub subject: String,
    /// The text, with line feeds between its lines.
    pub text: String,
    /// Whatever else the caller said.
    pub metadata: BTreeMap<String, String>,
    /// What the caller calls its request, for logs: visible ASCII, to be passed on in the header `x-request-id`.
    #[serde(skip)]
    pub request_id: Option<String>,
    /// The trace that the request belongs to, to be passed on in the header of this name (W3C Trace Context).
    #[serde(skip)]
    pub traceparent: Option<String>,
}

/// Says that a message was delivered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Receipt {
    /// What the other side calls the message or answered, for a human who searches its logs. Shown to the caller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

impl Receipt {
    /// A receipt with what the other side answered.
    pub fn with_reference(reference: impl Into<String>) -> Self {
        Self { reference: Some(reference.into()) }
    }
}
