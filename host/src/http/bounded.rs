//! Lists and maps of a body, of which no more is kept than a message may have: an item takes far more memory than its two bytes of JSON,
//! and what is refused for its number should take none.

use crate::config::Limits;
use serde::Serialize;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

thread_local! {
    /// Of the body that this thread reads: what serde derives takes no parameters.
    static LIMITS: Cell<Option<Limits>> = const { Cell::new(None) };
}

/// Calls `read`, which keeps no more than `limits` allow.
pub fn within<T>(limits: Limits, read: impl FnOnce() -> T) -> T {
    LIMITS.set(Some(limits));
    let read = read();
    LIMITS.set(None);
    read
}

/// What is kept of a list or a map, and how long it was.
#[derive(Default)]
pub struct Bounded<T> {
    /// Not all, if there were too many.
    pub kept: T,
    /// How many there were.
    pub count: usize,
}

impl<T: Serialize> Serialize for Bounded<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.kept.serialize(serializer)
    }
}

/// Reads a list that has at most as many items as `most` finds in the limits. Outside of [`within`] there are none.
pub fn list<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
    most: fn(&Limits) -> usize,
) -> Result<Bounded<Vec<T>>, D::Error> {
    deserializer.deserialize_seq(List { most: limit(most), item: PhantomData })
}

/// Reads a map of texts that has at most as many pairs as `most` finds in the limits. Outside of [`within`] there are none.
pub fn map<'de, D: Deserializer<'de>>(
    deserializer: D,
    most: fn(&Limits) -> usize,
) -> Result<Bounded<BTreeMap<String, String>>, D::Error> {
    deserializer.deserialize_map(Map { most: limit(most) })
}

fn limit(most: fn(&Limits) -> usize) -> usize {
    LIMITS.get().as_ref().map_or(usize::MAX, most)
}

struct List<T> {
    most: usize,
    item: PhantomData<T>,
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for List<T> {
    type Value = Bounded<Vec<T>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a sequence")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut kept = Vec::new();
        while kept.len() < self.most {
            let Some(item) = items.next_element()? else { return Ok(Bounded { count: kept.len(), kept }) };
            kept.push(item);
        }
        let mut count = kept.len();
        while items.next_element::<IgnoredAny>()?.is_some() {
            count += 1;
        }
        Ok(Bounded { kept, count })
    }
}

struct Map {
    most: usize,
}

impl<'de> Visitor<'de> for Map {
    type Value = Bounded<BTreeMap<String, String>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut pairs: A) -> Result<Self::Value, A::Error> {
        let (mut kept, mut count) = (BTreeMap::new(), 0);
        while count < self.most {
            let Some((key, value)) = pairs.next_entry()? else { break };
            kept.insert(key, value);
            count += 1;
        }
        while pairs.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
            count += 1;
        }
        Ok(Bounded { kept, count })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Idempotency;
    use std::time::Duration;

    fn check(most: usize, kept: usize, count: usize) {
        let idempotency = Idempotency { most: 0, time: Duration::ZERO };
        let limits = Limits { recipients: most, field: 0, attachments: 0, metadata: most, batch: 0, idempotency };
        let most = |limits: &Limits| limits.recipients;
        let mut json = serde_json::Deserializer::from_str(r#"["a","b","c"]"#);
        let found: Bounded<Vec<String>> = within(limits, || list(&mut json, most)).expect("a list");
        assert_eq!((found.kept.len(), found.count), (kept, count));
        let mut json = serde_json::Deserializer::from_str(r#"{"a":"","b":"","c":""}"#);
        let found = within(limits, || map(&mut json, |limits| limits.metadata)).expect("a map");
        assert_eq!((found.kept.len(), found.count), (kept, count));
    }

    #[test]
    fn what_is_too_much_is_counted_only() {
        check(0, 0, 3);
        check(2, 2, 3);
        check(3, 3, 3);
        check(4, 3, 3);
    }

    #[test]
    fn what_is_too_much_is_still_json() {
        for text in [r#"["a","b""#, r#"["a",]"#, "1"] {
            let mut json = serde_json::Deserializer::from_str(text);
            assert!(list::<String, _>(&mut json, |_| 1).is_err(), "{text}");
        }
    }
}
