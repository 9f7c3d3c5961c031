//! All problems that an answer can have: what [`openapi`](super::openapi) and the documentation say of them.

/// A problem.
pub struct Known {
    /// The last part of its type.
    pub kind: &'static str,
    /// The statuses that it can have.
    pub statuses: &'static [u16],
    /// What it means.
    pub meaning: &'static str,
    /// Whether the same request may be sent again.
    pub again: &'static str,
}

const fn known(kind: &'static str, statuses: &'static [u16], meaning: &'static str, again: &'static str) -> Known {
    Known { kind, statuses, meaning, again }
}

/// All of them, by status.
pub static ALL: [Known; 27] = [
    known("invalid-message", &[400], "the body is not a valid message; `detail` says why", "no"),
    known("not-http", &[400], "the request, or its body, is not HTTP/1.1", "no"),
    known("not-tls", &[400], "the host has TLS, and the request came without: use `https://`", "no"),
    known(
        "bad-host",
        &[400, 421],
        "the request has no header `host`, or more than one, or one that is no host or not in `server.hosts`",
        "no",
    ),
    known("unauthenticated", &[401], "the token is missing, or no client has it", "no"),
    known("forbidden", &[403], "the client may not use this provider", "no"),
    known("unknown-provider", &[404], "no provider has this name", "no"),
    known("not-found", &[404], "no such path", "no"),
    known("method-not-allowed", &[405], "the path has other methods; see the header `allow`", "no"),
    known(
        "conflict",
        &[409],
        "another message, delivered or not, had the same `idempotency-key`, or the same `id` for this provider",
        "no",
    ),
    known("half-sent", &[408], "headers or body did not arrive within `server.request_timeout`", "yes"),
    known(
        "too-large",
        &[413],
        "the body is larger than `server.body_limit`, or takes more memory than `server.memory_limit`",
        "no",
    ),
    known("uri-too-long", &[414], "the path is too long", "no"),
    known("not-json", &[415], "the header `content-type: application/json` is missing", "no"),
    known("refused", &[422], "the provider will never accept this message", "no"),
    known(
        "busy",
        &[429],
        "the provider's `concurrency` and `queue`, or its `rate`, are reached; the message was not sent; see the header `retry-after`",
        "yes, later",
    ),
    known(
        "rate-limited",
        &[429],
        "the client has sent as many messages in a second as its `rate_limit` allows; see `retry-after`",
        "yes, later",
    ),
    known(
        "no-room",
        &[429],
        "the messages under way take as much memory as `server.memory_limit` allows",
        "yes, later",
    ),
    known("headers-too-large", &[431], "the headers are too large or too many", "no"),
    known("panic", &[500], "the plugin panicked; the message may or may not have been delivered", "with care"),
    known(
        "temporary-failure",
        &[503],
        "the delivery failed now and may work later; see `retry-after` if it is set",
        "yes, later",
    ),
    known(
        "circuit-open",
        &[503],
        "the provider failed too often in a row, and is spared for the time in `retry-after`; the message was not sent",
        "yes, later",
    ),
    known(
        "unauthorized",
        &[503],
        "the other side refuses what is configured (the login, the URL, the default recipient), and not this message: whoever runs the host has to mend it",
        "yes, later",
    ),
    known(
        "route-failed",
        &[429, 503],
        "no provider of the `route` could take the message now; `attempts` says why; see `retry-after` if it is set; 429 if all were `busy`",
        "yes, later",
    ),
    known(
        "no-connection",
        &[503],
        "as many connections are open as the limits of `[server]` allow, and none could be closed for this one; health and metrics are answered",
        "yes, later",
    ),
    known(
        "ending",
        &[503],
        "the host is shutting down; a message that was under way may or may not arrive",
        "yes, later",
    ),
    known(
        "timeout",
        &[504],
        "the provider's `timeout` is over; the message may or may not have been delivered",
        "with care",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_has_this_table() {
        let page = include_str!("../../../docs/http-api.md");
        let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| `urn:provost:problem:")).collect();
        let row = |known: &Known| {
            let statuses: Vec<String> = known.statuses.iter().map(u16::to_string).collect();
            let (kind, statuses, meaning, again) = (known.kind, statuses.join(", "), known.meaning, known.again);
            format!("| `urn:provost:problem:{kind}` | {statuses} | {meaning} | {again} |")
        };
        assert_eq!(rows, ALL.iter().map(row).collect::<Vec<_>>());
    }
}
