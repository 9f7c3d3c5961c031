//! The plugin of the benchmarks.

mod provider;

provost_sdk::export!(provider::Noop);
