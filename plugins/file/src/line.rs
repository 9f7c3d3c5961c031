//! The line of a message. Knows nothing of files.

use provost_sdk::{ConfigError, DeliveryError, Message, serde_json};
use std::fmt::Write;
use std::time::{SystemTime, UNIX_EPOCH};

/// The keys that a message can have in its line.
const KEYS: [&str; 7] = ["attachments", "html", "id", "metadata", "subject", "text", "to"];

/// How lines are written.
pub(crate) struct Line {
    /// The key of the time, as JSON.
    timestamp: Option<String>,
}

impl Line {
    /// Lines that have their time under this key.
    ///
    /// # Errors
    ///
    /// When messages have the key too.
    pub(crate) fn new(timestamp: Option<&str>) -> Result<Self, ConfigError> {
        let error = |message: &str| ConfigError::new("timestamp", format!("{message}, such as \"time\""));
        match timestamp {
            Some("") => Err(error("empty: choose a key")),
            Some(key) if KEYS.contains(&key) => Err(error(&format!("messages have a key `{key}`: choose another"))),
            key => Ok(Self { timestamp: key.map(|key| serde_json::Value::from(key).to_string()) }),
        }
    }

    /// The line of a message that was delivered at `now`, with its line feed.
    pub(crate) fn of(&self, message: &Message, now: SystemTime) -> Result<Vec<u8>, DeliveryError> {
        let mut begin = String::new();
        if let Some(key) = &self.timestamp {
            // The crate panics at a time before.
            let time = (now >= UNIX_EPOCH).then(|| humantime::format_rfc3339_millis(now));
            let written = time.map(|time| write!(begin, "{{{key}:\"{time}\""));
            if !matches!(written, Some(Ok(()))) {
                return Err(DeliveryError::temporary("this machine's clock is not between the years 1970 and 9999"));
            }
        }
        let end = begin.len();
        let mut line = begin.into_bytes();
        serde_json::to_writer(&mut line, message)
            .map_err(|error| DeliveryError::permanent(format!("writing the message as JSON: {error}")))?;
        if end > 0
            && let Some(brace) = line.get_mut(end)
        {
            // The message goes on with the object that the time began.
            *brace = b',';
        }
        line.push(b'\n');
        Ok(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use provost_sdk::serde_json::Value;
    use std::time::Duration;

    #[test]
    fn a_line_with_and_without_its_time() {
        let message = Message { id: "a".into(), text: "b\nc".into(), ..Message::default() };
        let at =
            |seconds, milliseconds| UNIX_EPOCH + Duration::from_secs(seconds) + Duration::from_millis(milliseconds);
        let check = |key: Option<&str>, now, expected: &str| {
            let line = Line::new(key).expect("a key").of(&message, now).map_err(|error| error.to_string());
            assert_eq!(line.map(|line| String::from_utf8(line).expect("UTF-8")), Ok(expected.to_owned()));
        };
        let rest = "\"id\":\"a\",\"to\":[],\"subject\":\"\",\"text\":\"b\\nc\",\"metadata\":{}}\n";
        check(None, at(0, 0), &format!("{{{rest}"));
        check(Some("time"), at(1_795_835_493, 7), &format!("{{\"time\":\"2026-11-28T03:11:33.007Z\",{rest}"));
        check(Some("@\""), at(0, 0), &format!("{{\"@\\\"\":\"1970-01-01T00:00:00.000Z\",{rest}"));
        for now in [UNIX_EPOCH - Duration::from_secs(1), at(300_000_000_000, 0)] {
            let error = Line::new(Some("time")).expect("a key").of(&message, now).map_err(|error| error.to_string());
            assert_eq!(error, Err("this machine's clock is not between the years 1970 and 9999".to_owned()));
        }
    }

    /// Else a line could have one key twice.
    #[test]
    fn the_keys_of_a_message_are_known() {
        let Ok(Value::Object(message)) = serde_json::to_value(Message::default()) else { panic!("an object") };
        assert_eq!(
            message.keys().filter(|key| !KEYS.contains(&key.as_str())).collect::<Vec<_>>(),
            <[&str; 0]>::default()
        );
    }
}
