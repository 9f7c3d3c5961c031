//! HTTP for plugins: the client's settings, and what an answer means for a delivery.

use crate::tls::TlsRoots;
use crate::{ConfigError, DeliveryError, with_causes};
use reqwest::{Client, Response, StatusCode, header, redirect};
use std::time::Duration;

/// A client without a limit of its own: the host's ends a delivery, and two at one moment would make chance decide
/// what the caller is told.
pub(crate) fn client() -> Result<Client, ConfigError> {
    let roots = TlsRoots::load()?;
    Client::builder()
        .tls_backend_preconfigured(roots.client_config()?)
        .user_agent(concat!("provost/", env!("CARGO_PKG_VERSION")))
        // A message goes where the operator said and nowhere else.
        .redirect(redirect::Policy::none())
        .build()
        .map_err(|error| ConfigError::new("", format!("making the HTTP client: {error}")))
}

/// What an answer means: 2xx is delivered; 408, 425, 429 and 5xx may be tried again, later if `Retry-After` says so; 401, 403 and
/// 407 refuse the host's own token or password; all else is for good.
///
/// # Errors
///
/// The answer's status as a [`DeliveryError`].
pub fn check(response: Response) -> Result<Response, DeliveryError> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let reason = format!("the server answered {status}");
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
            return Err(DeliveryError::unauthorized(reason));
        }
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => {}
        _ if status.is_server_error() => {}
        _ => return Err(DeliveryError::permanent(reason)),
    }
    // The header's other form, a date, is rare, and the other side's clock is not ours.
    let seconds = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    Err(DeliveryError::Temporary { reason, retry_after: seconds.map(Duration::from_secs) })
}

/// A request that cannot be built is wrong for good; everything else about a connection may work later.
impl From<reqwest::Error> for DeliveryError {
    fn from(error: reqwest::Error) -> Self {
        let permanent = error.is_builder();
        // An address may hold a token, as those of chat services do.
        let reason = with_causes(&error.without_url());
        if permanent { Self::permanent(reason) } else { Self::temporary(reason) }
    }
}
