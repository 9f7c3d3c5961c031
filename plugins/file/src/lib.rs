//! `file`: appends each message to a file, as one line of JSON.
//!
//! A receipt is given when the line is on the disk. What was written before is never changed; with rotation the oldest files are removed.

#![forbid(unsafe_code)]

mod append;
mod line;
mod place;
mod rotate;
mod settings;

use append::Target;
use line::Line;
use provost_sdk::{ConfigError, Context, DeliveryError, Message, Provider, Receipt, tokio};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The provider's configuration.
#[provost_sdk::config]
struct Config {
    /// The file that messages are appended to. It and its parent directories are made when they are needed.
    path: PathBuf,
    /// The permissions of a new file in octal digits, `"0640"`, whatever the umask is. Without it the umask decides.
    mode: Option<String>,
    /// The key, in each line, of the time when its delivery began: RFC 3339 in UTC. Without it lines have no time.
    timestamp: Option<String>,
    /// Size of the file, in bytes. Before it would be larger it is moved to `NAME.1`, `NAME.1` to `NAME.2` and so on, and a new one is
    /// made. Without it the file only grows. Goes with `rotate_keep`.
    #[schemars(range(min = 1))]
    rotate_size: Option<u64>,
    /// Number of files that stay beside the one that is written to; older ones are removed. Goes with `rotate_size`.
    #[schemars(range(min = 1, max = settings::MOST_KEPT))]
    rotate_keep: Option<u32>,
}

struct File {
    target: Target,
    line: Line,
}

impl Provider for File {
    type Config = Config;
    const ATTACHMENTS: bool = true;

    fn new(config: Config, context: Context) -> Result<Self, ConfigError> {
        let path = check_path(&config.path).map(|()| context.path(&config.path));
        let rotation = settings::rotation(config.rotate_size, config.rotate_keep);
        let line = Line::new(config.timestamp.as_deref());
        let file = ConfigError::both(path, settings::mode(config.mode.as_deref()));
        let ((path, mode), (line, rotation)) = ConfigError::both(file, ConfigError::both(line, rotation))?;
        Ok(Self { target: Target::new(path, mode, rotation), line })
    }

    fn validate(&self) -> Result<(), ConfigError> {
        let Target { path, rotation, .. } = &self.target;
        place::check(path).map_err(|why| ConfigError::new("path", why))?;
        if rotation.is_some() {
            place::check_rotation(path).map_err(|why| ConfigError::new("rotate_size", why))?;
        }
        Ok(())
    }

    async fn deliver(&self, message: &Message) -> Result<Receipt, DeliveryError> {
        let line = self.line.of(message, SystemTime::now())?;
        let path = self.target.path.display();
        // On this thread, from which the runtime moves its other work: a call handed to another thread would go on
        // after the host has given the delivery up, without its place among those that may run at a time.
        let offset = tokio::task::block_in_place(|| self.target.append(&line))
            .map_err(|error| DeliveryError::temporary(format!("appending to {path}: {error}")))?;
        Ok(Receipt::with_reference(format!("{path} at byte {offset}")))
    }
}

/// `Path` itself takes `a/` and `a/.` for the file `a`, and the system for a directory.
fn check_path(path: &Path) -> Result<(), ConfigError> {
    let last = path.as_os_str().as_bytes().rsplit(|&byte| byte == b'/').next();
    match last {
        None | Some(b"" | b"." | b"..") => {
            let path = path.display();
            Err(ConfigError::new("path", format!("`{path}` names no file: it must end with the name of one")))
        }
        Some(_) => Ok(()),
    }
}

provost_sdk::export!(File);

#[cfg(test)]
mod tests {
    use super::*;
    use provost_sdk::serde_json;
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

    #[tokio::test(flavor = "multi_thread", crate = "provost_sdk::tokio")]
    async fn a_device_takes_lines() {
        let deliver = async |path: &str| {
            let file = provider::<File>(&format!("path = \"{path}\"\nmode = \"0640\"")).expect("a valid configuration");
            file.deliver(&message("hello")).await
        };
        assert_eq!(deliver("/dev/null").await, Ok(Receipt::with_reference("/dev/null at byte 0")));
        let full = "appending to /dev/full: No space left on device (os error 28)";
        assert_eq!(deliver("/dev/full").await, Err(DeliveryError::temporary(full)));
    }

    #[tokio::test(flavor = "multi_thread", crate = "provost_sdk::tokio")]
    async fn settings_that_cannot_work_are_errors() {
        let (config, _dir) = config();
        for (more, expected) in [
            ("mode = \"640a\"", "mode: `640a` is not a mode such as \"0640\""),
            ("mode = \"1777\"", "mode: `1777` is not a mode such as \"0640\""),
            ("mode = \"0x1f\"", "mode: `0x1f` is not a mode such as \"0640\""),
            ("mode = \"\"", "mode: `` is not a mode such as \"0640\""),
            ("mode = \"0440\"", "mode: with \"0440\" the host cannot read and write its file: add 0600"),
            ("timestamp = \"id\"", "timestamp: messages have a key `id`: choose another, such as \"time\""),
            ("timestamp = \"\"", "timestamp: empty: choose a key, such as \"time\""),
            ("rotate_size = 10", "rotate_keep: missing: set how many old files stay; older ones are removed"),
            ("rotate_keep = 10", "rotate_size: missing: set it, or remove `rotate_keep`"),
            ("rotate_size = 0\nrotate_keep = 1", "rotate_size: must be at least 1"),
            ("rotate_size = 1\nrotate_keep = 0", "rotate_keep: must be 1 to 1000"),
            (
                "mode = \"9\"\ntimestamp = \"to\"\nrotate_size = 1\nrotate_keep = 1001",
                "mode: `9` is not a mode such as \"0640\"; timestamp: messages have a key `to`: choose another, such as \"time\"; \
                rotate_keep: must be 1 to 1000",
            ),
        ] {
            let error = provider::<File>(&format!("{config}\n{more}")).err().map(|error| error.to_string());
            assert_eq!(error.as_deref(), Some(expected), "{more}");
        }
        for path in ["", "/", ".", "..", "a/", "a//", "a/.", "a/./", "a/.."] {
            let error = provider::<File>(&format!("path = \"{path}\"")).err().map(|error| error.to_string());
            let expected = format!("path: `{path}` names no file: it must end with the name of one");
            assert_eq!(error, Some(expected));
        }
        let device = provider::<File>("path = \"/dev/null\"\nrotate_size = 1\nrotate_keep = 1").err();
        let expected = "rotate_size: /dev/null is a device, which cannot be moved away: remove this key";
        assert_eq!(device.map(|error| error.to_string()).as_deref(), Some(expected));
    }
}
