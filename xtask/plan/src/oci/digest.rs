//! Digests, which identify content.

use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

use anyhow::{Context, Result};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest as _, Sha256};

const ALGORITHM: &str = "sha256:";

/// How many hexadecimal digits people need.
const SHORT: usize = 12;

/// A SHA-256. It is written `sha256:` and 64 hexadecimal digits.
/// Source: OCI image specification, descriptor.md, "Digests".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

impl Digest {
    pub fn sha256(content: impl AsRef<[u8]>) -> Digest {
        Digest(Sha256::digest(content).into())
    }

    /// Of this program itself: another version may make something else from the same input.
    pub fn own_program() -> Result<Digest> {
        static OWN: OnceLock<Digest> = OnceLock::new();
        if let Some(digest) = OWN.get() {
            return Ok(*digest);
        }
        // Linux has its content even after another build has replaced the file.
        let path = match cfg!(target_os = "linux") {
            true => "/proc/self/exe".into(),
            false => std::env::current_exe().context("asking for xtask's own path")?,
        };
        let program = std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        Ok(*OWN.get_or_init(|| Digest::sha256(program)))
    }

    /// The 64 digits alone.
    pub fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The first digits: enough for a name in a directory with few others.
    pub fn prefix(&self, length: usize) -> String {
        let mut hex = self.hex();
        hex.truncate(length);
        hex
    }

    /// `sha256:0123456789ab`.
    pub fn short(&self) -> String {
        format!("{ALGORITHM}{}", self.prefix(SHORT))
    }

    /// `sha256/...`, where content is kept by its digest.
    pub fn path(&self) -> String {
        format!("sha256/{}", self.hex())
    }

    /// `sha256-...`, for a file's name and for a tag.
    pub fn file_name(&self) -> String {
        format!("sha256-{}", self.hex())
    }

    /// A number that is the same wherever the content is.
    pub fn number(&self) -> u32 {
        let [a, b, c, d, ..] = self.0;
        u32::from_be_bytes([a, b, c, d])
    }

    pub fn bytes(&self) -> [u8; 32] {
        self.0
    }
}

/// Makes a digest of content that comes in pieces.
#[derive(Default)]
pub struct Hasher(Sha256);

impl Hasher {
    pub fn update(&mut self, content: impl AsRef<[u8]>) {
        self.0.update(content);
    }

    pub fn finish(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        write!(out, "{ALGORITHM}{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

impl FromStr for Digest {
    type Err = String;

    fn from_str(text: &str) -> Result<Digest, String> {
        let wrong = || {
            format!("`{text}` is not a supported digest: expected `sha256:` and 64 digits of lower-case hexadecimal")
        };
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let hex = text.strip_prefix(ALGORITHM).filter(|hex| hex.len() == 64 && hex.bytes().all(is_digit));
        let hex = hex.ok_or_else(wrong)?;
        let mut bytes = [0; 32];
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&hex[2 * index..2 * index + 2], 16).map_err(|_| wrong())?;
        }
        Ok(Digest(bytes))
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Digest, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::Digest;

    #[test]
    fn a_digest_is_read_as_it_is_written() {
        let digest = Digest::sha256("");
        let text = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!((digest.to_string().as_str(), digest.short().as_str()), (text, "sha256:e3b0c44298fc"));
        assert_eq!(text.parse(), Ok(digest));
        let (number, letter) = (text.replace("sha256", "sha512"), text.replace("e3", "+3"));
        for wrong in [&text[..70], number.as_str(), letter.as_str(), "sha256:", "", &text[7..]] {
            assert!(wrong.parse::<Digest>().is_err(), "{wrong}");
        }
    }
}
