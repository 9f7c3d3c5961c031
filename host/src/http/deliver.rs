//! Delivers messages: through one provider, or along a route.

use crate::ground::finished::Finished;
use crate::http::parcel::{Room, Target};
use crate::http::problem::Problem;
use crate::providers::failure::DETAIL;
use crate::providers::{Providers, Running};
use axum::http::StatusCode;
use provost_sdk::config::suggest;
use provost_sdk::schemars::JsonSchema;
use provost_sdk::{Message, Receipt, SHOWN, excerpt};
use serde::Serialize;
use std::mem;
use std::sync::Arc;

/// The answer to a message that was delivered.
#[derive(Clone, Serialize, JsonSchema)]
#[schemars(crate = "provost_sdk::schemars")]
pub struct SentMessage {
    /// The message's id: yours, or the one that the host generated.
    id: String,
    /// The provider that delivered it.
    provider: String,
    /// What the other side said.
    receipt: Receipt,
}

/// What came of a message.
pub type Answer = Result<SentMessage, Problem>;

/// Delivers a message, which has its `room` until that has ended, also where its caller goes away before.
///
/// # Errors
///
/// Why there is no receipt.
pub async fn deliver(providers: &Arc<Providers>, target: Target, message: Box<Message>, room: Room) -> Answer {
    let in_use = providers.keep();
    match target {
        Target::Provider(name) => through(providers, name, message, room).await,
        Target::Route(names) => {
            let providers = Arc::clone(providers);
            // A caller who goes away does not end a delivery, so the rest of the way is not left out either.
            Finished::new(async move {
                let _in_use = in_use;
                along(&providers, names, message, &room).await
            })
            .await
        }
    }
}

async fn through(providers: &Providers, provider: String, message: Box<Message>, room: Room) -> Answer {
    let id = message.id.clone();
    let Some(running) = providers.get(&provider) else { return Err(unknown_provider(&provider, providers.iter())) };
    match running.dispatcher.deliver(message, room).await {
        Ok(receipt) => Ok(SentMessage { id, provider, receipt: shortened(receipt) }),
        Err(failure) => Err(Problem::from(failure).for_delivery(&provider, &id)),
    }
}

/// The other side does not decide how much is kept of what it said, for those who repeat the message.
fn shortened(mut receipt: Receipt) -> Receipt {
    receipt.reference = receipt.reference.map(|reference| excerpt(&reference, DETAIL));
    receipt
}

/// Tries one after the other, until one delivers the message, or may have, or knows that nobody will.
async fn along(providers: &Providers, names: Vec<String>, mut message: Box<Message>, room: &Room) -> Answer {
    let (id, mut attempts) = (message.id.clone(), Vec::new());
    let mut names = names.into_iter().peekable();
    while let Some(name) = names.next() {
        let message = if names.peek().is_some() { message.clone() } else { mem::take(&mut message) };
        match through(providers, name, message, Arc::clone(room)).await {
            Ok(sent) => return Ok(sent),
            Err(problem) if problem.lets_others_try() => attempts.push(problem),
            Err(problem) => return Err(problem.after(attempts)),
        }
    }
    Err(Problem::of_route(&id, attempts))
}

/// No provider has this name; `others` do.
pub fn unknown_provider<'a>(name: &str, others: impl Iterator<Item = (&'a str, &'a Running)>) -> Problem {
    let hint = match suggest(name, others.map(|(name, _)| name)) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => "GET /v1/providers lists all providers".to_owned(),
    };
    let detail = format!("there is no provider `{}`: {hint}", excerpt(name, SHOWN));
    Problem::new(StatusCode::NOT_FOUND, "unknown-provider", "no such provider", detail)
}
