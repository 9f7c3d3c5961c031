//! Problem documents (RFC 9457): the body of every response that is not a success.

use crate::http::refusals;
use crate::providers::failure::{DETAIL, Failure};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use provost_sdk::{DeliveryError, excerpt};
use serde::Serialize;
use std::time::Duration;

/// When what is full now may have room.
const SOON: Duration = Duration::from_secs(1);

/// A problem. 4xx says that the request must change (or, with 429, wait); 5xx that it may be sent again.
#[derive(Clone, Debug, Serialize)]
pub struct Problem {
    #[serde(rename = "type", serialize_with = "as_type")]
    kind: &'static str,
    title: &'static str,
    #[serde(serialize_with = "as_number")]
    status: StatusCode,
    detail: String,
    /// The provider, when the request named one that exists.
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<Box<str>>,
    /// The message's id, once it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<Box<str>>,
    #[serde(skip)]
    retry_after: Option<Duration>,
}

impl Problem {
    /// A problem of the kind `kind`, which is the last part of its type.
    pub fn new(status: StatusCode, kind: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        let detail = excerpt(&detail.into(), DETAIL);
        Self { kind, title, status, detail, provider: None, id: None, retry_after: None }
    }

    /// Says which delivery it was.
    #[must_use]
    pub fn for_delivery(mut self, provider: &str, id: &str) -> Self {
        self.provider = Some(provider.into());
        self.id = Some(id.into());
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

    /// The status of its answer.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Counts the request as refused, if there was no delivery, which is counted by itself.
    pub fn count(&self) {
        if self.provider.is_none() {
            refusals::count(self.kind, &self.detail);
        }
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        let (status, title) = match &failure {
            Failure::Provider(DeliveryError::Temporary { .. }) => {
                (StatusCode::SERVICE_UNAVAILABLE, "not delivered yet")
            }
            Failure::Provider(DeliveryError::Unauthorized { .. }) => {
                (StatusCode::SERVICE_UNAVAILABLE, "the other side refuses the host")
            }
            Failure::Provider(_) => (StatusCode::UNPROCESSABLE_ENTITY, "refused"),
            Failure::TimedOut(_) => (StatusCode::GATEWAY_TIMEOUT, "timeout"),
            Failure::Panicked => (StatusCode::INTERNAL_SERVER_ERROR, "the plugin failed"),
            Failure::Busy(_) => (StatusCode::TOO_MANY_REQUESTS, "too many deliveries at a time"),
            Failure::Ending => (StatusCode::SERVICE_UNAVAILABLE, "shutting down"),
        };
        let mut problem = Self::new(status, failure.outcome().name(), title, failure.to_string());
        problem.retry_after = match failure {
            Failure::Provider(DeliveryError::Temporary { retry_after, .. }) => retry_after,
            Failure::Busy(_) => Some(SOON),
            _ => None,
        };
        problem
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        self.count();
        let status = self.status;
        let wait = self.retry_after.map(|wait| wait.as_secs_f64().ceil().max(1.0) as u64);
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

fn as_type<S: serde::Serializer>(kind: &&'static str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("urn:provost:problem:{kind}"))
}

fn as_number<S: serde::Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}
