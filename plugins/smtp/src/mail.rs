//! Turns a message into a mail (RFC 5322), in time that grows as the message does. Knows nothing of servers.

use super::address::{LINE, mailbox};
use super::parts;
use email_encoding::headers::writer::EmailWriter;
use email_encoding::headers::{quoted_string, rfc2047};
use lettre::address::Envelope;
use lettre::message::header::{ContentType, HeaderName, HeaderValue, MIME_VERSION_1_0, Subject};
use lettre::message::{Mailbox, MessageBuilder, MultiPart};
use provost_sdk::{Attachment, DeliveryError, Message, SHOWN, excerpt};
use std::borrow::Cow;
use std::fmt::Write;
use std::slice;

/// What a line should have (RFC 5322 section 2.1.1).
const FOLDED: usize = 78;

const FROM: HeaderName = HeaderName::new_from_ascii_str("From");
const TO: HeaderName = HeaderName::new_from_ascii_str("To");
const SUBJECT: HeaderName = HeaderName::new_from_ascii_str("Subject");

/// What a mail says.
pub(crate) struct Content<'a> {
    /// One line.
    pub(crate) subject: Cow<'a, str>,
    pub(crate) text: Cow<'a, str>,
    pub(crate) html: Option<Cow<'a, str>>,
}

impl<'a> From<&'a Message> for Content<'a> {
    fn from(message: &'a Message) -> Self {
        let (subject, text) = (Cow::Borrowed(message.subject.as_str()), Cow::Borrowed(message.text.as_str()));
        Self { subject, text, html: message.html.as_deref().map(Cow::Borrowed) }
    }
}

/// The mail for `message`, that says `content`. `undisclosed`: no recipient is told of the others.
///
/// # Errors
///
/// When a recipient is no mail address, there is none, or a mail cannot hold a file: such a message will never be accepted.
pub(crate) fn compose(
    from: &Mailbox,
    message: &Message,
    content: &Content,
    undisclosed: bool,
) -> Result<lettre::Message, DeliveryError> {
    if message.to.is_empty() {
        return Err(DeliveryError::permanent("`to` has no recipient; a mail needs one"));
    }
    let to = message.to.iter().map(|to| recipient(to)).collect::<Result<Vec<_>, _>>()?;
    let addresses = to.iter().map(|mailbox| mailbox.email.clone()).collect();
    // Otherwise it would be read again from the headers.
    let envelope = Envelope::new(Some(from.email.clone()), addresses).map_err(|error| failed(&error))?;
    let builder = lettre::Message::builder()
        .envelope(envelope)
        .raw_header(mailboxes(FROM, slice::from_ref(from)))
        // The same for each try, so that a receiver can tell a repetition.
        .message_id(Some(format!("<{}@{}>", message.id, from.email.domain())));
    let builder = match undisclosed {
        true => builder.raw_header(HeaderValue::new(TO, "undisclosed-recipients:;".to_owned())),
        // All at once: the builder reads the header again for each one that is added.
        false => builder.raw_header(mailboxes(TO, &to)),
    };
    let builder = match subject(&content.subject) {
        Some(subject) => builder.raw_header(subject),
        None => builder.header(Subject::from(content.subject.clone().into_owned())),
    };
    build(builder, content, &message.attachments)
}

/// The mail of these headers, with no more parts than it needs.
fn build(builder: MessageBuilder, content: &Content, files: &[Attachment]) -> Result<lettre::Message, DeliveryError> {
    let Content { text, html, .. } = content;
    let mail = match (html, files) {
        (None, []) => builder.header(MIME_VERSION_1_0).header(ContentType::TEXT_PLAIN).body(parts::body(text)),
        (Some(html), []) => builder.multipart(parts::alternative(text, html)),
        (html, _) => {
            let mixed = match html {
                Some(html) => MultiPart::mixed().multipart(parts::alternative(text, html)),
                None => MultiPart::mixed().singlepart(parts::plain(text)),
            };
            let add = |mixed: MultiPart, file| Ok(mixed.singlepart(parts::file(file)?));
            builder.multipart(files.iter().try_fold(mixed, add).map_err(|why: String| DeliveryError::permanent(why))?)
        }
    };
    mail.map_err(|error| failed(&error))
}

fn failed(error: &dyn std::error::Error) -> DeliveryError {
    DeliveryError::permanent(format!("making a mail of the message: {error}"))
}

fn recipient(text: &str) -> Result<Mailbox, DeliveryError> {
    mailbox(text).map_err(|why| {
        DeliveryError::permanent(format!("`{}` in `to` is not a mail address: {why}", excerpt(text, SHOWN)))
    })
}

