//! Messages that are sent again: who repeats one that was delivered gets the first answer, and it is not delivered twice.
//!
//! A message is known by its caller and the header `idempotency-key` (draft-ietf-httpapi-idempotency-key-header), and by the `id` that its
//! caller gave it. Of what was not delivered only the digest is kept: sending it again tries again, and another is refused.

use crate::config::Idempotency;
use crate::http::problem::Problem;
use axum::http::StatusCode;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::watch;

/// How many keys are forgotten at each new message, at most: more than it adds, so that they become fewer.
const FORGOTTEN: usize = 8;

/// By what a message is known.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// Who sent it.
    pub caller: Option<String>,
    /// The provider, or all of a route, where the key is the message's own id.
    pub provider: Option<String>,
    /// The key.
    pub key: String,
}

/// By what a message is known, and the digest of its body. Without keys it is another each time.
pub struct Identity {
    /// Its keys.
    pub keys: Vec<Key>,
    /// The digest.
    pub body: [u8; 32],
}

/// Messages that were sent, and their answers.
pub struct Repetitions<A> {
    state: Mutex<State<A>>,
}

struct State<A> {
    known: HashMap<Key, Known<A>>,
    delivered: Ended,
    /// Apart, so that failures push out no answer.
    failed: Ended,
    /// How many have ended.
    count: u64,
}

/// Keys of messages that have ended, by their numbers: the one that ended first is forgotten first.
type Ended = BTreeMap<u64, (Key, Instant)>;

struct Known<A> {
    body: [u8; 32],
    state: Progress<A>,
}

enum Progress<A> {
    /// It is under way, or was delivered: this is or will be the answer.
    Known(watch::Receiver<Option<A>>),
    /// With its number among those that failed.
    Failed(u64),
}

/// Whose turn it is.
pub enum Turn<A> {
    /// The message is to be delivered.
    First(Delivery<A>),
    /// It was, or is being delivered: this is or will be the answer. Where it ends without one, the message is to be begun again.
    Again(watch::Receiver<Option<A>>),
}

/// A delivery for whose answer others may wait.
pub struct Delivery<A> {
    repetitions: Arc<Repetitions<A>>,
    keys: Vec<Key>,
    answer: watch::Sender<Option<A>>,
    is_delivered: bool,
}

impl<A> Default for Repetitions<A> {
    fn default() -> Self {
        let (delivered, failed) = (BTreeMap::new(), BTreeMap::new());
        Self { state: Mutex::new(State { known: HashMap::new(), delivered, failed, count: 0 }) }
    }
}

impl<A> Repetitions<A> {
    /// Begins with a message.
    ///
    /// # Errors
    ///
    /// When one of its keys was used for another.
    pub fn begin(self: &Arc<Self>, identity: &Identity, limits: Idempotency) -> Result<Turn<A>, Problem> {
        let Identity { keys, body } = identity;
        let mut state = self.state();
        state.forget(limits, FORGOTTEN);
        let known = |key| state.known.get(key).map(|known| (key, known));
        let mut answer = None;
        for (key, known) in keys.iter().filter_map(known) {
            match &known.state {
                _ if known.body != *body => return Err(conflict(key)),
                Progress::Known(other) => answer = answer.or(Some(other)),
                Progress::Failed(_) => {}
            }
        }
        if let Some(answer) = answer {
            return Ok(Turn::Again(answer.clone()));
        }
        let (sender, answer) = watch::channel(None);
        for key in keys {
            state.set(key, Known { body: *body, state: Progress::Known(answer.clone()) });
        }
        let repetitions = Arc::clone(self);
        Ok(Turn::First(Delivery { repetitions, keys: keys.clone(), answer: sender, is_delivered: false }))
    }

    /// Knows a message by all of its keys, where it was delivered with some of them: this is its answer.
    pub fn learn(&self, identity: &Identity, answer: &watch::Receiver<Option<A>>) {
        let mut state = self.state();
        for key in &identity.keys {
            if state.known.get(key).is_none_or(|known| matches!(known.state, Progress::Failed(_))) {
                state.set(key, Known { body: identity.body, state: Progress::Known(answer.clone()) });
                state.end(key, true);
            }
        }
    }

