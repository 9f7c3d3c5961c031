//! What the HTTP library answers by itself to a request that it cannot read, or does not answer to one that stays half sent: a problem
//! document.

use crate::http::problem::Problem;
use axum::http::StatusCode;
use std::time::SystemTime;

/// Only an answer of the library has no body: each of ours has one.
const EMPTY: &[u8] = b"\r\ncontent-length: 0\r\n";

/// How such an answer begins: in the version of the request before, if there was one.
const REFUSALS: [&[u8]; 2] = [b"HTTP/1.1 4", b"HTTP/1.0 4"];

/// More bytes than such an answer has.
const LONGEST: usize = 256;

/// The same bytes with a problem document for the library's answer at their end, if there is one. `line` says whether a line of the request
/// came to its end: of one that did not, the path is too long, which the library calls a header.
pub fn explained(bytes: &[u8], line: bool) -> Option<Vec<u8>> {
    if !bytes.ends_with(b"\r\n\r\n") {
        return None;
    }
    // It is short, and comes last.
    let before = bytes.len().saturating_sub(LONGEST);
    let find = |text: &[u8]| bytes[before..].windows(text.len()).rposition(|window| window == text);
    let start = REFUSALS.into_iter().filter_map(find).max()? + before;
    let empty = find(EMPTY)?;
    if empty + before < start {
        return None;
    }
    let status = std::str::from_utf8(bytes.get(start + 9..start + 12)?).ok()?;
    let status = StatusCode::from_bytes(status.as_bytes()).ok()?;
    let too_large = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
    let status = if status == too_large && !line { StatusCode::URI_TOO_LONG } else { status };
    let problem = match status {
        StatusCode::URI_TOO_LONG => {
            Problem::new(status, "uri-too-long", "the path is too long", "no path here is that long")
        }
        status if status == too_large => {
            let detail = "send fewer headers, or shorter ones";
            Problem::new(status, "headers-too-large", "the headers are too large", detail)
        }
        status => not_http(status),
    };
    Some([&bytes[..start], &last_answer(&problem)?].concat())
}

/// How a connection by HTTP/2 begins (RFC 9113 section 3.4). The library closes it, and says nothing.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n";

/// What is no request that can be read.
pub fn not_http(status: StatusCode) -> Problem {
    Problem::new(status, "not-http", "not HTTP", "the request is not HTTP/1.1 (RFC 9112)")
}

/// The last answer of a connection.
pub fn last_answer(problem: &Problem) -> Option<Vec<u8>> {
    problem.count();
    let body = serde_json::to_string(problem).ok()?;
    let (status, length) = (problem.status(), body.len());
    let date = httpdate::fmt_http_date(SystemTime::now());
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/problem+json\r\nconnection: close\r\n");
    Some(format!("{head}content-length: {length}\r\ndate: {date}\r\n\r\n{body}").into_bytes())
}
