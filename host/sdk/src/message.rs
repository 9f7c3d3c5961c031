//! What is delivered, and what comes back.

use crate::DeliveryError;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::de::{Deserializer, Error, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;

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
    /// The same as HTML, for a plugin that can show it. The others deliver the text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub html: Option<String>,
    /// Files that go with the text, for plugins that [can deliver them](crate::Provider::ATTACHMENTS).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Attachment>,
    /// Whatever else the caller said.
    pub metadata: BTreeMap<String, String>,
    /// What the caller calls its request, for logs: visible ASCII, to be passed on in the header `x-request-id`.
    #[serde(skip)]
    pub request_id: Option<String>,
    /// The trace that the request belongs to, to be passed on in the header of this name (W3C Trace Context).
    #[serde(skip)]
    pub traceparent: Option<String>,
}

/// What the schema says of an attachment's fields: as much as a pattern can. No parameter of a media type is there twice.
const NAME: &str = r"^(?!\.{1,2}$)[^/\\\x00-\x1f\x7f-\x9f]+$";
const MEDIA_TYPE: &str = r#"^(?!.*; *([A-Za-z0-9!#$%&'+.^_`|~-]+)=.*; *\1=)[A-Za-z0-9!#$%&'+.^_`|~-]+/[A-Za-z0-9!#$%&'+.^_`|~-]+( *; *[A-Za-z0-9!#$%&'+.^_`|~-]+=([A-Za-z0-9!#$%&'*+.^_`|~-]+|"([ !#-\[\]-~]|\\[ -~])*"))*$"#;
const BASE64: &str = r"^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$";

/// A file that goes with a message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Attachment {
    /// What the file is called: 1 to 255 bytes, without `/`, `\` and control characters.
    #[schemars(length(min = 1, max = 255), regex(pattern = NAME))]
    pub name: String,
    /// What it is: a media type of at most 255 visible characters of ASCII, such as `application/pdf` or `text/csv; charset=utf-8`.
    #[schemars(length(max = 255), regex(pattern = MEDIA_TYPE))]
    pub content_type: String,
    /// Its bytes. In JSON they are base64 (RFC 4648, section 4).
    #[serde(serialize_with = "to_base64", deserialize_with = "from_base64")]
    #[schemars(with = "String", regex(pattern = BASE64), extend("contentEncoding" = "base64"))]
    pub content: Vec<u8>,
}

fn to_base64<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&STANDARD.encode(bytes))
}

fn from_base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    struct Text;

    impl Visitor<'_> for Text {
        type Value = Vec<u8>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a text in base64")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Vec<u8>, E> {
            let error = |error| E::custom(format!("not base64 with padding and without line breaks: {error}"));
            STANDARD.decode(text).map_err(error)
        }
    }

    deserializer.deserialize_str(Text)
}

/// Says that a message was delivered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Receipt {
    /// What the other side calls the message or answered, for a human who searches its logs. Shown to the caller.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub reference: Option<String>,
}

impl Receipt {
    /// A receipt with what the other side answered.
    pub fn with_reference(reference: impl Into<String>) -> Self {
        Self { reference: Some(reference.into()) }
    }
}

impl Message {
    /// Makes the error of a recipient that the other side refuses: one that the message names is refused for good, and a default of the
    /// configuration is the operator's matter.
    pub fn recipient_error(&self) -> fn(String) -> DeliveryError {
        if self.to.is_empty() { DeliveryError::unauthorized } else { DeliveryError::permanent }
    }

    /// The one recipient, or `default` when the message names none: for a provider whose delivery is one request. Of several, some would
    /// have the message when another fails, and no answer says that.
    ///
    /// # Errors
    ///
    /// When the message has several recipients, or none and there is no `default`.
    pub fn recipient<'a>(&'a self, default: Option<&'a str>) -> Result<&'a str, DeliveryError> {
        match (self.to.as_slice(), default) {
            ([one], _) => Ok(one),
            ([], Some(default)) => Ok(default),
            ([], None) => {
                Err(DeliveryError::permanent("`to` is empty, and the provider has no default recipient: name one"))
            }
            (several, _) => {
                let count = several.len();
                let reason = format!("`to` has {count} recipients, and this provider takes one: send each a message");
                Err(DeliveryError::permanent(reason))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_absent_is_not_written() {
        let mut message = Message { id: "a".to_owned(), ..Message::default() };
        let written = |message: &Message| serde_json::to_string(message).expect("a message is JSON");
        assert_eq!(written(&message), r#"{"id":"a","to":[],"subject":"","text":"","metadata":{}}"#);
        message.html = Some("<b>".to_owned());
        let (name, content_type) = ("a.bin".to_owned(), "application/octet-stream".to_owned());
        message.attachments = vec![Attachment { name, content_type, content: vec![0, 255] }];
        let attachment = r#"{"name":"a.bin","content_type":"application/octet-stream","content":"AP8="}"#;
        let expected = format!(
            r#"{{"id":"a","to":[],"subject":"","text":"","html":"<b>","attachments":[{attachment}],"metadata":{{}}}}"#
        );
        assert_eq!(written(&message), expected);
        assert_eq!(serde_json::from_str::<Attachment>(attachment).expect("as it was written"), message.attachments[0]);
    }

    #[test]
    fn what_is_not_base64() {
        for (content, expected) in [
            ("\"AP8\"", "not base64 with padding and without line breaks: "),
            ("\"AP\\n8=\"", "not base64 with padding and without line breaks: "),
            ("[0]", "invalid type: sequence, expected a text in base64"),
        ] {
            let json = format!(r#"{{"name":"a","content_type":"a/b","content":{content}}}"#);
            let error = serde_json::from_str::<Attachment>(&json).expect_err("it is refused").to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn one_recipient() {
        for (to, default, expected) in [
            (&["a"][..], Some("b"), Ok("a")),
            (&[], Some("b"), Ok("b")),
            (&[], None, Err("`to` is empty, and the provider has no default recipient: name one")),
            (&["a", "b"], None, Err("`to` has 2 recipients, and this provider takes one: send each a message")),
        ] {
            let message = Message { to: to.iter().map(|&to| to.to_owned()).collect(), ..Message::default() };
            assert_eq!(message.recipient(default), expected.map_err(DeliveryError::permanent));
        }
    }
}
