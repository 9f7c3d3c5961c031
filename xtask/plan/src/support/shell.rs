//! Text as words of a shell.

/// `text` as one word of any POSIX shell, which may contain control characters.
pub fn word(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// `text` as one word that a person can paste; control characters (cargo separates encoded flags by one) as `$'...'`.
pub fn quoted(text: &str) -> String {
    if text.chars().any(char::is_control) {
        let escaped: String = text
            .chars()
            .map(|character| match character {
                '\\' | '\'' => format!("\\{character}"),
                _ if character.is_control() => format!("\\x{:02x}", u32::from(character)),
                _ => character.to_string(),
            })
            .collect();
        return format!("$'{escaped}'");
    }
    let plain = |character: char| character.is_alphanumeric() || "-_./:=,@+%".contains(character);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    word(text)
}
