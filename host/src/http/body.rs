//! Reads the bodies of requests, whole, into memory that is bounded for each and for all.

use crate::http::problem::Problem;
use axum::body::{Body, HttpBody};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// What is read from a body.
pub trait Weighed {
    /// About how many bytes of memory it takes, beside its own.
    fn weight(&self) -> usize;
}

/// Bytes of messages that are held, in all.
#[derive(Clone, Default)]
pub struct Held(Arc<AtomicUsize>);

/// The part of one message, until it is dropped.
pub struct Room {
    bytes: usize,
    held: Held,
}

impl Drop for Room {
    fn drop(&mut self) {
        self.held.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// What bodies may take.
pub struct Bodies {
    each: usize,
    all: usize,
    /// Those of all readings of the configuration: a message that is still under way counts for the next one too.
    held: Held,
    /// Held by the body that gives up. Two that fill the room would both give up for the other's sake, so one does at a time.
    giving_up: Mutex<()>,
}

impl Bodies {
    /// At most `each` bytes for one, and `all` for all that are `held` at a time.
    pub fn new(each: usize, all: usize, held: Held) -> Self {
        Self { each, all, held, giving_up: Mutex::default() }
    }

    /// The whole body, and its place among all.
    ///
    /// Into one buffer: a body of many small parts would take many times its bytes if they were kept.
    pub async fn read(&self, body: Body) -> Result<(Vec<u8>, Room), Problem> {
        let expected = body.size_hint().lower();
        let exceeds = || too_large("the body has more bytes than `server.body_limit` allows");
        if expected > self.each as u64 {
            return Err(exceeds());
        }
        let mut bytes = Vec::new();
        // It is there at once: nobody takes much for a body that may never come.
        let mut room = Room { bytes: 0, held: self.held.clone() };
        let mut body = pin!(body);
        while let Some(frame) = poll_fn(|task| body.as_mut().poll_frame(task)).await {
            let frame = frame.map_err(|error| not_read(&error))?;
            let Ok(part) = frame.into_data() else { continue };
            if bytes.len() + part.len() > self.each {
                return Err(exceeds());
            }
            room = self.more_or_none(room, part.len())?;
            bytes.extend_from_slice(&part);
        }
        Ok((bytes, room))
    }

    /// The place of what was read from a body, where that takes `bytes`: it may be more than the body had.
    pub fn hold(&self, room: Room, bytes: usize) -> Result<Room, Problem> {
        if bytes > self.all {
            return Err(too_large("what the body says takes more memory than `server.memory_limit` allows"));
        }
        let missing = bytes.saturating_sub(room.bytes);
        self.more_or_none(room, missing)
    }

    /// `room` and more, if others gave up theirs meanwhile. Otherwise it is given up.
    fn more_or_none(&self, mut room: Room, bytes: usize) -> Result<Room, Problem> {
        if self.more(&mut room, bytes) {
            return Ok(room);
        }
        let turn = self.giving_up.lock().unwrap_or_else(PoisonError::into_inner);
        if self.more(&mut room, bytes) {
            return Ok(room);
        }
        drop(room);
        drop(turn);
        Err(no_room())
    }

    fn more(&self, room: &mut Room, bytes: usize) -> bool {
        let fits = |held: usize| held.checked_add(bytes).filter(|held| *held <= self.all);
        let has_room = self.held.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok();
        room.bytes += if has_room { bytes } else { 0 };
        has_room
    }
}

/// Whether a request says that its body is JSON.
pub fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    // What nearly everybody says, without a search.
    if kind.eq_ignore_ascii_case("application/json") {
        return true;
    }
    let kind = kind.split(';').next().unwrap_or_default().trim();
    let Some((kind, subkind)) = kind.split_once('/') else { return false };
    let suffix = subkind.rsplit_once('+').map_or(subkind, |(_, suffix)| suffix);
    kind.eq_ignore_ascii_case("application") && suffix.eq_ignore_ascii_case("json")
}

fn no_room() -> Problem {
    let detail = "the messages under way take as much memory as `server.memory_limit` allows";
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "no-room", "too many messages at a time", detail).retry_soon()
}

fn too_large(detail: &str) -> Problem {
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "the body is too large", detail)
}

fn not_read(error: &axum::Error) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "not-http", "not HTTP", format!("reading the body: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Bytes;
    use hyper::body::Frame;
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll};
    use std::thread;
    use tokio::runtime::Builder;

    /// As many bytes, each in a chunk of its own.
    struct Chunks(usize);

    impl HttpBody for Chunks {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            let left = self.0.checked_sub(1);
            self.0 = left.unwrap_or_default();
            Poll::Ready(left.map(|_| Ok(Frame::data(Bytes::from_static(b"a")))))
        }
    }

    #[test]
    fn bodies_that_meet_at_the_limit_do_not_all_lose() {
        const EACH: usize = 5_000;
        for _ in 0..200 {
            let bodies = Bodies::new(EACH, EACH + EACH / 10, Held::default());
            let read = || {
                let runtime = Builder::new_current_thread().build().expect("a runtime");
                runtime.block_on(bodies.read(Body::new(Chunks(EACH)))).is_ok()
            };
            let read = thread::scope(|scope| {
                let readers = [(); 8].map(|()| scope.spawn(read));
                readers.map(|reader| reader.join().expect("no panic"))
            });
            assert!(read.contains(&true), "each lost its place to others that lost theirs");
        }
    }

    #[tokio::test]
    async fn a_body_has_its_limit_and_all_have_theirs() {
        let bodies = Bodies::new(4, 6, Held::default());
        let read = async |text: &'static str| {
            let read = bodies.read(Body::from(text)).await;
            read.map_err(|problem| serde_json::to_value(problem).expect("a problem")["status"].clone())
        };
        let (bytes, _room) = read("abcd").await.expect("it fits");
        assert_eq!(bytes, b"abcd");
        assert_eq!(read("abcde").await.err(), Some(413.into()));
        assert_eq!(read("abc").await.err(), Some(429.into()));
        assert_eq!(read("ab").await.expect("it fits").0, b"ab");
        drop(_room);
        assert_eq!(read("abcd").await.expect("there is room again").0, b"abcd");
    }

    #[tokio::test]
    async fn what_takes_more_than_its_body_has_more_room() {
        let bodies = Bodies::new(4, 6, Held::default());
        let read = async || bodies.read(Body::from("ab")).await.expect("it fits").1;
        let status = |problem| serde_json::to_value(problem).expect("a problem")["status"].clone();
        let held = bodies.hold(read().await, 1).expect("it is there");
        assert_eq!(held.bytes, 2);
        let other = read().await;
        assert_eq!(bodies.hold(other, 5).map_err(status).err(), Some(429.into()));
        assert_eq!(bodies.hold(read().await, 4).expect("it fits").bytes, 4);
        assert_eq!(bodies.hold(read().await, 7).map_err(status).err(), Some(413.into()));
        // The next reading of the configuration allows less than there is.
        let next = Bodies::new(4, 1, bodies.held.clone());
        assert_eq!(next.read(Body::from("a")).await.map_err(status).err(), Some(429.into()));
        drop(held);
        assert!(next.read(Body::from("a")).await.is_ok());
    }

    #[test]
    fn types_of_json() {
        for (kind, expected) in [
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("application/problem+json", true),
            ("text/json", false),
            ("application/jsonx", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, kind.parse().expect("a header"))]);
            assert_eq!(is_json(&headers), expected, "{kind}");
        }
    }
}
