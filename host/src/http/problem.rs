//! Problem documents (RFC 9457): the body of every response that is not a success.

use crate::http::refusals;
use crate::providers::failure::{DETAIL, Failure};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use provost_sdk::schemars::JsonSchema;
use provost_sdk::{DeliveryError, excerpt};
use serde::Serialize;
use std::time::Duration;

/// When what is full now may have room.
const SOON: Duration = Duration::from_secs(1);

/// A problem. 4xx says that the request must change (or, with 429, wait); 5xx that it may be sent again.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(crate = "provost_sdk::schemars")]
pub struct Problem {
    /// What kind of problem it is.
    #[serde(rename = "type", serialize_with = "as_type")]
    #[schemars(with = "String")]
    kind: &'static str,
    /// The same in words.
    title: &'static str,
    /// The status of the answer.
    #[serde(serialize_with = "as_number")]
    #[schemars(with = "u16", range(min = 400, max = 599))]
    status: StatusCode,
    /// What is wrong, and how to mend it.
    detail: String,
    /// The provider, when a delivery failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    provider: Option<Box<str>>,
    /// The message's id, when a delivery failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    id: Option<Box<str>>,
    /// What came of each provider of a route that was tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Attempts")]
    attempts: Option<Box<Attempts>>,
    #[serde(skip)]
    retry_after: Option<Duration>,
}

/// Providers of a route that were tried, in order.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(crate = "provost_sdk::schemars")]
struct Attempts(Vec<Attempt>);

/// A provider of a route that did not deliver the message.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(crate = "provost_sdk::schemars")]
struct Attempt {
    /// The provider.
    provider: Box<str>,
    /// What kind of problem it had.
    #[serde(rename = "type", serialize_with = "as_type")]
    #[schemars(with = "String")]
    kind: &'static str,
    /// What was wrong.
    detail: String,
}

impl Problem {
    /// A problem of the kind `kind`, which is the last part of its type.
    pub fn new(status: StatusCode, kind: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        let detail = excerpt(&detail.into(), DETAIL);
        Self { kind, title, status, detail, provider: None, id: None, attempts: None, retry_after: None }
    }

    /// Says which delivery it was.
    #[must_use]
    pub fn for_delivery(mut self, provider: &str, id: &str) -> Self {
        self.provider = Some(provider.into());
        self.id = Some(id.into());
        self
    }

    /// That no provider of a route took a message: each had one of these problems.
    pub fn of_route(id: &str, attempts: Vec<Self>) -> Self {
        let detail = "no provider of the route could take the message: `attempts` has the reason of each";
        let is_full = attempts.iter().all(|attempt| attempt.kind == "busy");
        let status = if is_full { StatusCode::TOO_MANY_REQUESTS } else { StatusCode::SERVICE_UNAVAILABLE };
        let mut problem = Self::new(status, "route-failed", "not delivered yet", detail);
        problem.id = Some(id.into());
        problem.retry_after = attempts.iter().filter_map(|attempt| attempt.retry_after).min();
        problem.attempts = Some(Box::new(Attempts(attempts.into_iter().map(Attempt::from).collect())));
        problem
    }

    /// Ends a route, after others had these problems.
    #[must_use]
    pub fn after(mut self, attempts: Vec<Self>) -> Self {
        let all = attempts.into_iter().chain([self.clone()]).map(Attempt::from);
        self.attempts = Some(Box::new(Attempts(all.collect())));
        self
    }

    /// Whether another provider may try: the message was not delivered, and may be.
    pub fn lets_others_try(&self) -> bool {
        matches!(self.kind, "busy" | "temporary-failure" | "unauthorized" | "circuit-open")
    }

    /// Says which part of the request it is about.
    #[must_use]
    pub fn about(mut self, part: &str) -> Self {
        self.detail = excerpt(&format!("{part}: {}", self.detail), DETAIL);
        self
    }

    /// Says that the same request may succeed in a second.
    #[must_use]
    pub fn retry_soon(self) -> Self {
        self.retry_after(SOON)
    }

    /// Says that the same request may succeed after this time.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// After how many seconds the same request may succeed.
    pub fn retry_seconds(&self) -> Option<u64> {
        self.retry_after.map(seconds)
    }

    /// The status of its answer.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Counts the request as refused, if there was no delivery, which is counted by itself.
    pub fn count(&self) {
        if self.provider.is_none() && self.attempts.is_none() {
            refusals::count(self.kind, &self.detail);
        }
    }
}

impl From<Problem> for Attempt {
    fn from(problem: Problem) -> Self {
        Self { provider: problem.provider.unwrap_or_default(), kind: problem.kind, detail: problem.detail }
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        let (status, title) = match &failure {
            Failure::Provider(DeliveryError::Temporary { .. } | DeliveryError::Deferred { .. }) => {
                (StatusCode::SERVICE_UNAVAILABLE, "not delivered yet")
            }
            Failure::Provider(DeliveryError::Unauthorized { .. }) => {
                (StatusCode::SERVICE_UNAVAILABLE, "the other side refuses the host")
            }
            Failure::Provider(_) => (StatusCode::UNPROCESSABLE_ENTITY, "refused"),
            Failure::TimedOut(_) => (StatusCode::GATEWAY_TIMEOUT, "timeout"),
            Failure::Panicked => (StatusCode::INTERNAL_SERVER_ERROR, "the plugin failed"),
            Failure::Busy(_) => (StatusCode::TOO_MANY_REQUESTS, "too many deliveries at a time"),
            Failure::CircuitOpen(_) => (StatusCode::SERVICE_UNAVAILABLE, "the provider is spared after failures"),
            Failure::NotBegun | Failure::Ending => (StatusCode::SERVICE_UNAVAILABLE, "shutting down"),
        };
        let mut problem = Self::new(status, failure.outcome().name(), title, failure.to_string());
        problem.retry_after = failure.retry_after();
        problem
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        self.count();
        let status = self.status;
        let wait = self.retry_seconds();
        let mut response = (status, axum::Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"provost\""));
        }
        if let Some(seconds) = wait {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// Whole seconds, and never none: who comes back at once comes too early. Nor more than a day, whatever another side says.
fn seconds(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).clamp(1, 24 * 60 * 60)
}

fn as_type<S: serde::Serializer>(kind: &&'static str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("urn:provost:problem:{kind}"))
}

fn as_number<S: serde::Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_whole_seconds() {
        for (milliseconds, expected) in [(0, 1), (1, 1), (1000, 1), (1001, 2), (u64::MAX, 86_400)] {
            assert_eq!(seconds(Duration::from_millis(milliseconds)), expected, "{milliseconds} ms");
        }
    }
}
