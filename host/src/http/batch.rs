//! `POST /v1/messages:batch`: several messages in one request. Each is delivered, counted and answered as if it had come alone.

use crate::config::MESSAGE_MEMORY;
use crate::http::access::Caller;
use crate::http::api::Api;
use crate::http::body::Weighed;
use crate::http::bounded::{self, Bounded};
use crate::http::deliver::SentMessage;
use crate::http::message::{IDEMPOTENCY_KEY, SendMessage, invalid};
use crate::http::object::Object;
use crate::http::parcel::{Parcel, Room, Target};
use crate::http::problem::Problem;
use crate::http::send::{Sent, check_type};
use crate::providers::failure::Failure;
use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use provost_sdk::Message;
use provost_sdk::schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use std::sync::Arc;
use tokio::task::JoinSet;

/// How many messages of one request are delivered at a time: half of what a provider takes by default.
const AT_A_TIME: usize = 8;

/// What a message takes beside its texts while it waits, in bytes.
const WAITING: usize = size_of::<SendMessage>() + size_of::<Parcel>() + size_of::<Message>() + size_of::<BatchResult>();

/// Messages that are sent in one request.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(crate = "provost_sdk::schemars")]
pub struct SendBatch {
    /// The messages, at most as many as `server.batch_limit` allows.
    #[serde(deserialize_with = "messages")]
    #[schemars(with = "Vec<SendMessage>", length(min = 1))]
    messages: Bounded<Vec<Object<SendMessage>>>,
}

fn messages<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bounded<Vec<Object<SendMessage>>>, D::Error> {
    bounded::list(deserializer, |limits| limits.batch)
}

impl Weighed for SendBatch {
    fn weight(&self) -> usize {
        let messages = &self.messages.kept;
        // The others wait for their delivery to begin.
        let deliveries = messages.len().min(AT_A_TIME) * MESSAGE_MEMORY;
        deliveries + messages.iter().map(|Object(message)| message.texts() + WAITING).sum::<usize>()
    }
}

/// What came of the messages of one request.
#[derive(Serialize, JsonSchema)]
#[schemars(crate = "provost_sdk::schemars")]
pub struct BatchAnswer {
    /// One for each message, in the order of the request.
    results: Vec<BatchResult>,
}

/// What came of one message of several.
#[derive(Serialize, JsonSchema)]
#[schemars(crate = "provost_sdk::schemars")]
#[schemars(extend("oneOf" = [{ "required": ["message"] }, { "required": ["problem"] }]))]
struct BatchResult {
    /// The status that the message would have had alone.
    #[schemars(range(min = 200, max = 599))]
    status: u16,
    /// The answer, if the message was delivered.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "SentMessage")]
    message: Option<SentMessage>,
    /// Whether the message was delivered before, by an earlier request.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    replayed: bool,
    /// The problem, if the message was not delivered.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Problem")]
    problem: Option<Problem>,
    /// After how many seconds the message may be sent again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64", range(min = 1))]
    retry_after: Option<u64>,
}

/// Answers the request. What is wrong with the form of one message is wrong with the request: then none is delivered.
pub async fn batch(State(api): State<Arc<Api>>, mut request: Request) -> Result<Json<BatchAnswer>, Problem> {
    let caller = request.extensions_mut().remove::<Arc<Caller>>();
    let (head, body) = request.into_parts();
    check_type(&head.headers)?;
    if head.headers.contains_key(&IDEMPOTENCY_KEY) {
        return Err(invalid("the header `idempotency-key` is for one message: give each of these an `id` instead"));
    }
    let (body, room) = api.read::<SendBatch>(body).await?;
    let parcels = parcels(&api, body, room, caller.as_deref(), &head.headers)?;
    Ok(Json(BatchAnswer { results: deliver_all(&api, caller.as_deref(), parcels).await }))
}

/// The messages, which have the room of their body together.
fn parcels(
    api: &Api,
    body: SendBatch,
    room: Room,
    caller: Option<&Caller>,
    headers: &HeaderMap,
) -> Result<Vec<Parcel>, Problem> {
    let (count, most) = (body.messages.count, api.limits.batch);
    if count == 0 || count > most {
        return Err(invalid(format!("messages in `messages`: {count}, and `server.batch_limit` allows 1 to {most}")));
    }
    let parcel = |(index, Object(message)): (usize, Object<SendMessage>)| {
        let target = Target::of(&message).map_err(invalid);
        let room = Arc::clone(&room);
        let parcel = target.and_then(|target| Parcel::new(message, target, None, caller, headers, api.limits, room));
        parcel.map_err(|problem| problem.about(&format!("messages[{index}]")))
    };
    body.messages.kept.into_iter().enumerate().map(parcel).collect()
}

/// Delivers some at a time. When the caller goes away, those that have not begun are not delivered.
async fn deliver_all(api: &Arc<Api>, caller: Option<&Caller>, parcels: Vec<Parcel>) -> Vec<BatchResult> {
    let mut results: Vec<Option<BatchResult>> = parcels.iter().map(|_| None).collect();
    let (mut waiting, mut under_way) = (parcels.into_iter().enumerate(), JoinSet::new());
    loop {
        while under_way.len() < AT_A_TIME
            && let Some((index, parcel)) = waiting.next()
        {
            let may_begin = match api.ending.since() {
                None => api.admit(caller, &parcel.target),
                Some(_) => Err(Failure::NotBegun.into()),
            };
            match may_begin {
                Ok(()) => {
                    let api = Arc::clone(api);
                    under_way.spawn(async move { (index, api.deliver(parcel).await) });
                }
                Err(problem) => results[index] = Some(Err(problem).into()),
            }
        }
        match under_way.join_next().await {
            Some(Ok((index, result))) => results[index] = Some(result.into()),
            // It panicked, and that was logged.
            Some(Err(_)) => {}
            None => break,
        }
    }
    let lost =
        || BatchResult::from(Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "panic", "the host failed", LOST)));
    results.into_iter().map(|result| result.unwrap_or_else(lost)).collect()
}

const LOST: &str = "the host failed: the message may or may not arrive; see the log";

impl From<Result<Sent, Problem>> for BatchResult {
    fn from(result: Result<Sent, Problem>) -> Self {
        match result {
            Ok(Sent { message, replayed }) => {
                Self { status: 200, message: Some(message), replayed, problem: None, retry_after: None }
            }
            Err(problem) => {
                problem.count();
                let (status, retry_after) = (problem.status().as_u16(), problem.retry_seconds());
                Self { status, message: None, replayed: false, problem: Some(problem), retry_after }
            }
        }
    }
}
