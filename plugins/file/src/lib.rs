//! `file`: appends each message to a file, as one line of JSON.
//!
//! A receipt is given when the line is on the disk. What was written before is never changed.

#![forbid(unsafe_code)]

mod append;
mod place;

use provost_sdk::{ConfigError, Context, DeliveryError, Message, Provider, Receipt, serde_json, tokio, tracing};
use std::path::PathBuf;

/// The provider's configuration.
#[provost_sdk::config]
struct Config {
    /// The file that messages are appended to. It and its parent directories are made when they are needed.
    path: PathBuf,
}

struct File {
    path: PathBuf,
}

impl Provider for File {
    type Config = Config;

    fn new(config: Config, context: Context) -> Result<Self, ConfigError> {
        if config.path.file_name().is_none() {
            return Err(ConfigError::new("path", format!("`{}` is not a file name", config.path.display())));
        }
        Ok(Self { path: context.path(config.path) })
    }

    fn validate(&self) -> Result<(), ConfigError> {
        place::check(&self.path).map_err(|why| ConfigError::new("path", why))
    }

    async fn deliver(&self, message: &Message) -> Result<Receipt, DeliveryError> {
        let mut line = serde_json::to_vec(message)
            .map_err(|error| DeliveryError::permanent(format!("writing the message as JSON: {error}")))?;
        line.push(b'\n');
        // On this thread, from which the runtime moves its other work: a call handed to another thread would go on
        // after the host has given the delivery up, without its place among those that may run at a time.
        let offset = tokio::task::block_in_place(|| append::append(&self.path, &line)).map_err(|error| {
            tracing::warn!(path = %self.path.display(), %error, "cannot append");
            DeliveryError::temporary(format!("appending to {}: {error}", self.path.display()))
        })?;
        Ok(Receipt::with_reference(format!("{} at byte {offset}", self.path.display())))
    }
}

provost_sdk::export!(File);

#[cfg(test)]
mod tests {
    use super::*;
    use provost_test::{message, provider};

    fn config() -> (String, tempfile::TempDir) {
        let dir = tempfile::tempdir().expect("a directory");
        (format!("path = {:?}", dir.path().join("new/messages.jsonl")), dir)
    }

    provost_test::conformance!(File, config());

    #[tokio::test(flavor = "multi_thread", crate = "provost_sdk::tokio")]
    async fn each_message_is_a_line() {
        let (config, dir) = config();
        let file = provider::<File>(&config).expect("a valid configuration");
        for text in ["one", "two\nlines"] {
            file.deliver(&message(text)).await.expect("it is written");
        }
        let content = std::fs::read_to_string(dir.path().join("new/messages.jsonl")).expect("the file is there");
        let texts = content.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
        assert_eq!(texts.map(|message| message["text"].clone()).collect::<Vec<_>>(), ["one", "two\nlines"]);
    }
}