/// The header that names all, in lines of at most 78 characters where a name is not longer: lettre would write one line.
fn mailboxes(header: HeaderName, all: &[Mailbox]) -> HeaderValue {
    let mut encoded = String::new();
    let mut writer = EmailWriter::new(&mut encoded, header.len() + ": ".len(), 0, false);
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
        if needs_quotes(name) {
            write!(writer, "\"{name}\"")?;
        } else {
            quoted_string::encode(name, &mut writer)?;
        }
        writer.space();
        write!(writer, "<{email}>")
    };
    for (index, mailbox) in all.iter().enumerate() {
        write(mailbox, index == 0).expect("a string takes all");
    }
    drop(writer);
    // lettre looks for a sender, and reads no list of recipients again.
    let text = if header == FROM { all.iter().map(Mailbox::to_string).collect() } else { String::new() };
    HeaderValue::dangerous_new_pre_encoded(header, text, encoded)
}

/// Whether a name needs quotes that the encoder does not write: for its dots alone (RFC 5322 section 3.2.3).
fn needs_quotes(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    name.contains('.') && name.bytes().all(plain)
}

/// The header, if it has to be encoded as a whole (RFC 2047): a word that is not ASCII, that a reader would decode, or that no line can hold,
/// alone or with the spaces around it, at which lettre breaks no line but once.
/// lettre encodes word by word, and readers drop the spaces between two.
fn subject(text: &str) -> Option<HeaderValue> {
    let one_by_one = || !text.contains("  ") && !text.ends_with(' ') && text.split(' ').all(|word| word.len() <= LINE);
    if text.is_ascii() && !text.contains("=?") && (text.len() <= LINE || one_by_one()) {
        return None;
    }
    let mut encoded = String::new();
    let mut writer = EmailWriter::new(&mut encoded, SUBJECT.len() + ": ".len(), 0, false);
    rfc2047::encode(text, &mut writer).expect("a string takes all");
    drop(writer);
    Some(HeaderValue::dangerous_new_pre_encoded(SUBJECT, text.to_owned(), encoded))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(message: &Message, undisclosed: bool, expected: Result<&[&str], &str>) {
        let from = "Provost <provost@example.org>".parse().expect("an address");
        match (compose(&from, message, &message.into(), undisclosed), expected) {
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
        check(&message(&["a@example.org"], "é  世界", "a"), false, Ok(&["Subject: =?utf-8?b?w6kgIOS4lueVjA==?="]));
        check(
            &message(&["a@example.org"], "é =?utf-8?q?a?=", "a"),
            false,
            Ok(&["Subject: =?utf-8?b?w6kgPT91dGYtOD9xP2E/PQ==?="]),
        );
        for (begin, end) in [("é ", ""), ("a", "b"), ("", "b"), ("a", "")] {
            let (words, spaces) =
                (format!("{begin}{}{end}", "a".repeat(3000)), format!("{begin}{}{end}", " ".repeat(3000)));
            check(&message(&["a@example.org"], &words, "a"), false, Ok(&[]));
            check(&message(&["a@example.org"], &spaces, "a"), false, Ok(&[]));
        }
        check(&message(&["J.R. <a@example.org>"], "", "a"), false, Ok(&["To: \"J.R.\" <a@example.org>"]));
        let many: Vec<String> = (0..1000).map(|number| format!("\"A {number}\" <a{number}@example.org>")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let first = "To: \"A 0\" <a0@example.org>, \"A 1\" <a1@example.org>, \"A 2\" <a2@example.org>,";
        check(&message(&many, "", "a"), false, Ok(&[first]));
        check(&message(&["a@example.org"], "", "a"), true, Ok(&["To: undisclosed-recipients:;", "Subject: "]));
        check(&message(&["a@example.org"], "=?utf-8?q?a?=", "a\0b"), false, Ok(&["a=00b"]));
        check(&message(&["a@example.org"], &"a".repeat(3000), &"b".repeat(3000)), false, Ok(&[]));
    }

    #[test]
    fn parts_of_a_mail() {
        let mut with = message(&["a@example.org"], "", "Grüße");
        with.html = Some(format!("<p>{}</p>", "a".repeat(3000)));
        check(&with, false, Ok(&["Content-Type: text/plain; charset=utf-8", "Content-Type: text/html; charset=utf-8"]));
        let file = |name: &str, content_type: &str| {
            let (name, content_type, content) = (name.to_owned(), content_type.to_owned(), vec![255; 100]);
            vec![Attachment { name, content_type, content }]
        };
        with.attachments = file("Grüße.bin", "application/octet-stream");
        let part = [
            "Content-Type: application/octet-stream",
            " filename*0*=utf-8''Gr%C3%BC%C3%9Fe.bin",
            "Content-Transfer-Encoding: base64",
        ];
        check(&with, false, Ok(&part));
        with.html = None;
        check(&with, false, Ok(&part));
        with.attachments = file("a.eml", "Message/rfc822");
        let refused = "`a.eml` in `attachments` has the content_type `Message/rfc822`: a mail cannot hold such a file in base64; \
            send it as `application/octet-stream`";
        check(&with, false, Err(refused));
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