    /// Forgets at once what is more than `limits` allow.
    pub fn shrink(&self, limits: Idempotency) {
        self.state().forget(limits, usize::MAX);
    }

    fn state(&self) -> MutexGuard<'_, State<A>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<A> State<A> {
    fn set(&mut self, key: &Key, known: Known<A>) {
        let before = self.known.insert(key.clone(), known);
        if let Some(Known { state: Progress::Failed(number), .. }) = before {
            self.failed.remove(&number);
        }
    }

    /// Forgets what is old or too much, but nothing that is under way: the limits of clients and providers bound that.
    fn forget(&mut self, limits: Idempotency, most: usize) {
        let now = Instant::now();
        for ended in [&mut self.delivered, &mut self.failed] {
            for _ in 0..most {
                let Some(first) = ended.first_entry() else { break };
                let is_old = now.duration_since(first.get().1) >= limits.time;
                if !is_old && ended.len() <= limits.most {
                    break;
                }
                if let Some((_, (key, _))) = ended.pop_first() {
                    self.known.remove(&key);
                }
            }
        }
    }

    fn end(&mut self, key: &Key, is_delivered: bool) {
        let Some(Known { body, state: Progress::Known(answer) }) = self.known.remove(key) else { return };
        let number = self.count;
        self.count += 1;
        let (ended, state) = match is_delivered {
            true => (&mut self.delivered, Progress::Known(answer)),
            false => (&mut self.failed, Progress::Failed(number)),
        };
        ended.insert(number, (key.clone(), Instant::now()));
        self.known.insert(key.clone(), Known { body, state });
    }
}

impl<A> Delivery<A> {
    /// Says how it ended: whoever waits gets the answer, and if it was delivered, whoever asks later does too.
    pub fn ended(mut self, answer: A, is_delivered: bool) {
        self.is_delivered = is_delivered;
        self.answer.send_replace(Some(answer));
    }
}

impl<A> Drop for Delivery<A> {
    fn drop(&mut self) {
        let mut state = self.repetitions.state();
        for key in &self.keys {
            state.end(key, self.is_delivered);
        }
    }
}

