//! Names of DNS, as they stand in a configuration or a message.

use reqwest::Url;

/// The longest name, in characters (RFC 1035 section 2.3.4, written with dots).
const LONGEST: usize = 253;

/// The longest part between two dots, in characters.
const LONGEST_LABEL: usize = 63;

/// A name in ASCII (RFC 5890): `xn--mller-kva.example` for `müller.example`. `None` if no host can have it and it is no IPv4
/// address, or if it has anything beside it, such as a port.
pub fn in_ascii(name: &str) -> Option<String> {
    // URLs have the same rules, once nothing is left that they would take for something else, or drop.
    if name.contains(|letter: char| letter.is_control() || letter.is_whitespace() || ":/?#@\\%".contains(letter)) {
        return None;
    }
    let url = Url::parse(&format!("https://{name}/")).ok()?;
    let host = url.host_str()?;
    let same = !name.is_ascii() || name.eq_ignore_ascii_case(host);
    (same && fault(host).is_none()).then(|| host.to_owned())
}

/// Why no host can have this name, which is in ASCII.
pub(crate) fn fault(name: &str) -> Option<&'static str> {
    let labels = || name.split('.').map(str::len);
    if name.len() > LONGEST {
        Some("it is longer than 253 characters")
    } else if name.ends_with('.') {
        Some("it ends with a dot")
    } else if labels().any(|length| length == 0) {
        Some("it begins with a dot, or has two side by side")
    } else if labels().any(|length| length > LONGEST_LABEL) {
        Some("a part between its dots is longer than 63 characters")
    } else if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte)) {
        Some("it has a character other than letters, digits, `-` and `_`")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_what_is_none() {
        let label = "a".repeat(LONGEST_LABEL);
        let longest = format!("{label}.{label}.{label}.{}", &label[..61]);
        for (name, expected) in [
            ("localhost", Some("localhost")),
            ("Mail.example.org", Some("mail.example.org")),
            ("müller.example", Some("xn--mller-kva.example")),
            ("127.0.0.1", Some("127.0.0.1")),
            ("mail_1", Some("mail_1")),
            (label.as_str(), Some(label.as_str())),
            (&longest, Some(&longest)),
            (&format!("{label}a"), None),
            (&format!("a{longest}"), None),
            (&"ü".repeat(LONGEST_LABEL), None),
            ("mail.example.org.", None),
            ("mail..example.org", None),
            (".example.org", None),
            (".", None),
            ("mail.example.org:25", None),
            ("smtp://mail.example.org", None),
            ("alice@mail.example.org", None),
            ("mail example org", None),
            ("*.example.org", None),
            ("a,b", None),
            ("a;b", None),
            ("(a)", None),
            ("a'b", None),
            ("a~b", None),
            ("mail.example.org/", None),
            ("müller.example:25", None),
            ("müller.example/", None),
            ("mü\tller.example", None),
            ("mü%6cler.example", None),
            ("[::1", None),
            ("0x7f.1", None),
            ("", None),
        ] {
            assert_eq!(in_ascii(name).as_deref(), expected, "{name}");
        }
    }
}
