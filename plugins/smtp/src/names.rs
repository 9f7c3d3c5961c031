//! Names of DNS.

use provost_sdk::reqwest::Url;

/// A name in ASCII (RFC 5890): `xn--mller-kva.example` for `müller.example`. `None` if it is no name and no IPv4 address, or has
/// anything beside it, such as a port.
pub(crate) fn in_ascii(name: &str) -> Option<String> {
    // URLs have the same rules, once nothing is left that they would take for something else, or drop.
    if name.contains(|letter: char| letter.is_control() || letter.is_whitespace() || ":/?#@\\%".contains(letter)) {
        return None;
    }
    let url = Url::parse(&format!("https://{name}/")).ok()?;
    let host = url.host_str()?;
    (!name.is_ascii() || name.eq_ignore_ascii_case(host)).then(|| host.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_what_is_none() {
        for (name, expected) in [
            ("localhost", Some("localhost")),
            ("Mail.example.org", Some("mail.example.org")),
            ("müller.example", Some("xn--mller-kva.example")),
            ("127.0.0.1", Some("127.0.0.1")),
            ("mail.example.org:25", None),
            ("smtp://mail.example.org", None),
            ("alice@mail.example.org", None),
            ("mail example org", None),
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
