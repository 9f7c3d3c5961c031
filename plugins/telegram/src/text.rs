//! A message as the arguments of `sendMessage`. Knows nothing of HTTP.

use provost_sdk::serde_json::{Value, json};
use provost_sdk::{DeliveryError, Message};

/// Most characters of a message, as Telegram counts them: in UTF-16, without the markup.
const LONGEST: usize = 4096;

/// The arguments that send `message` to `chat`.
pub(crate) fn compose(chat: &str, message: &Message) -> Result<Value, DeliveryError> {
    // Without a subject nothing is marked up, and nothing has to be escaped.
    let (subject, text) = (message.subject.trim(), message.text.as_str());
    let between = if subject.is_empty() || text.is_empty() { "" } else { "\n" };
    let length: usize = [subject, between, text].iter().map(|part| part.encode_utf16().count()).sum();
    if length > LONGEST {
        let reason = format!("the message has {length} characters, and Telegram takes {LONGEST}");
        return Err(DeliveryError::permanent(reason));
    }
    let chat = chat.parse::<i64>().map_or_else(|_| Value::from(chat), Value::from);
    if subject.is_empty() {
        return Ok(json!({ "chat_id": chat, "text": text }));
    }
    let marked = format!("<b>{}</b>{between}{}", escape(subject), escape(text));
    Ok(json!({ "chat_id": chat, "text": marked, "parse_mode": "HTML" }))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn composed(chat: &str, subject: &str, text: &str) -> Result<Value, DeliveryError> {
        compose(chat, &Message { subject: subject.to_owned(), text: text.to_owned(), ..Message::default() })
    }

    #[test]
    fn subject_and_text() {
        for (chat, subject, text, expected) in [
            ("-1", "Disk", "a<b", json!({ "chat_id": -1, "text": "<b>Disk</b>\na&lt;b", "parse_mode": "HTML" })),
            ("@a", "x&y", "", json!({ "chat_id": "@a", "text": "<b>x&amp;y</b>", "parse_mode": "HTML" })),
            ("@a", "", "a<b>&", json!({ "chat_id": "@a", "text": "a<b>&" })),
        ] {
            assert_eq!(composed(chat, subject, text), Ok(expected));
        }
    }

    #[test]
    fn characters_are_counted_as_telegram_does() {
        let refused = |length| {
            Err(DeliveryError::permanent(format!("the message has {length} characters, and Telegram takes 4096")))
        };
        // Markup does not count, and characters beyond the first 65536 count twice.
        assert!(composed("1", "ab", &"<".repeat(4093)).is_ok());
        assert_eq!(composed("1", "ab", &"<".repeat(4094)), refused(4097));
        assert!(composed("1", "", &"😀".repeat(2048)).is_ok());
        assert_eq!(composed("1", "", &"😀".repeat(2049)), refused(4098));
    }
}
