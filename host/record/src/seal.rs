//! The seal: a hash over a whole file, written into the file's own record once it was built. It says that the file is what was
//! built, byte for byte; it is no signature, since whoever changes a file can seal it again.

use crate::ReadError;
use crate::elf::Elf;
use sha2::{Digest, Sha256};
use std::fmt;
use std::ops::Range;

/// How many digits a seal has, and the digest of std.
const DIGITS: usize = 64;

/// What both are before the file is sealed.
const NONE: [u8; DIGITS] = [b'0'; DIGITS];

/// Whether a file is the one that was built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Seal {
    /// It is.
    Sealed,
    /// It was, and was changed since.
    Broken,
    /// Nobody has sealed it: `cargo build` alone does not.
    Unsealed,
}

impl fmt::Display for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sealed => "sealed",
            Self::Broken => "broken",
            Self::Unsealed => "unsealed",
        })
    }
}

/// The seal of a file.
///
/// # Errors
///
/// When it has no record that could hold one.
pub fn seal(bytes: &[u8]) -> Result<Seal, ReadError> {
    of_elf(&Elf::parse(bytes)?, bytes)
}

pub(crate) fn of_elf(elf: &Elf, bytes: &[u8]) -> Result<Seal, ReadError> {
    let place = place(elf, bytes, "seal")?;
    Ok(match &bytes[place.clone()] {
        digits if digits == NONE => Seal::Unsealed,
        digits if digits == hash(bytes, &place).as_bytes() => Seal::Sealed,
        _ => Seal::Broken,
    })
}

/// What a sealed file says std's digest is, 64 hexadecimal digits; `None` where std is a part of the SDK.
///
/// # Errors
///
/// As [`seal`].
pub fn std_digest(bytes: &[u8]) -> Result<Option<String>, ReadError> {
    let digits = &bytes[place(&Elf::parse(bytes)?, bytes, "std")?];
    Ok((digits != NONE).then(|| String::from_utf8_lossy(digits).into_owned()))
}

/// Seals a file, which was built together with a std of this content, if that is a file of its own.
///
/// # Errors
///
/// As [`seal`](self::seal()).
pub fn apply(bytes: &mut [u8], std: Option<&[u8]>) -> Result<(), ReadError> {
    let (std_place, seal_place) = {
        let elf = Elf::parse(bytes)?;
        (place(&elf, bytes, "std")?, place(&elf, bytes, "seal")?)
    };
    let std = std.map_or_else(|| String::from_utf8_lossy(&NONE).into_owned(), digest);
    bytes[std_place].copy_from_slice(std.as_bytes());
    let seal = hash(bytes, &seal_place);
    bytes[seal_place].copy_from_slice(seal.as_bytes());
    Ok(())
}

/// A SHA-256 in hexadecimal.
pub fn digest(bytes: &[u8]) -> String {
    hex(Sha256::digest(bytes).as_slice())
}

/// Over the whole file, the seal itself as if there were none.
fn hash(bytes: &[u8], seal: &Range<usize>) -> String {
    let mut hash = Sha256::new();
    hash.update(&bytes[..seal.start]);
    hash.update(NONE);
    hash.update(&bytes[seal.end..]);
    hex(hash.finalize().as_slice())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Where the digits of a field stand in the file: as the SDK writes them, or any JSON writer without spaces.
fn place(elf: &Elf, bytes: &[u8], field: &str) -> Result<Range<usize>, ReadError> {
    let text = elf.note()?;
    let key = format!("\"{field}\":\"");
    let found = text.windows(key.len()).rposition(|window| window == key.as_bytes()).map(|at| at + key.len());
    let is_whole = |at: &usize| {
        let digits = text.get(*at..*at + DIGITS).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        digits && text.get(*at + DIGITS) == Some(&b'"')
    };
    let at = found
        .filter(is_whole)
        .ok_or_else(|| ReadError::BrokenRecord(format!("it has no `{field}` of {DIGITS} digits")))?;
    // The text is a part of the file.
    let start = text.as_ptr().addr() - bytes.as_ptr().addr() + at;
    Ok(start..start + DIGITS)
}
