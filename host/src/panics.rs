//! Catches panics of plugins. What a plugin panics with is a value of its own, and dropping that can panic again.

use std::any::Any;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What `call` returns, `None` if it panics. Only for what nobody uses after a panic.
pub fn catch<T>(call: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(call)).map_err(discard).ok()
}

/// Drops what was caught.
pub fn discard(payload: Box<dyn Any + Send>) {
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        // Dropping this could panic as well, and so on; it is leaked instead.
        mem::forget(again);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::panic_any;

    struct Again(usize);

    impl Drop for Again {
        fn drop(&mut self) {
            if self.0 > 0 {
                panic_any(Self(self.0 - 1));
            }
        }
    }

    #[test]
    fn what_is_caught_can_panic_again() {
        assert_eq!(catch(|| 1), Some(1));
        for times in 0..4 {
            assert_eq!(catch(|| panic_any(Again(times))), None::<()>);
        }
    }
}
