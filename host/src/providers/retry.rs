//! When a delivery is tried again: after temporary failures alone. Not all of them say that the other side took nothing: of a
//! connection that broke, nobody knows.

use crate::config::Retry;
use crate::ground::random::bits;
use crate::providers::failure::Failure;
use provost_sdk::DeliveryError;
use std::time::Duration;

/// The pause before the next attempt after `attempts`, of which the last ended with `failure`; `None` when there is to be none. `left`
/// is the time until the deadline, `random` a number from 0 to 1.
pub fn pause(retry: Retry, attempts: u32, failure: &Failure, left: Duration, random: f64) -> Option<Duration> {
    let Failure::Provider(DeliveryError::Temporary { retry_after, .. } | DeliveryError::Deferred { retry_after, .. }) =
        failure
    else {
        return None;
    };
    if attempts >= retry.attempts {
        return None;
    }
    // Full jitter: callers who failed together do not come back together.
    let doubled = 1_u32.checked_shl(attempts - 1).unwrap_or(u32::MAX);
    let longest = retry.first_delay.saturating_mul(doubled).min(retry.longest_delay);
    let jitter = longest.mul_f64(random);
    let pause = match retry_after {
        None => jitter,
        Some(asked) => *asked + jitter.min(left.saturating_sub(*asked) / 2),
    };
    (pause < left).then_some(pause)
}

/// A number from 0 to 1.
pub fn random() -> f64 {
    bits() as f64 / u64::MAX as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_and_end() {
        let ms = Duration::from_millis;
        let retry = Retry { attempts: 5, first_delay: ms(100), longest_delay: ms(300) };
        let temporary =
            |retry_after| Failure::Provider(DeliveryError::Temporary { reason: String::new(), retry_after });
        let check = |attempts, random, expected| {
            assert_eq!(pause(retry, attempts, &temporary(None), ms(60_000), random), expected, "{attempts} {random}");
        };
        check(1, 1.0, Some(ms(100)));
        check(1, 0.5, Some(ms(50)));
        check(2, 1.0, Some(ms(200)));
        check(3, 1.0, Some(ms(300)));
        check(4, 0.0, Some(ms(0)));
        check(5, 1.0, None);
        let asked = temporary(Some(ms(1000)));
        assert_eq!(pause(retry, 1, &asked, ms(60_000), 0.0), Some(ms(1000)));
        assert_eq!(pause(retry, 2, &asked, ms(60_000), 0.5), Some(ms(1100)), "they were all asked to come then");
        assert_eq!(pause(retry, 2, &asked, ms(1100), 1.0), Some(ms(1050)));
        assert_eq!(pause(retry, 1, &asked, ms(1000), 1.0), None, "it does not fit the deadline");
        let deferred = Failure::Provider(DeliveryError::deferred(""));
        assert_eq!(pause(retry, 1, &deferred, ms(60_000), 1.0), Some(ms(100)));
        for other in [
            Failure::Provider(DeliveryError::permanent("")),
            Failure::Provider(DeliveryError::unauthorized("")),
            Failure::TimedOut(ms(1)),
            Failure::Panicked,
            Failure::Ending,
        ] {
            assert_eq!(pause(retry, 1, &other, ms(60_000), 0.5), None, "{other:?}");
        }
        assert!((0.0..=1.0).contains(&random()));
    }
}
