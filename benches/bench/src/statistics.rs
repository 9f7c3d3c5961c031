//! Medians and percentiles.

use std::hint::black_box;
use std::time::Instant;

/// How often a call is measured; each time so often that the clock's own cost vanishes.
const SAMPLES: usize = 31;
const CALLS: u32 = 100_000;

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The value below which this part of the sorted values lies.
pub fn percentile(sorted: &[u32], part: f64) -> f64 {
    let at = ((sorted.len() as f64 * part) as usize).min(sorted.len().saturating_sub(1));
    f64::from(sorted.get(at).copied().unwrap_or_default())
}

/// Nanoseconds for each call of several functions, measured in turns: the median of each.
pub fn nanoseconds<const N: usize>(mut functions: [&mut dyn FnMut(); N]) -> [f64; N] {
    let mut samples = [const { Vec::new() }; N];
    for _ in 0..SAMPLES {
        for (function, samples) in functions.iter_mut().zip(&mut samples) {
            let begin = Instant::now();
            for _ in 0..CALLS {
                function();
                black_box(());
            }
            samples.push(begin.elapsed().as_nanos() as f64 / f64::from(CALLS));
        }
    }
    samples.map(median)
}
