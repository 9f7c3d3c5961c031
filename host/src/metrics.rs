//! What operators watch: what happened to each provider, as text in the format that Prometheus reads.

use crate::delivery::Failure;
use crate::providers::Providers;
use provost_sdk::{DeliveryError, Receipt};
use std::fmt::{Display, Write};
use std::sync::atomic::{AtomicU64, Ordering};

/// What is counted of one provider.
pub struct Tally {
    provider: String,
    plugin: String,
    deliveries: [AtomicU64; OUTCOMES.len()],
    panics: [AtomicU64; PLACES.len()],
}

/// How a delivery can end. All but the first are the last part of a problem's type.
const OUTCOMES: [&str; 7] = ["delivered", "temporary-failure", "refused", "timeout", "panic", "busy", "ending"];

/// Where a provider's code can panic.
const PLACES: [&str; 2] = ["delivery", "background"];

/// Panics that are no provider's.
static OTHER_PANICS: AtomicU64 = AtomicU64::new(0);

impl Tally {
    /// Nothing was counted yet.
    pub fn new(provider: impl Into<String>, plugin: impl Into<String>) -> Self {
        let (deliveries, panics) = Default::default();
        Self { provider: provider.into(), plugin: plugin.into(), deliveries, panics }
    }

    /// The provider's name.
    pub fn provider(&self) -> &str {
        &self.provider
    }

    /// The name of its plugin.
    pub fn plugin(&self) -> &str {
        &self.plugin
    }

    /// Counts a delivery that has come to its end, or did not begin.
    pub fn count(&self, result: &Result<Receipt, Failure>) {
        let outcome = match result {
            Ok(_) => 0,
            Err(Failure::Provider(DeliveryError::Temporary { .. })) => 1,
            Err(Failure::Provider(_)) => 2,
            Err(Failure::TimedOut(_)) => 3,
            Err(Failure::Panicked) => 4,
            Err(Failure::Busy(_)) => 5,
            Err(Failure::Ending) => 6,
        };
        self.deliveries[outcome].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a panic in a delivery, or beside them.
    pub fn count_panic(&self, in_delivery: bool) {
        self.panics[usize::from(!in_delivery)].fetch_add(1, Ordering::Relaxed);
    }
}

/// Counts a panic on a thread that is no provider's.
pub fn count_other_panic() {
    OTHER_PANICS.fetch_add(1, Ordering::Relaxed);
}

/// All numbers, sorted by provider.
pub fn text(providers: &Providers) -> String {
    let mut page = Page::default();
    page.family("provost_deliveries_total", "counter", "Messages by how their delivery ended.");
    for (provider, running) in providers.iter() {
        for (outcome, count) in OUTCOMES.iter().zip(&running.lane.tally().deliveries) {
            page.sample(&[("provider", provider), ("outcome", outcome)], count.load(Ordering::Relaxed));
        }
    }
    page.family("provost_deliveries_in_flight", "gauge", "Deliveries under way, with those that are stuck.");
    for (provider, running) in providers.iter() {
        page.sample(&[("provider", provider)], running.lane.in_flight());
    }
    page.family("provost_deliveries_limit", "gauge", "How many deliveries may be under way.");
    for (provider, running) in providers.iter() {
        page.sample(&[("provider", provider)], running.lane.concurrency());
    }
    page.family("provost_panics_total", "counter", "Panics on a provider's threads, caught or not.");
    for (provider, running) in providers.iter() {
        for (place, count) in PLACES.iter().zip(&running.lane.tally().panics) {
            page.sample(&[("provider", provider), ("place", place)], count.load(Ordering::Relaxed));
        }
    }
    page.family("provost_other_panics_total", "counter", "Panics on threads that are no provider's.");
    page.sample(&[], OTHER_PANICS.load(Ordering::Relaxed));
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

    /// Adds a sample to the family that was begun last.
    fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escape(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        writeln!(self.text, "{}{labels} {value}", self.family).expect("memory takes all");
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
