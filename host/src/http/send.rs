//! `POST /v1/messages`: one message, delivered once however often it is sent.

use crate::ground::finished::Finished;
use crate::http::access::Caller;
use crate::http::api::Api;
use crate::http::body::{self, Weighed};
use crate::http::bounded;
use crate::http::deliver::{SentMessage, deliver, unknown_provider};
use crate::http::idempotency::{Identity, Turn};
use crate::http::message::{self, SendMessage, invalid};
use crate::http::object;
use crate::http::parcel::{Parcel, Room, Target};
use crate::http::problem::Problem;
use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use provost_sdk::Message;
use serde::de::DeserializeOwned;
use std::sync::Arc;

/// The header of an answer that was given before.
pub const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// A message that was delivered, now or before.
pub struct Sent {
    /// The answer.
    pub message: SentMessage,
    /// Whether it was given before.
    pub replayed: bool,
}

impl IntoResponse for Sent {
    fn into_response(self) -> Response {
        let answer = Json(self.message);
        if self.replayed { ([(REPLAYED, "true")], answer).into_response() } else { answer.into_response() }
    }
}

/// Answers the request.
pub async fn send(State(api): State<Arc<Api>>, mut request: Request) -> Result<Sent, Problem> {
    let caller = request.extensions_mut().remove::<Arc<Caller>>();
    let caller = caller.as_deref();
    let (head, body) = request.into_parts();
    let headers = &head.headers;
    check_type(headers)?;
    let key = message::idempotency_key(headers)?;
    let (body, room) = api.read::<SendMessage>(body).await?;
    let target = Target::of(&body).map_err(invalid)?;
    api.admit(caller, &target)?;
    api.deliver(Parcel::new(body, target, key, caller, headers, api.limits, room)?).await
}

/// # Errors
///
/// When a request does not say that its body is JSON.
pub fn check_type(headers: &HeaderMap) -> Result<(), Problem> {
    let detail = "send the header `content-type: application/json`";
    let error = || Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not-json", "not JSON", detail);
    body::is_json(headers).then_some(()).ok_or_else(error)
}

impl Api {
    /// What is in a body, and its place among all bodies.
    pub async fn read<T: DeserializeOwned + Weighed>(&self, body: Body) -> Result<(T, Room), Problem> {
        let body = tokio::select! {
            biased;
            body = tokio::time::timeout(self.request_timeout, self.bodies.read(body)) => body,
            _ = self.ending.gives_up_arrivals() => return Err(ending()),
        };
        let (bytes, room) = body.map_err(|_| half_sent())??;
        let body: T = bounded::within(self.limits, || object::read(&bytes)).map_err(invalid)?;
        let room = self.bodies.hold(room, body.weight())?;
        Ok((body, Arc::new(room)))
    }

    /// Whether `caller` may send a message to `target` now. It is counted.
    pub fn admit(&self, caller: Option<&Caller>, target: &Target) -> Result<(), Problem> {
        let names = target.names();
        caller.map_or(Ok(()), |caller| caller.may_send(names))?;
        match names.iter().find(|name| self.providers.get(name).is_none()) {
            Some(name) => Err(unknown_provider(name, self.providers.iter())),
            None => Ok(()),
        }
    }

    /// Delivers a message, unless it was delivered before.
    pub async fn deliver(&self, parcel: Parcel) -> Result<Sent, Problem> {
        let Parcel { target, identity, message, room } = parcel;
        match identity {
            None => {
                let answer = deliver(&self.providers, target, message, room).await;
                answer.map(|message| Sent { message, replayed: false })
            }
            Some(identity) => self.deliver_once(&identity, target, message, room).await,
        }
    }

    /// Delivers a message unless it was, or is under way.
    async fn deliver_once(
        &self,
        identity: &Identity,
        target: Target,
        message: Box<Message>,
        room: Room,
    ) -> Result<Sent, Problem> {
        loop {
            match self.repetitions.begin(identity, self.limits.idempotency)? {
                Turn::First(delivery) => {
                    let (providers, in_use) = (Arc::clone(&self.providers), self.providers.keep());
                    // Who repeats it wants to know the end, also after the first caller went away.
                    let answer = Finished::new(async move {
                        let _in_use = in_use;
                        let answer = deliver(&providers, target, message, room).await;
                        delivery.ended(answer.clone(), answer.is_ok());
                        answer
                    });
                    return answer.await.map(|message| Sent { message, replayed: false });
                }
                Turn::Again(mut answer) => {
                    // Without an answer it ended in no way that is known, and may be tried.
                    let ended = answer.wait_for(Option::is_some).await.ok().and_then(|answer| answer.clone());
                    if let Some(ended) = ended {
                        if ended.is_ok() {
                            self.repetitions.learn(identity, &answer);
                        }
                        return ended.map(|message| Sent { message, replayed: true });
                    }
                }
            }
        }
    }
}

fn half_sent() -> Problem {
    Problem::new(
        StatusCode::REQUEST_TIMEOUT,
        "half-sent",
        "request timeout",
        "the body was not complete within `server.request_timeout`",
    )
}

fn ending() -> Problem {
    let detail = "the host shut down before the body was complete";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "ending", "shutting down", detail)
}
