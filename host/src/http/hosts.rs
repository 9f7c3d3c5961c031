//! For which host a request is (RFC 9112 section 3.2).

use crate::http::access::is_health;
use crate::http::problem::Problem;
use axum::http::{Request, StatusCode, Version, header};
use provost_sdk::{SHOWN, excerpt};
use std::net::Ipv6Addr;

/// The hosts that requests may be for.
pub struct Hosts(Vec<String>);

impl Hosts {
    /// All if there is none.
    pub fn new(names: Vec<String>) -> Self {
        Self(names)
    }

    /// Checks a request. Whoever asks for the health of a container knows only its address, so that is not compared with the
    /// known names.
    ///
    /// # Errors
    ///
    /// When it names no host, or one that it cannot be for.
    pub fn check<B>(&self, request: &Request<B>) -> Result<(), Problem> {
        let host = of(request)?;
        if self.0.is_empty() || is_health(request) {
            return Ok(());
        }
        let (name, _) = split(host);
        if self.0.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            return Ok(());
        }
        let detail = format!("`{}` is not in `server.hosts`", excerpt(name, SHOWN));
        Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, "bad-host", "bad host", detail))
    }
}

/// The host that a request names, maybe with a port.
///
/// # Errors
///
/// When there is no header `host`, more than one, or one that is no host.
pub fn of<B>(request: &Request<B>) -> Result<&str, Problem> {
    let bad = |detail: String| Problem::new(StatusCode::BAD_REQUEST, "bad-host", "bad host", detail);
    let mut headers = request.headers().get_all(header::HOST).iter();
    let host = match (headers.next(), headers.next()) {
        (_, Some(_)) => return Err(bad("the request has more than one header `host`".to_owned())),
        (None, None) if request.version() > Version::HTTP_10 => {
            return Err(bad("the request has no header `host`".to_owned()));
        }
        (None, None) => "",
        (Some(value), None) => value.to_str().ok().filter(|host| is_valid(host)).ok_or_else(|| {
            let shown = excerpt(&String::from_utf8_lossy(value.as_bytes()), SHOWN);
            bad(format!("the header `host` is `{shown}`, which is no host, with a port or without"))
        })?,
    };
    // What stands in the request line counts more. There, a name may stand before an `@`.
    match request.uri().authority().map(|authority| authority.as_str()) {
        Some(authority) if !is_valid(authority) => Err(bad(format!(
            "the request is for `{}`, which is no host, with a port or without",
            excerpt(authority, SHOWN)
        ))),
        authority => Ok(authority.unwrap_or(host)),
    }
}

/// A name and a port. An address of IPv6 is in brackets, so its colons are none before a port.
fn split(host: &str) -> (&str, Option<&str>) {
    match host.bytes().rposition(|byte| matches!(byte, b':' | b']')) {
        Some(at) if host.as_bytes()[at] == b':' => (&host[..at], Some(&host[at + 1..])),
        _ => (host, None),
    }
}

/// Whether it is a host as RFC 3986 section 3.2.2 says, with a port or without, or empty: of a URI without a host.
fn is_valid(host: &str) -> bool {
    let (name, port) = split(host);
    let is_port = port.unwrap_or_default().bytes().all(|byte| byte.is_ascii_digit());
    let is_address = |name: &str| name.strip_suffix(']').is_some_and(|address| address.parse::<Ipv6Addr>().is_ok());
    let is_name = |name: &str| name.bytes().all(is_of_name);
    is_port && name.strip_prefix('[').map_or_else(|| is_name(name), is_address)
}

fn is_of_name(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'!' | b'$' | b'%' | b'&'..=b'.' | b';' | b'=' | b'_' | b'~')
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
        for host in ["", "a_b%20c:80", "a:", "[::1]:80", "10.0.0.1:8080"] {
            check(&[], Version::HTTP_11, "/", &[host], None);
        }
        for host in ["a b", "a/b", "b@a", "a:b", "a:80:80", "::1", "[::1", "[a]", "[::1]a", "http://a", "a,b c"] {
            let detail = format!("the header `host` is `{host}`, which is no host, with a port or without");
            check(&[], Version::HTTP_11, "/healthz", &[host], Some((400, &detail)));
        }
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
        let detail = "the request is for `a.example:x@b`, which is no host, with a port or without";
        check(&["a.example"], Version::HTTP_11, "http://a.example:x@b/", &["a.example"], Some((400, detail)));
        check(&["a.example"], Version::HTTP_10, "/", &[], Some((421, "`` is not in `server.hosts`")));
    }
}
