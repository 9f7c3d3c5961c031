//! What a configuration says of the file, checked. Knows nothing of messages.

use crate::rotate::Rotation;
use provost_sdk::{ConfigError, SHOWN, excerpt};

/// The most files that are kept: each rotation renames all.
pub(crate) const MOST_KEPT: u32 = 1000;

/// The host itself reads the end of a file, and writes.
const LEAST_MODE: u32 = 0o600;

/// The permissions that `text` says in octal digits.
///
/// # Errors
///
/// When it is something else, or keeps the host from its own file.
pub(crate) fn mode(text: Option<&str>) -> Result<Option<u32>, ConfigError> {
    let Some(text) = text else { return Ok(None) };
    let error = |message: String| ConfigError::new("mode", message);
    let digits = text.len() <= 4 && text.bytes().all(|digit| digit.is_ascii_digit());
    match u32::from_str_radix(text, 8) {
        Ok(mode) if digits && mode <= 0o777 => {
            if mode & LEAST_MODE != LEAST_MODE {
                return Err(error(format!("with \"{text}\" the host cannot read and write its file: add 0600")));
            }
            Ok(Some(mode))
        }
        _ => Err(error(format!("`{}` is not a mode such as \"0640\"", excerpt(text, SHOWN)))),
    }
}

/// When a file is moved away, if it is.
///
/// # Errors
///
/// When one of the two is missing or out of range.
pub(crate) fn rotation(size: Option<u64>, keep: Option<u32>) -> Result<Option<Rotation>, ConfigError> {
    match (size, keep) {
        (None, None) => Ok(None),
        (Some(0), _) => Err(ConfigError::new("rotate_size", "must be at least 1")),
        (_, Some(keep)) if !(1..=MOST_KEPT).contains(&keep) => {
            Err(ConfigError::new("rotate_keep", format!("must be 1 to {MOST_KEPT}")))
        }
        (Some(size), Some(keep)) => Ok(Some(Rotation { size, keep })),
        (Some(_), None) => {
            Err(ConfigError::new("rotate_keep", "missing: set how many old files stay; older ones are removed"))
        }
        (None, Some(_)) => Err(ConfigError::new("rotate_size", "missing: set it, or remove `rotate_keep`")),
    }
}
