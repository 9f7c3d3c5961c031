//! Turns a message into a mail. Knows nothing of servers.

use lettre::message::header::{ContentType, To};
use lettre::message::{Mailbox, Mailboxes};
use provost_sdk::{DeliveryError, Message, SHOWN, excerpt};

/// The mail for `message`.
///
/// # Errors
///
/// When a recipient is no mail address, or there is none: such a message will never be accepted.
pub(crate) fn compose(from: &Mailbox, message: &Message) -> Result<lettre::Message, DeliveryError> {
    if message.to.is_empty() {
        return Err(DeliveryError::permanent("`to` has no recipient; a mail needs one"));
    }
    let mailbox = |recipient: &String| {
        recipient.parse::<Mailbox>().map_err(|error| {
            let reason = format!("`{}` in `to` is not a mail address: {error}", excerpt(recipient, SHOWN));
            DeliveryError::permanent(reason)
        })
    };
    let to: Mailboxes = message.to.iter().map(mailbox).collect::<Result<_, _>>()?;
    lettre::Message::builder()
        .from(from.clone())
        .subject(&message.subject)
        // The same for each try, so that a receiver can tell a repetition.
        .message_id(Some(format!("<{}@{}>", message.id, from.email.domain())))
        // All at once: the builder reads the header again for each one that is added.
        .header(To::from(to))
        .header(ContentType::TEXT_PLAIN)
        .body(message.text.clone())
        .map_err(|error| DeliveryError::permanent(format!("making a mail of the message: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(to: &[&str], expected: Result<&[&str], &str>) {
        let from = "Provost <provost@example.org>".parse().expect("an address");
        let message = Message {
            id: "a1".into(),
            to: to.iter().map(ToString::to_string).collect(),
            subject: "Grüße".into(),
            text: "a line\n.\nanother".into(),
            ..Message::default()
        };
        match (compose(&from, &message), expected) {
            (Ok(mail), Ok(lines)) => {
                let text = String::from_utf8(mail.formatted()).expect("a mail is text");
                for line in lines {
                    assert!(text.lines().any(|found| found == *line), "{line} is not in {text}");
                }
            }
            (result, expected) => assert_eq!(result.err().map(|error| error.to_string()).as_deref(), expected.err()),
        }
    }

    #[test]
    fn headers_and_text() {
        check(
            &["a@example.org", "B <b@example.org>"],
            Ok(&[
                "From: Provost <provost@example.org>",
                "To: a@example.org, B <b@example.org>",
                "Message-ID: <a1@example.org>",
                "Subject: =?utf-8?b?R3LDvMOfZQ==?=",
                "another",
            ]),
        );
    }

    #[test]
    fn recipients_are_needed_and_checked() {
        check(&[], Err("`to` has no recipient; a mail needs one"));
        check(&["nobody"], Err("`nobody` in `to` is not a mail address: Invalid input"));
    }
}
