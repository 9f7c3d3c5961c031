//! A message as mrkdwn, the markup of Slack. Knows nothing of HTTP.

use provost_sdk::{DeliveryError, Message};

/// Slack cuts off what is behind so many characters.
const LONGEST: usize = 40_000;

/// Subject and text as one text.
pub(crate) fn compose(message: &Message) -> Result<String, DeliveryError> {
    let (subject, text) = (escape(message.subject.trim()), escape(&message.text));
    let whole = match (subject.as_str(), text.as_str()) {
        ("", _) => text,
        (_, "") => format!("*{subject}*"),
        _ => format!("*{subject}*\n{text}"),
    };
    let length = whole.chars().count();
    if length > LONGEST {
        let reason = format!("the message has {length} characters with its markup, and Slack takes {LONGEST}");
        return Err(DeliveryError::permanent(reason));
    }
    Ok(whole)
}

/// What would be links and mentions (`<!channel>`) otherwise.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn composed(subject: &str, text: &str) -> Result<String, DeliveryError> {
        compose(&Message { subject: subject.to_owned(), text: text.to_owned(), ..Message::default() })
    }

    #[test]
    fn subject_and_text() {
        for (subject, text, expected) in [
            ("Disk", "full\nsoon", "*Disk*\nfull\nsoon"),
            ("", "full", "full"),
            (" Disk ", "", "*Disk*"),
            ("a<b", "<!channel> & &amp;", "*a&lt;b*\n&lt;!channel&gt; &amp; &amp;amp;"),
        ] {
            assert_eq!(composed(subject, text).as_deref(), Ok(expected));
        }
    }

    #[test]
    fn what_slack_would_cut_off() {
        assert!(composed("", &"ä".repeat(LONGEST)).is_ok());
        assert!(composed("", &"x".repeat(LONGEST)).is_ok());
        let reason = "the message has 40004 characters with its markup, and Slack takes 40000";
        assert_eq!(composed("", &("x".repeat(LONGEST - 1) + "&")), Err(DeliveryError::permanent(reason)));
    }
}
