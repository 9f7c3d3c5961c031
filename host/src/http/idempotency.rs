//! Messages that are sent again: who repeats one that was delivered gets the first answer, and it is not delivered twice.
//!
//! A message is known by its caller and the header `idempotency-key` (draft-ietf-httpapi-idempotency-key-header), or by the `id` that its
//! caller gave it. What was not delivered is forgotten, so that sending it again tries again.

use crate::config::Idempotency;
use crate::http::problem::Problem;
use axum::http::StatusCode;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::watch;

/// How many messages are looked at for some to forget, at each new one: more than one, so that they become fewer.
const LOOKS: usize = 8;

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

/// Messages that were sent, and their answers.
pub struct Repetitions<A> {
    state: Mutex<State<A>>,
}

struct State<A> {
    known: HashMap<Key, Known<A>>,
    /// Whose turn it is to be forgotten. Some are already: no more than are known, and may be.
    turns: VecDeque<(Key, Instant)>,
}

struct Known<A> {
    /// The digest of the request.
    body: [u8; 32],
    since: Instant,
    /// `None` while it is under way.
    answer: watch::Receiver<Option<A>>,
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
    key: Key,
    answer: watch::Sender<Option<A>>,
    kept: bool,
}

impl<A> Default for Repetitions<A> {
    fn default() -> Self {
        Self { state: Mutex::new(State { known: HashMap::new(), turns: VecDeque::new() }) }
    }
}

impl<A> Repetitions<A> {
    /// Begins with the message that `key` names, which has this body.
    ///
    /// # Errors
    ///
    /// When the key was used for another.
    pub fn begin(self: &Arc<Self>, key: &Key, body: [u8; 32], limits: Idempotency) -> Result<Turn<A>, Problem> {
        let since = Instant::now();
        let mut state = self.state();
        state.forget(since, limits);
        match state.known.get(key) {
            Some(known) if known.body == body => return Ok(Turn::Again(known.answer.clone())),
            Some(_) => return Err(conflict(key)),
            None => {}
        }
        state.tidy(limits);
        let (sender, answer) = watch::channel(None);
        state.known.insert(key.clone(), Known { body, since, answer });
        state.turns.push_back((key.clone(), since));
        Ok(Turn::First(Delivery { repetitions: Arc::clone(self), key: key.clone(), answer: sender, kept: false }))
    }

    fn state(&self) -> MutexGuard<'_, State<A>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<A> State<A> {
    /// Forgets what is old or too much, but nothing that is under way: the limits of clients and providers bound that.
    fn forget(&mut self, now: Instant, limits: Idempotency) {
        for _ in 0..LOOKS {
            let Some((key, since)) = self.turns.pop_front() else { return };
            let Some(known) = self.known.get(&key).filter(|known| known.since == since) else { continue };
            let is_old = now.duration_since(since) >= limits.time || self.known.len() > limits.most;
            if is_old && known.answer.borrow().is_some() {
                self.known.remove(&key);
            } else if is_old {
                self.turns.push_back((key, since));
            } else {
                self.turns.push_front((key, since));
                return;
            }
        }
    }

    /// Takes out the turns of what was not delivered, once in as many messages as may be known.
    fn tidy(&mut self, limits: Idempotency) {
        if self.turns.len() > self.known.len() + limits.most {
            self.turns.retain(|(key, since)| self.known.get(key).is_some_and(|known| known.since == *since));
        }
    }
}

impl<A> Delivery<A> {
    /// Says how it ended: whoever waits gets the answer, and if it is `kept`, whoever asks later does too.
    pub fn ended(mut self, answer: A, kept: bool) {
        self.kept = kept;
        self.answer.send_replace(Some(answer));
    }
}

impl<A> Drop for Delivery<A> {
    fn drop(&mut self) {
        if !self.kept {
            self.repetitions.state().known.remove(&self.key);
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

    fn begin(repetitions: &Arc<Repetitions<u8>>, name: &str, body: u8, limits: Idempotency) -> Option<Turn<u8>> {
        repetitions.begin(&key(name), [body; 32], limits).ok()
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
        drop(first(&all, "a", LIMITS));
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
        }
        let kept = (0..100).filter(|number| all.state().known.contains_key(&key(&number.to_string()))).count();
        assert!((LIMITS.most - 1..=LIMITS.most).contains(&kept), "{kept}");
        assert_eq!(known(&all, "99"), Some(99));
        assert!(all.state().turns.len() <= LIMITS.most + 2);
        assert!(matches!(begin(&all, "under way", 1, LIMITS), Some(Turn::Again(_))));
        under_way.ended(1, true);
        let now = Idempotency { time: Duration::ZERO, ..LIMITS };
        first(&all, "new", now).ended(1, true);
        first(&all, "under way", now).ended(2, true);
        for number in 0..100 {
            drop(first(&all, &format!("not delivered {number}"), LIMITS));
        }
        assert!(all.state().turns.len() <= LIMITS.most + 2, "{}", all.state().turns.len());
    }
}
