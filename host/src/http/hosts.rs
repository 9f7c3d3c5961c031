//! For which host a request is (RFC 9112 section 3.2).

use crate::http::access::is_health;
use crate::http::problem::Problem;
use axum::http::{Request, StatusCode, Version, header};
use provost_sdk::{SHOWN, excerpt};

/// The hosts that requests may be for.
pub struct Hosts(Vec<String>);

impl Hosts {
    /// All if there is none.
    pub fn new(names: Vec<String>) -> Self {
        Self(names)
    }

    /// Checks a request. Whoever asks for the health of a container knows only its address, so that is not looked at.
    pub fn check<B>(&self, request: &Request<B>) -> Result<(), Problem> {
        let mut headers = request.headers().get_all(header::HOST).iter();
        let (host, other) = (headers.next(), headers.next());
        let bad = |detail: String| Problem::new(StatusCode::BAD_REQUEST, "bad-host", "bad host", detail);
        let host = match (host, other) {
            (_, Some(_)) => return Err(bad("the request has more than one header `host`".to_owned())),
            (None, None) if request.version() > Version::HTTP_10 => {
                return Err(bad("the request has no header `host`".to_owned()));
            }
            (host, None) => host.map(|host| host.to_str().unwrap_or_default()),
        };
        // What stands in the request line counts more.
        let host = request.uri().authority().map(|authority| authority.as_str()).or(host).unwrap_or_default();
        if self.0.is_empty() || is_health(request) {
            return Ok(());
        }
        let name = without_port(host);
        if self.0.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            return Ok(());
        }
        let detail = format!("`{}` is not in `server.hosts`", excerpt(name, SHOWN));
        Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, "bad-host", "bad host", detail))
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        // An address of IPv6 is in brackets.
        Some((name, port)) if port.chars().all(|digit| digit.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(known: &[&str], version: Version, path: &str, headers: &[&str], expected: Option<(u16, &str)>) {
        let mut request = Request::builder().version(version).uri(path);
        for host in headers {
            request = request.header(header::HOST, *host);
        }
        let hosts = Hosts::new(known.iter().map(ToString::to_string).collect());
        let problem = hosts.check(&request.body(()).expect("a request")).err();
        let problem = problem.map(|problem| serde_json::to_value(problem).expect("a problem"));
        let found = problem.as_ref().map(|problem| {
            (problem["status"].as_u64().unwrap_or_default() as u16, problem["detail"].as_str().unwrap_or_default())
        });
        assert_eq!(found, expected, "{known:?} {path} {headers:?}");
    }

    #[test]
    fn a_request_is_for_one_host() {
        check(&[], Version::HTTP_11, "/", &["a"], None);
        check(&[], Version::HTTP_10, "/", &[], None);
        check(&[], Version::HTTP_11, "/", &[], Some((400, "the request has no header `host`")));
        check(&[], Version::HTTP_11, "/", &["a", "a"], Some((400, "the request has more than one header `host`")));
        for host in ["a.example", "A.example:8080", "[::1]:8080", "[::1]"] {
            check(&["a.example", "[::1]"], Version::HTTP_11, "/", &[host], None);
        }
        check(&["a.example"], Version::HTTP_11, "/healthz", &["10.0.0.1"], None);
        check(&["a.example"], Version::HTTP_11, "/", &["b:1"], Some((421, "`b` is not in `server.hosts`")));
        check(
            &["a.example"],
            Version::HTTP_11,
            "http://b/",
            &["a.example"],
            Some((421, "`b` is not in `server.hosts`")),
        );
        check(&["a.example"], Version::HTTP_10, "/", &[], Some((421, "`` is not in `server.hosts`")));
    }
}
