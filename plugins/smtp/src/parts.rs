//! What a mail contains (RFC 2045 and 2046): text, the same as HTML, and files. Knows nothing of the mail's own headers.

use email_encoding::body::base64;
use lettre::message::header::{
    ContentDisposition, ContentTransferEncoding, ContentType, Header, HeaderName, HeaderValue,
};
use lettre::message::{Body, MultiPart, SinglePart};
use provost_sdk::{Attachment, SHOWN, excerpt};
use std::error::Error;
use std::fmt::Write;

/// Text and HTML as one part, of which a reader shows what it can.
pub(crate) fn alternative(text: &str, html: &str) -> MultiPart {
    MultiPart::alternative().singlepart(plain(text)).singlepart(part(ContentType::TEXT_HTML, body(html)))
}

/// The text as a part.
pub(crate) fn plain(text: &str) -> SinglePart {
    part(ContentType::TEXT_PLAIN, body(text))
}

/// A file as a part.
///
/// # Errors
///
/// When no mail can hold it.
pub(crate) fn file(attachment: &Attachment) -> Result<SinglePart, String> {
    let Attachment { name, content_type, content } = attachment;
    let refused = |why: &str| {
        let (name, content_type) = (excerpt(name, SHOWN), excerpt(content_type, SHOWN));
        format!("`{name}` in `attachments` has the content_type `{content_type}`: {why}")
    };
    let kind = content_type.to_ascii_lowercase();
    if kind.starts_with("multipart/") || kind.starts_with("message/") {
        return Err(refused("a mail cannot hold such a file in base64; send it as `application/octet-stream`"));
    }
    let content_type =
        ContentType::parse(content_type).map_err(|error| refused(&format!("this is not a media type: {error}")))?;
    let mut encoded = String::with_capacity(base64::encoded_len(content.len()));
    base64::encode(content, &mut encoded).expect("a string takes all");
    let body = Body::dangerous_pre_encoded(encoded.into_bytes(), ContentTransferEncoding::Base64);
    let part = SinglePart::builder().header(content_type);
    let part = match name.contains("=?") && name.is_ascii() {
        true => part.header(Literal::attachment(name)),
        false => part.header(ContentDisposition::attachment(name)),
    };
    Ok(part.body(body))
}

/// The header of a file whose name a reader would take for an encoded word (RFC 2047), and decode. Encoded by RFC 2231, it stays as it is.
#[derive(Clone)]
struct Literal(HeaderValue);

impl Literal {
    fn attachment(name: &str) -> Self {
        // On one line, since a name has 255 bytes at most.
        let mut encoded = "attachment;\r\n filename*=utf-8''".to_owned();
        for byte in name.bytes() {
            match byte.is_ascii_alphanumeric() {
                true => encoded.push(char::from(byte)),
                false => write!(encoded, "%{byte:02X}").expect("a string takes all"),
            }
        }
        Self(HeaderValue::dangerous_new_pre_encoded(Self::name(), String::new(), encoded))
    }
}

impl Header for Literal {
    fn name() -> HeaderName {
        ContentDisposition::name()
    }

    fn parse(_: &str) -> Result<Self, Box<dyn Error + Send + Sync>> {
        Err("it is only written".into())
    }

    fn display(&self) -> HeaderValue {
        self.0.clone()
    }
}

fn part(content_type: ContentType, body: Body) -> SinglePart {
    SinglePart::builder().header(content_type).body(body)
}

/// The text with the line ends of a mail, encoded if a mail cannot hold it as it is.
pub(crate) fn body(text: &str) -> Body {
    // In one pass: lettre would move the rest of the text for each line.
    let mut lines = String::with_capacity(text.len() + text.len() / 16);
    let mut rest = text;
    while let Some(end) = rest.find(['\r', '\n']) {
        lines += &rest[..end];
        lines += "\r\n";
        rest = rest[end..].strip_prefix("\r\n").unwrap_or(&rest[end + 1..]);
    }
    lines += rest;
    let is_text = |character: char| !character.is_control() || matches!(character, '\t' | '\r' | '\n');
    if lines.chars().all(is_text) {
        return Body::new(lines);
    }
    // Fits all.
    let encoding = ContentTransferEncoding::QuotedPrintable;
    Body::new_with_encoding(lines, encoding).unwrap_or_else(Body::new)
}