fn conflict(key: &Key) -> Problem {
    let what = if key.provider.is_some() { "`id`" } else { "`idempotency-key`" };
    let detail = format!("another message had this {what}: choose a new one, or send the same bytes again");
    Problem::new(StatusCode::CONFLICT, "conflict", "this key was used", detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const LIMITS: Idempotency = Idempotency { most: 3, time: Duration::from_secs(60) };

    fn key(key: &str) -> Key {
        Key { caller: None, provider: None, key: key.to_owned() }
    }

    /// Of a message with the keys `names`, with commas between them.
    fn begin(repetitions: &Arc<Repetitions<u8>>, names: &str, body: u8, limits: Idempotency) -> Option<Turn<u8>> {
        let keys = names.split(',').map(key).collect();
        repetitions.begin(&Identity { keys, body: [body; 32] }, limits).ok()
    }

    fn first(repetitions: &Arc<Repetitions<u8>>, name: &str, limits: Idempotency) -> Delivery<u8> {
        match begin(repetitions, name, 1, limits) {
            Some(Turn::First(delivery)) => delivery,
            _ => panic!("{name} is known"),
        }
    }

    /// The answer that is known.
    fn known(repetitions: &Arc<Repetitions<u8>>, name: &str) -> Option<u8> {
        match begin(repetitions, name, 1, LIMITS) {
            Some(Turn::Again(answer)) => *answer.borrow(),
            _ => None,
        }
    }

    #[tokio::test]
    async fn a_repetition_gets_the_first_answer() {
        let all = Arc::default();
        let delivery = first(&all, "a", LIMITS);
        let Some(Turn::Again(mut twin)) = begin(&all, "a", 1, LIMITS) else { panic!("it is under way") };
        assert!(begin(&all, "a", 2, LIMITS).is_none());
        delivery.ended(7, true);
        assert_eq!(twin.wait_for(Option::is_some).await.ok().and_then(|answer| *answer), Some(7));
        assert_eq!(known(&all, "a"), Some(7));
    }

    #[tokio::test]
    async fn what_was_not_delivered_is_tried_again() {
        let all = Arc::default();
        let delivery = first(&all, "a", LIMITS);
        let Some(Turn::Again(mut twin)) = begin(&all, "a", 1, LIMITS) else { panic!("it is under way") };
        delivery.ended(7, false);
        assert_eq!(twin.wait_for(Option::is_some).await.ok().and_then(|answer| *answer), Some(7));
        let delivery = first(&all, "a", LIMITS);
        let Some(Turn::Again(mut twin)) = begin(&all, "a", 1, LIMITS) else { panic!("it is under way") };
        drop(delivery);
        assert!(twin.wait_for(Option::is_some).await.is_err());
        // The first may have arrived nevertheless.
        assert!(begin(&all, "a", 2, LIMITS).is_none());
        drop(first(&all, "a", LIMITS));
    }

    #[test]
    fn each_key_of_a_message_names_it() {
        let all = Arc::default();
        let delivery = first(&all, "header,id", LIMITS);
        assert!(matches!(begin(&all, "other,id", 1, LIMITS), Some(Turn::Again(_))));
        assert!(begin(&all, "header,other", 2, LIMITS).is_none());
        delivery.ended(7, false);
        assert!(begin(&all, "id", 2, LIMITS).is_none());
        first(&all, "other,id", LIMITS).ended(8, true);
        assert_eq!(["other", "id", "header,other"].map(|names| known(&all, names)), [Some(8); 3]);
        assert!(begin(&all, "header", 2, LIMITS).is_none());
        drop(first(&all, "header", LIMITS));
        // A key that a repetition brings along is used, too.
        let Some(Turn::Again(answer)) = begin(&all, "third,id", 1, LIMITS) else { panic!("it was delivered") };
        all.learn(&Identity { keys: vec![key("third"), key("id")], body: [1; 32] }, &answer);
        assert!(begin(&all, "third", 2, LIMITS).is_none());
        assert_eq!(known(&all, "third"), Some(8));
    }

    #[test]
    fn what_was_not_delivered_takes_nobodys_place() {
        let all = Arc::default();
        first(&all, "a", LIMITS).ended(7, true);
        for number in 0..100 {
            first(&all, &number.to_string(), LIMITS).ended(number, false);
        }
        assert_eq!(known(&all, "a"), Some(7));
    }

    #[test]
    fn memory_is_bounded() {
        let all: Arc<Repetitions<u8>> = Arc::default();
        let under_way = first(&all, "under way", LIMITS);
        for number in 0..100 {
            first(&all, &number.to_string(), LIMITS).ended(number, true);
            drop(first(&all, &format!("not delivered {number}"), LIMITS));
        }
        // What one of them has just added is looked at with the next.
        let counts = |all: &Arc<Repetitions<u8>>| {
            let state = all.state();
            (state.delivered.len(), state.failed.len(), state.known.len())
        };
        assert_eq!(counts(&all), (3, 4, 8));
        assert_eq!(["98", "99"].map(|name| known(&all, name)), [Some(98), Some(99)]);
        assert!(matches!(begin(&all, "under way", 1, LIMITS), Some(Turn::Again(_))));
        // What fails again takes no second place.
        for _ in 0..100 {
            drop(first(&all, "not delivered 99", LIMITS));
        }
        under_way.ended(1, true);
        assert_eq!(counts(&all), (4, 3, 7));
        let now = Idempotency { time: Duration::ZERO, ..LIMITS };
        first(&all, "new", now).ended(1, true);
        first(&all, "under way", now).ended(2, true);
        assert_eq!(counts(&all), (1, 0, 1));
        all.shrink(Idempotency { most: 0, ..LIMITS });
        assert_eq!(counts(&all), (0, 0, 0));
    }
}
