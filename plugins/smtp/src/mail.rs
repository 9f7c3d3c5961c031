//! Turns a message into a mail (RFC 5322), in time that grows as the message does. Knows nothing of servers.

use super::names;
use email_encoding::headers::writer::EmailWriter;
use email_encoding::headers::{quoted_string, rfc2047};
use lettre::address::{Address, Envelope};
use lettre::message::header::{
    ContentTransferEncoding, ContentType, HeaderName, HeaderValue, MIME_VERSION_1_0, Subject,
};
use lettre::message::{Body, Mailbox};
use provost_sdk::{DeliveryError, Message, SHOWN, excerpt};
use std::fmt::Write;

/// What may stand in one line of a mail, in bytes, with room for a header's name (RFC 5322 section 2.1.1 allows 998).
const LINE: usize = 900;

/// What a line should have (RFC 5322 section 2.1.1).
const FOLDED: usize = 78;

const TO: HeaderName = HeaderName::new_from_ascii_str("To");
const SUBJECT: HeaderName = HeaderName::new_from_ascii_str("Subject");

/// The mail for `message`. `undisclosed`: no recipient is told of the others.
///
/// # Errors
///
/// When a recipient is no mail address, or there is none: such a message will never be accepted.
pub(crate) fn compose(from: &Mailbox, message: &Message, undisclosed: bool) -> Result<lettre::Message, DeliveryError> {
    if message.to.is_empty() {
        return Err(DeliveryError::permanent("`to` has no recipient; a mail needs one"));
    }
    let to = message.to.iter().map(|recipient| mailbox(recipient)).collect::<Result<Vec<_>, _>>()?;
    let addresses = to.iter().map(|mailbox| mailbox.email.clone()).collect();
    let failed =
        |error: &dyn std::error::Error| DeliveryError::permanent(format!("making a mail of the message: {error}"));
    // Otherwise it would be read again from the headers.
    let envelope = Envelope::new(Some(from.email.clone()), addresses).map_err(|error| failed(&error))?;
    let builder = lettre::Message::builder()
        .envelope(envelope)
        .from(from.clone())
        // The same for each try, so that a receiver can tell a repetition.
        .message_id(Some(format!("<{}@{}>", message.id, from.email.domain())))
        .header(MIME_VERSION_1_0)
        .header(ContentType::TEXT_PLAIN);
    let builder = match undisclosed {
        true => builder.raw_header(HeaderValue::new(TO, "undisclosed-recipients:;".to_owned())),
        // All at once: the builder reads the header again for each one that is added.
        false => builder.raw_header(recipients(&to)),
    };
    let builder = match subject(&message.subject) {
        Some(subject) => builder.raw_header(subject),
        None => builder.header(Subject::from(message.subject.clone())),
    };
    builder.body(body(&message.text)).map_err(|error| failed(&error))
}

/// A recipient, whose domain is sent in ASCII: not every server knows others.
fn mailbox(recipient: &str) -> Result<Mailbox, DeliveryError> {
    let refused = |why: &str| {
        DeliveryError::permanent(format!("`{}` in `to` is not a mail address: {why}", excerpt(recipient, SHOWN)))
    };
    if recipient.len() > LINE || recipient.contains(char::is_control) {
        return Err(refused("it is longer than a line, or has control characters"));
    }
    let mailbox: Mailbox =
        recipient.parse().map_err(|error: lettre::address::AddressError| refused(&error.to_string()))?;
    let Mailbox { name, email } = mailbox;
    if email.domain().is_ascii() {
        return Ok(Mailbox { name, email });
    }
    let domain = names::in_ascii(email.domain()).ok_or_else(|| refused("its domain is not a name of DNS"))?;
    let email = Address::new(email.user(), domain).map_err(|error| refused(&error.to_string()))?;
    Ok(Mailbox { name, email })
}

