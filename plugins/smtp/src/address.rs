//! Mail addresses: what is sent of them, and what no server takes. Knows nothing of mails.

use lettre::address::{Address, AddressError};
use lettre::message::Mailbox;
use provost_sdk::names;

/// What may stand in one line of a mail, in bytes, with room for a header's name (RFC 5322 section 2.1.1 allows 998).
pub(crate) const LINE: usize = 900;

/// Reads `Bob <bob@example.org>`, or the address alone. Its domain is sent in ASCII: not every server knows others.
///
/// # Errors
///
/// Why it is no address.
pub(crate) fn mailbox(text: &str) -> Result<Mailbox, String> {
    if text.len() > LINE || text.contains(char::is_control) {
        return Err("it is longer than a line, or has control characters".to_owned());
    }
    let Mailbox { name, email } = text.parse().map_err(why)?;
    if email.domain().is_ascii() {
        return Ok(Mailbox { name, email });
    }
    let domain = names::in_ascii(email.domain()).ok_or("its domain is not a name of DNS")?;
    Ok(Mailbox { name, email: Address::new(email.user(), domain).map_err(why)? })
}

/// The limits are those of RFC 5321, section 4.5.3.1.
fn why(error: AddressError) -> String {
    match error {
        AddressError::InvalidUser => {
            "what stands before the `@` has more than 64 bytes, or characters that need quotes".to_owned()
        }
        AddressError::InvalidDomain => {
            "what stands behind the `@` is not a name of DNS: 254 bytes at most, with 63 between dots".to_owned()
        }
        error => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&str, &str>) {
        let found = mailbox(text).map(|mailbox| mailbox.to_string());
        assert_eq!(found.as_deref().map_err(String::as_str), expected, "{text}");
    }

    #[test]
    fn addresses_and_what_is_none() {
        const USER: &str = "what stands before the `@` has more than 64 bytes, or characters that need quotes";
        const DOMAIN: &str = "what stands behind the `@` is not a name of DNS: 254 bytes at most, with 63 between dots";
        const LONG: &str = "it is longer than a line, or has control characters";
        check("a@example.org", Ok("a@example.org"));
        check("B <b@müller.example>", Ok("B <b@xn--mller-kva.example>"));
        check(&format!("{}@example.org", "a".repeat(64)), Ok(&format!("{}@example.org", "a".repeat(64))));
        check(&format!("{}@example.org", "a".repeat(65)), Err(USER));
        check(&format!("a@{}.example", "b".repeat(63)), Ok(&format!("a@{}.example", "b".repeat(63))));
        check(&format!("a@{}.example", "b".repeat(64)), Err(DOMAIN));
        check(&format!("a@{}example", "b.".repeat(124)), Err(DOMAIN));
        check(&format!("a@{}.example", "ü".repeat(63)), Err(DOMAIN));
        check("nobody", Err("Invalid input"));
        check(&format!("{} <a@example.org>", "b".repeat(LINE)), Err(LONG));
        check("a\n <a@example.org>", Err(LONG));
    }
}
