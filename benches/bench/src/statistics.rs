//! Medians and percentiles.

use std::hint::black_box;
use std::time::Instant;

/// How often a call is measured; each time so often that the clock's own cost vanishes.
const SAMPLES: usize = 31;
const CALLS: u32 = 100_000;

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { f64::midpoint(values[middle - 1], values[middle]) }
}

/// The value below which this part of the sorted values lies.
pub fn percentile(sorted: &[u32], part: f64) -> f64 {
    let at = ((sorted.len() as f64 * part) as usize).min(sorted.len().saturating_sub(1));
    f64::from(sorted.get(at).copied().unwrap_or_default())
}

/// Nanoseconds for `call` with each of these, measured in turns: the median of each. One loop makes the calls of all, since two loops take
/// longer or shorter by where the compiler put them.
pub fn nanoseconds<T, const N: usize>(mut of: [T; N], mut call: impl FnMut(&mut T)) -> [f64; N] {
    let mut samples = [const { Vec::new() }; N];
    for _ in 0..SAMPLES {
        for (one, samples) in of.iter_mut().zip(&mut samples) {
            let begin = Instant::now();
            for _ in 0..CALLS {
                call(one);
                black_box(());
            }
            samples.push(begin.elapsed().as_nanos() as f64 / f64::from(CALLS));
        }
    }
    samples.map(median)
}