/// The header that names all, in lines of at most 78 characters where a name is not longer: lettre would write one line.
fn recipients(mailboxes: &[Mailbox]) -> HeaderValue {
    let mut encoded = String::new();
    let mut writer = EmailWriter::new(&mut encoded, TO.len() + ": ".len(), 0, false);
    let mut write = |mailbox: &Mailbox, first: bool| {
        let Mailbox { name, email } = mailbox;
        let (name, email): (&str, &str) = (name.as_deref().unwrap_or_default(), email.as_ref());
        if !first {
            writer.write_char(',')?;
            if writer.line_len() + name.len() + email.len() + " <>, ".len() > FOLDED {
                writer.new_line()?;
            }
            writer.space();
        }
        if name.is_empty() {
            return writer.write_str(email);
        }
        quoted_string::encode(name, &mut writer)?;
        writer.space();
        write!(writer, "<{email}>")
    };
    for (index, mailbox) in mailboxes.iter().enumerate() {
        write(mailbox, index == 0).expect("a string takes all");
    }
    drop(writer);
    HeaderValue::dangerous_new_pre_encoded(TO, String::new(), encoded)
}

/// The header, if it has to be encoded though it is ASCII (RFC 2047): a word that no line can hold, or one that a reader would decode.
fn subject(text: &str) -> Option<HeaderValue> {
    if !text.is_ascii() || !(text.contains("=?") || text.split(' ').any(|word| word.len() > LINE)) {
        return None;
    }
    let mut encoded = String::new();
    let mut writer = EmailWriter::new(&mut encoded, SUBJECT.len() + ": ".len(), 0, false);
    rfc2047::encode(text, &mut writer).expect("a string takes all");
    drop(writer);
    Some(HeaderValue::dangerous_new_pre_encoded(SUBJECT, text.to_owned(), encoded))
}

/// The text with the line ends of a mail, encoded if a mail cannot hold it as it is.
fn body(text: &str) -> Body {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn check(message: &Message, undisclosed: bool, expected: Result<&[&str], &str>) {
        let from = "Provost <provost@example.org>".parse().expect("an address");
        match (compose(&from, message, undisclosed), expected) {
            (Ok(mail), Ok(lines)) => {
                let text = String::from_utf8(mail.formatted()).expect("a mail is text");
                for line in lines {
                    assert!(text.split("\r\n").any(|found| found == *line), "{line} is not in {text}");
                }
                assert!(
                    text.split("\r\n").all(|line| line.len() <= 998 && !line.contains(['\r', '\n', '\0'])),
                    "{text}"
                );
            }
            (result, expected) => assert_eq!(result.err().map(|error| error.to_string()).as_deref(), expected.err()),
        }
    }

    fn message(to: &[&str], subject: &str, text: &str) -> Message {
        Message {
            id: "a1".into(),
            to: to.iter().map(ToString::to_string).collect(),
            subject: subject.into(),
            text: text.into(),
            ..Message::default()
        }
    }

    #[test]
    fn headers_and_text() {
        check(
            &message(&["a@example.org", "B <b@müller.example>"], "Grüße", "a line\n.\ranother\r\n\n"),
            false,
            Ok(&[
                "From: Provost <provost@example.org>",
                "To: a@example.org, B <b@xn--mller-kva.example>",
                "Message-ID: <a1@example.org>",
                "MIME-Version: 1.0",
                "Subject: =?utf-8?b?R3LDvMOfZQ==?=",
                "a line",
                ".",
                "another",
            ]),
        );
        let many: Vec<String> = (0..1000).map(|number| format!("\"A {number}\" <a{number}@example.org>")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let first = "To: \"A 0\" <a0@example.org>, \"A 1\" <a1@example.org>, \"A 2\" <a2@example.org>,";
        check(&message(&many, "", "a"), false, Ok(&[first]));
        check(&message(&["a@example.org"], "", "a"), true, Ok(&["To: undisclosed-recipients:;", "Subject: "]));
        check(&message(&["a@example.org"], "=?utf-8?q?a?=", "a\0b"), false, Ok(&["a=00b"]));
        check(&message(&["a@example.org"], &"a".repeat(3000), &"b".repeat(3000)), false, Ok(&[]));
    }

    #[test]
    fn recipients_are_needed_and_checked() {
        check(&message(&[], "", ""), false, Err("`to` has no recipient; a mail needs one"));
        check(&message(&["nobody"], "", ""), false, Err("`nobody` in `to` is not a mail address: Invalid input"));
        let long = format!("{} <a@example.org>", "b".repeat(LINE));
        let shown = "b".repeat(SHOWN);
        check(
            &message(&[&long], "", ""),
            false,
            Err(&format!(
                "`{shown}...` in `to` is not a mail address: it is longer than a line, or has control characters"
            )),
        );
    }
}
