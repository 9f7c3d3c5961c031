//! What an attachment may be: a name that is safe as a file's anywhere, and a media type (RFC 9110, section 8.3.1).

use provost_sdk::{Attachment, SHOWN, excerpt};

/// Most bytes of a name, which is what file systems allow, and of a media type.
const LONGEST: usize = 255;

/// What is wrong with an attachment, if anything is.
pub fn check(attachment: &Attachment) -> Result<(), String> {
    let Attachment { name, content_type, .. } = attachment;
    let is_unsafe = |letter: char| letter.is_control() || matches!(letter, '/' | '\\');
    if name.is_empty() || name.len() > LONGEST || name.contains(is_unsafe) || matches!(name.as_str(), "." | "..") {
        let name = excerpt(name, SHOWN);
        return Err(format!(
            "the name `{name}` in `attachments` is not a file's: 1 to {LONGEST} bytes without `/`, `\\` and control characters"
        ));
    }
    if content_type.len() > LONGEST || !is_media_type(content_type) {
        let content_type = excerpt(content_type, SHOWN);
        return Err(format!(
            "the content_type `{content_type}` in `attachments` is not a media type such as `application/pdf`"
        ));
    }
    Ok(())
}

/// Whether a text is a media type, with parameters or without. None is there twice: readers differ about which of them counts.
fn is_media_type(text: &str) -> bool {
    let Some((kind, rest)) = token(text) else { return false };
    let Some((subtype, mut rest)) = rest.strip_prefix('/').and_then(token) else { return false };
    let mut names = Vec::new();
    while !rest.is_empty() {
        let Some((name, after)) = parameter(rest) else { return false };
        let name = name.to_ascii_lowercase();
        if names.contains(&name) {
            return false;
        }
        names.push(name);
        rest = after;
    }
    // `*` has a meaning in a header that asks for types, and in a parameter's name (RFC 2231).
    !kind.contains('*') && !subtype.contains('*') && !names.iter().any(|name| name.contains('*'))
}

/// The name of the parameter in front, and what is behind it: `; charset=utf-8`.
fn parameter(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start_matches(' ').strip_prefix(';')?.trim_start_matches(' ');
    let (name, rest) = token(text)?;
    let rest = rest.strip_prefix('=')?;
    let Some(mut quoted) = rest.strip_prefix('"') else { return token(rest).map(|(_, rest)| (name, rest)) };
    loop {
        let end = quoted.find(['"', '\\'])?;
        let is_text = |text: &str| text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        if !is_text(&quoted[..end]) {
            return None;
        }
        if let Some(rest) = quoted[end..].strip_prefix('"') {
            return Some((name, rest));
        }
        let escaped = quoted.get(end + 1..end + 2).filter(|letter| is_text(letter))?;
        quoted = &quoted[end + 1 + escaped.len()..];
    }
}

/// The token in front (RFC 9110, section 5.6.2), and what is behind it.
fn token(text: &str) -> Option<(&str, &str)> {
    let is_token = |letter: char| letter.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(letter);
    let (token, rest) = text.split_at(text.find(|letter| !is_token(letter)).unwrap_or(text.len()));
    (!token.is_empty()).then_some((token, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types() {
        for (text, expected) in [
            ("application/pdf", true),
            ("image/svg+xml", true),
            ("text/csv; charset=utf-8;header=present", true),
            (r#"text/plain ; a="b; \" ü"; c=d"#, false),
            (r#"text/plain ; a="b; \" c"; c=d"#, true),
            ("text/plain; charset=a; Charset=b", false),
            ("text/plain; name*=utf-8''a", false),
            ("text/plain;", false),
            ("text/plain; charset", false),
            ("text/plain; charset=", false),
            ("text/plain; a=\"b", false),
            ("text/plain; a=\"b\\", false),
            ("text/plain; a=\"b\\ü\"", false),
            ("text/plain\r\nbcc: a", false),
            ("text / plain", false),
            ("text/*", false),
            ("text", false),
            ("/plain", false),
            ("", false),
        ] {
            assert_eq!(is_media_type(text), expected, "{text}");
        }
    }

    #[test]
    fn names() {
        let long = "a".repeat(256);
        for (name, expected) in [
            ("a.pdf", true),
            ("Grüße \"1\"; x=y", true),
            ("...", true),
            ("", false),
            (".", false),
            ("..", false),
            ("a/b", false),
            ("a\\b", false),
            ("a\nb", false),
            (&long, false),
        ] {
            let attachment = Attachment { name: name.to_owned(), content_type: "a/b".to_owned(), content: Vec::new() };
            assert_eq!(check(&attachment).is_ok(), expected, "{name}");
        }
    }
}
