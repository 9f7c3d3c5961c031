//! A message as ntfy's JSON. Knows nothing of HTTP.

use provost_sdk::serde::Serialize;
use provost_sdk::{DeliveryError, Message, SHOWN, excerpt};

/// Most bytes of a text: ntfy makes a longer one an attachment, which is not what was sent.
const LONGEST: usize = 4096;

/// The body of a request that publishes.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(crate = "provost_sdk::serde")]
pub(crate) struct Publication<'a> {
    topic: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    title: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<u8>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    click: Option<&'a str>,
}

/// What publishes `message` on `topic`.
pub(crate) fn compose<'a>(topic: &'a str, message: &'a Message) -> Result<Publication<'a>, DeliveryError> {
    // In the place of an empty text ntfy would write one of its own.
    let (title, text) = match message.text.as_str() {
        "" => ("", message.subject.as_str()),
        text => (message.subject.as_str(), text),
    };
    if text.len() > LONGEST {
        let reason = format!("the text has {} bytes, and ntfy takes {LONGEST}", text.len());
        return Err(DeliveryError::permanent(reason));
    }
    let metadata = |key: &str| message.metadata.get(key).map(String::as_str);
    let tags = metadata("tags").unwrap_or_default().split(',').map(str::trim).filter(|tag| !tag.is_empty()).collect();
    let priority = metadata("priority").map(priority).transpose()?;
    Ok(Publication { topic, title, message: text, priority, tags, click: metadata("click") })
}

fn priority(text: &str) -> Result<u8, DeliveryError> {
    match text.parse() {
        Ok(priority @ 1..=5) => Ok(priority),
        _ => {
            let reason = format!("metadata: priority: `{}` is not 1 to 5", excerpt(text, SHOWN));
            Err(DeliveryError::permanent(reason))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(subject: &str, text: &str, metadata: &[(&str, &str)]) -> Message {
        let metadata = metadata.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
        Message { subject: subject.to_owned(), text: text.to_owned(), metadata, ..Message::default() }
    }

    #[test]
    fn subject_text_and_metadata() {
        let plain = Publication { topic: "t", title: "", message: "b", priority: None, tags: vec![], click: None };
        assert_eq!(compose("t", &message("", "b", &[("host", "web-1")])), Ok(plain));
        let alone = Publication { topic: "t", title: "", message: "a", priority: None, tags: vec![], click: None };
        assert_eq!(compose("t", &message("a", "", &[])), Ok(alone));
        let all = [("priority", "5"), ("tags", "warning, ,disk"), ("click", "https://example.org")];
        let expected = Publication {
            topic: "t",
            title: "a",
            message: "b",
            priority: Some(5),
            tags: vec!["warning", "disk"],
            click: Some("https://example.org"),
        };
        assert_eq!(compose("t", &message("a", "b", &all)), Ok(expected));
    }

    #[test]
    fn what_ntfy_would_not_publish_as_it_is() {
        for wrong in ["0", "6", "-1", "high", "", "3.5"] {
            let expected = DeliveryError::permanent(format!("metadata: priority: `{wrong}` is not 1 to 5"));
            assert_eq!(compose("t", &message("", "b", &[("priority", wrong)])), Err(expected));
        }
        assert!(compose("t", &message("", &"ä".repeat(2048), &[])).is_ok());
        let expected = DeliveryError::permanent("the text has 4098 bytes, and ntfy takes 4096");
        assert_eq!(compose("t", &message("", &"ä".repeat(2049), &[])), Err(expected));
    }
}
