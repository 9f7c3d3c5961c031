//! The metrics of all providers, as text in the Prometheus format.

use crate::http::{refusals, reload, requests};
use crate::providers::Providers;
use crate::telemetry::counters::other_panics;
use crate::telemetry::histogram::{BUCKETS, Histogram};
use crate::telemetry::stderr;
use provost_sdk::abi::BUILT;
use std::fmt::{Display, Write};

/// All numbers, sorted by provider.
pub fn text(providers: &Providers) -> String {
    let (mut page, measured) = (Page::default(), providers.measured());
    page.family("provost_deliveries_total", "counter", "Messages by how their delivery ended.");
    for (provider, of) in &measured {
        for (outcome, count) in of.counters.deliveries() {
            page.sample(&[("provider", provider), ("outcome", outcome)], count);
        }
    }
    page.family("provost_delivery_seconds", "histogram", "How long deliveries took, however they ended.");
    for (provider, of) in &measured {
        page.histogram(("provider", provider), of.counters.durations());
    }
    page.family("provost_deliveries_in_flight", "gauge", "Deliveries in progress, including stuck ones.");
    for (provider, of) in &measured {
        page.sample(&[("provider", provider)], of.in_flight);
    }
    page.family("provost_deliveries_limit", "gauge", "Maximum number of deliveries in progress.");
    for (provider, of) in &measured {
        page.sample(&[("provider", provider)], of.concurrency);
    }
    page.family("provost_deliveries_waiting", "gauge", "Messages that wait until a delivery can begin.");
    for (provider, of) in &measured {
        page.sample(&[("provider", provider)], of.waiting);
    }
    page.family("provost_delivery_attempts_total", "counter", "How often a plugin was given a message.");
    for (provider, of) in &measured {
        page.sample(&[("provider", provider)], of.counters.attempts());
    }
    page.family("provost_circuit_state", "gauge", "Whether a provider is spared after failures: 1 for its state.");
    for (provider, of) in &measured {
        for state in ["closed", "half-open", "open"] {
            page.sample(&[("provider", provider), ("state", state)], u8::from(of.circuit == state));
        }
    }
    page.family("provost_http_requests_total", "counter", "Requests that were answered.");
    for ([method, path, status], count) in requests::counts() {
        page.sample(&[("method", method), ("path", path), ("status", status)], count);
    }
    page.family("provost_http_request_seconds", "histogram", "How long requests took, from headers to answer.");
    for (path, histogram) in requests::durations() {
        page.histogram(("path", path), histogram);
    }
    page.family("provost_requests_refused_total", "counter", "Requests refused before a delivery, by problem.");
    for (problem, count) in refusals::counts() {
        page.sample(&[("problem", problem)], count);
    }
    page.family("provost_connections_cut_total", "counter", "Connections closed because too many were open.");
    page.sample(&[], refusals::cuts());
    page.family("provost_connections_unread_total", "counter", "Connections closed because answers were not read.");
    page.sample(&[], refusals::unreads());
    page.family("provost_connections_not_taken_total", "counter", "Attempts to take a connection that failed.");
    page.sample(&[], refusals::none_taken());
    page.family("provost_tls_handshakes_failed_total", "counter", "Connections whose TLS handshake failed.");
    page.sample(&[], refusals::no_handshakes());
    page.family("provost_reloads_total", "counter", "Readings of the configuration at SIGHUP, by result.");
    for (result, count) in reload::counts() {
        page.sample(&[("result", result)], count);
    }
    page.family("provost_panics_total", "counter", "Panics on a provider's threads, caught or not.");
    for (provider, of) in &measured {
        for (place, count) in of.counters.panics() {
            page.sample(&[("provider", provider), ("place", place)], count);
        }
    }
    page.family("provost_other_panics_total", "counter", "Panics on threads that are no provider's.");
    page.sample(&[], other_panics());
    page.family("provost_build_info", "gauge", "The host's version, and the compiler of host and plugins.");
    let rustc = BUILT.rustc.lines().next().unwrap_or_default();
    page.sample(&[("version", env!("CARGO_PKG_VERSION")), ("rustc", rustc)], 1);
    page.family(
        "provost_log_lines_dropped_total",
        "counter",
        "Log lines that stderr did not take, or its reader was too slow for.",
    );
    page.sample(&[], stderr::dropped());
    page.text
}

/// A page that is being written.
#[derive(Default)]
struct Page {
    text: String,
    family: &'static str,
}

impl Page {
    /// Begins a family of samples.
    fn family(&mut self, name: &'static str, kind: &str, help: &str) {
        self.family = name;
        write!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}\n").expect("memory takes all");
    }

    /// Adds what took how long to the family that was begun last.
    fn histogram(&mut self, label: (&str, &str), histogram: &Histogram) {
        let bounds = BUCKETS.iter().map(|bound| (*bound as f64 / 1000.0).to_string());
        let counts = histogram.counts();
        for (bound, count) in bounds.chain(["+Inf".to_owned()]).zip(counts) {
            self.line("_bucket", &[label, ("le", &bound)], count);
        }
        self.line("_sum", &[label], histogram.seconds());
        self.line("_count", &[label], counts[BUCKETS.len()]);
    }

    /// Adds a sample to the family that was begun last.
    fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        self.line("", labels, value);
    }

    fn line(&mut self, suffix: &str, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escape(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        writeln!(self.text, "{}{suffix}{labels} {value}", self.family).expect("memory takes all");
    }
}

/// A label's value as the format wants it.
fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_what_prometheus_reads() {
        let mut page = Page::default();
        page.family("a_total", "counter", "What a is.");
        page.sample(&[], 1);
        page.sample(&[("b", "c\\d\"e\nf"), ("g", "")], 2);
        let expected =
            "# HELP a_total What a is.\n# TYPE a_total counter\na_total 1\na_total{b=\"c\\\\d\\\"e\\nf\",g=\"\"} 2\n";
        assert_eq!(page.text, expected);
    }
}
