//! The tables `[clients.NAME]`: who may send messages, and which.

use super::{ProviderConfig, Reader, join, shown};
use provost_sdk::config::suggest;
use provost_sdk::serde::Serialize;
use ring::digest::SHA256;
use std::collections::BTreeMap;
use std::env::{self, VarError};

/// Who needs no token.
#[provost_sdk::config]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Anonymous {
    /// Every request needs one.
    Nobody,
    /// Requests from this machine.
    Loopback,
    /// Whoever reaches the host.
    Everyone,
}

/// Who may send messages.
#[provost_sdk::config]
pub struct RawClient {
    /// SHA-256 of each of its tokens: `sha256:` and 64 hexadecimal digits. Several while tokens are rotated.
    tokens: Vec<String>,
    /// The providers that it may use; without it all.
    providers: Option<Vec<String>>,
    /// Number of messages that it may send in a second; without it any number.
    #[schemars(range(min = 1, max = MOST_MESSAGES))]
    rate_limit: Option<u32>,
}

/// More than a host can take.
const MOST_MESSAGES: u32 = 1_000_000;

/// A client that may be one.
#[derive(Clone, Debug)]
pub struct Client {
    /// Its name in the configuration.
    pub name: String,
    /// The SHA-256 of its tokens.
    pub tokens: Vec<[u8; 32]>,
    /// The providers that it may use, or all.
    pub providers: Option<Vec<String>>,
    /// How many messages it may send in a second, or any number.
    pub rate_limit: Option<u32>,
}

/// The variable that makes one more client, for a host whose configuration names none.
const TOKEN: &str = "PROVOST_TOKEN";

/// The name of a client that no configuration names.
const UNNAMED: &str = "default";

impl Client {
    /// One without a name of its own, that may use all providers.
    pub fn unnamed(token: &str) -> Self {
        Self { name: UNNAMED.to_owned(), tokens: vec![sha256(token)], providers: None, rate_limit: None }
    }
}

impl RawClient {
    /// Reports what cannot work.
    pub fn check(self, name: String, providers: &[ProviderConfig], reader: &mut Reader) -> Client {
        let key = format!("clients.{name}");
        let Self { tokens: given, providers: used, rate_limit } = self;
        if given.is_empty() {
            reader.error(&join(&key, "tokens"), "empty: such a client can send nothing");
        }
        let (mut tokens, nothing) = (Vec::new(), sha256(""));
        for (index, token) in given.iter().enumerate() {
            match digest(token) {
                Some(digest) if digest == nothing => reader.error(
                    &join(&key, "tokens"),
                    &format!("number {} is the SHA-256 of an empty text: no token is empty", index + 1),
                ),
                Some(digest) => tokens.push(digest),
                // It may be the token itself, which nobody should see.
                None => reader.error(
                    &join(&key, "tokens"),
                    &format!(
                        "number {} is not `sha256:` and 64 hexadecimal digits, as `printf %s TOKEN | sha256sum` prints them",
                        index + 1
                    ),
                ),
            }
        }
        if used.as_ref().is_some_and(Vec::is_empty) {
            reader.error(
                &join(&key, "providers"),
                "empty: such a client can send nothing; without the key it may use all",
            );
        }
        for provider in used.iter().flatten() {
            if providers.iter().all(|known| known.name != *provider) {
                let meant = suggest(provider, providers.iter().map(|known| known.name.as_str()));
                let hint = meant.map(|meant| format!(": did you mean `{meant}`?")).unwrap_or_default();
                let message = format!("there is no provider `{}`{hint}", shown(provider));
                reader.error(&join(&key, "providers"), &message);
            }
        }
        if rate_limit.is_some_and(|rate| rate == 0 || rate > MOST_MESSAGES) {
            reader.error(&join(&key, "rate_limit"), &format!("must be 1 to {MOST_MESSAGES}"));
        }
        Client { name, tokens, providers: used, rate_limit }
    }
}

/// The clients, with that of the environment.
pub fn with_environment(mut clients: Vec<Client>, reader: &mut Reader) -> Vec<Client> {
    check_tokens(&clients, reader);
    let given = match env::var(TOKEN) {
        Err(VarError::NotUnicode(_)) => {
            reader.errors.add(format!("{TOKEN} in the environment is not UTF-8"));
            return clients;
        }
        given => given.unwrap_or_default(),
    };
    let client = match given.trim() {
        "" => return clients,
        token if token.bytes().all(|byte| matches!(byte, b' '..=b'~')) => Client::unnamed(token),
        _ => {
            reader.errors.add(format!(
                "{TOKEN} in the environment has a line break or a letter beyond ASCII, which no header has"
            ));
            return clients;
        }
    };
    for other in &clients {
        let key = join("clients", &other.name);
        if other.name == client.name {
            let message = format!("{TOKEN} in the environment makes a client of this name: name this one otherwise");
            reader.error(&key, &message);
        }
        if other.tokens.iter().any(|token| client.tokens.contains(token)) {
            let message = format!("{TOKEN} in the environment is one of them: each client has its own");
            reader.error(&join(&key, "tokens"), &message);
        }
    }
    clients.push(client);
    clients
}

/// SHA-256.
pub fn sha256(text: impl AsRef<[u8]>) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(ring::digest::digest(&SHA256, text.as_ref()).as_ref());
    bytes
}

/// Reports tokens that several clients have, or one of them twice: it would not be known who sends.
fn check_tokens(clients: &[Client], reader: &mut Reader) {
    let mut known = BTreeMap::new();
    for client in clients {
        for (index, token) in client.tokens.iter().enumerate() {
            if let Some(other) = known.insert(token, &client.name) {
                let message = if *other == client.name {
                    format!("number {} is there twice", index + 1)
                } else {
                    format!("number {} is a token of client `{}` too: each has its own", index + 1, shown(other))
                };
                reader.error(&join(&join("clients", &client.name), "tokens"), &message);
            }
        }
    }
}

fn digest(text: &str) -> Option<[u8; 32]> {
    let digits = text.strip_prefix("sha256:").filter(|digits| digits.len() == 64 && digits.is_ascii())?;
    let mut digest = [0; 32];
    for (index, byte) in digest.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&digits[2 * index..2 * index + 2], 16).ok()?;
    }
    Some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_64_digits() {
        let digits = "0123456789abcdefABCDEF0000000000".repeat(2);
        let found = digest(&format!("sha256:{digits}")).expect("a digest");
        assert_eq!(found[..3], [0x01, 0x23, 0x45]);
        for wrong in
            ["", "sha256:", &digits, &format!("sha256:{digits}0"), &format!("sha256:{}", digits.replace('0', "+"))]
        {
            assert_eq!(digest(wrong), None, "{wrong}");
        }
    }
}
