//! A message that is ready: through which providers it goes, and by what it is known if it is sent again.

use crate::config::Limits;
use crate::http::access::Caller;
use crate::http::body;
use crate::http::idempotency::{Identity, Key};
use crate::http::message::{LONGEST_ROUTE, SendMessage};
use crate::http::problem::Problem;
use axum::http::HeaderMap;
use provost_sdk::{Message, SHOWN, excerpt};
use ring::digest::{Context, SHA256};
use std::io;
use std::slice;
use std::sync::Arc;

/// The way of a message.
pub enum Target {
    /// One provider.
    Provider(String),
    /// Providers that are tried in this order.
    Route(Vec<String>),
}

/// The place of a body among those of all messages under way. Messages of one request share theirs.
pub type Room = Arc<body::Room>;

/// A message that can be delivered.
pub struct Parcel {
    /// Its way.
    pub target: Target,
    /// By what it is known, if it may be repeated.
    pub identity: Option<Identity>,
    /// The message. In a box, as it goes through many hands.
    pub message: Box<Message>,
    /// Its place, to the end of its delivery.
    pub room: Room,
}

impl Target {
    /// Of this message.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn of(body: &SendMessage) -> Result<Self, String> {
        match (&body.provider, &body.route) {
            (Some(provider), None) => Ok(Self::Provider(provider.clone())),
            (None, Some(route)) if (1..=LONGEST_ROUTE).contains(&route.count) => match twice(&route.kept) {
                Some(name) => Err(format!("`route` has the provider `{}` twice", excerpt(name, SHOWN))),
                None => Ok(Self::Route(route.kept.clone())),
            },
            (None, Some(_)) => Err(format!("`route` must have 1 to {LONGEST_ROUTE} providers")),
            _ => Err("name either a `provider` or a `route` of several".to_owned()),
        }
    }

    /// The names of the providers.
    pub fn names(&self) -> &[String] {
        match self {
            Self::Provider(name) => slice::from_ref(name),
            Self::Route(names) => names,
        }
    }
}

fn twice(names: &[String]) -> Option<&String> {
    names.iter().enumerate().find(|(index, name)| names[..*index].contains(name)).map(|(_, name)| name)
}

impl Parcel {
    /// Of a message that goes to `target`. It is known by `header`, the key in a header, and by the `id` that its caller gave it.
    ///
    /// # Errors
    ///
    /// What is wrong with the message.
    pub fn new(
        body: SendMessage,
        target: Target,
        header: Option<String>,
        caller: Option<&Caller>,
        headers: &HeaderMap,
        limits: Limits,
        room: Room,
    ) -> Result<Self, Problem> {
        let caller = caller.map(Caller::name);
        let key = |provider, key| Key { caller: caller.map(str::to_owned), provider, key };
        // No name has a comma.
        let id = body.id.clone().map(|id| key(Some(target.names().join(",")), id));
        let keys: Vec<Key> = header.map(|header| key(None, header)).into_iter().chain(id).collect();
        let may_be_repeated = !keys.is_empty() && limits.idempotency.most > 0;
        let identity = may_be_repeated.then(|| Identity { keys, body: digest(&body) });
        Ok(Self { target, identity, message: Box::new(body.message(headers, limits)?), room })
    }
}

/// Of what a message says, however its JSON is written: one that was in a list may be sent again alone.
fn digest(body: &SendMessage) -> [u8; 32] {
    struct Hasher(Context);
    impl io::Write for Hasher {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.update(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut hasher = Hasher(Context::new(&SHA256));
    serde_json::to_writer(&mut hasher, body).expect("a digest takes all bytes, and keys are strings");
    let mut digest = [0; 32];
    digest.copy_from_slice(hasher.0.finish().as_ref());
    digest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(text: &str) -> SendMessage {
        serde_json::from_str(text).expect("a message")
    }

    #[test]
    fn a_message_has_one_way() {
        let target = |way: &str| Target::of(&body(&format!("{{{way}\"text\":\"\"}}"))).map(|to| to.names().join(" "));
        let many: Vec<String> = (0..=LONGEST_ROUTE).map(|number| number.to_string()).collect();
        let (most, more) = (serde_json::json!(many[1..]), serde_json::json!(many));
        assert_eq!(target("\"provider\":\"a\","), Ok("a".to_owned()));
        assert_eq!(target(&format!("\"route\":{most},")), Ok(many[1..].join(" ")));
        for (way, expected) in [
            ("", "name either a `provider` or a `route` of several"),
            ("\"provider\":\"a\",\"route\":[\"a\"],", "name either a `provider` or a `route` of several"),
            ("\"route\":[],", "`route` must have 1 to 16 providers"),
            (&format!("\"route\":{more},"), "`route` must have 1 to 16 providers"),
            ("\"route\":[\"a\",\"b\",\"a\"],", "`route` has the provider `a` twice"),
        ] {
            assert_eq!(target(way), Err(expected.to_owned()), "{way}");
        }
    }

    #[test]
    fn a_digest_is_of_what_is_said() {
        let one = digest(&body(r#"{"provider":"a","text":"b"}"#));
        assert_eq!(one, digest(&body(r#"{ "text": "\u0062", "to": [], "provider": "a" }"#)));
        assert_ne!(one, digest(&body(r#"{"route":["a"],"text":"b"}"#)));
        assert_ne!(one, digest(&body(r#"{"provider":"a","text":"b","id":"c"}"#)));
    }
}
