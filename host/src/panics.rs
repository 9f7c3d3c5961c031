//! Catches panics of plugins, logs them, and counts them for the provider on whose thread they happen.
//!
//! What a plugin panics with is a value of its own, and dropping that can panic again.

use crate::metrics::{self, Tally};
use std::any::Any;
use std::cell::RefCell;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

thread_local! {
    /// The provider whose thread this is.
    static OWNER: RefCell<Option<Arc<Tally>>> = const { RefCell::new(None) };
}

tokio::task_local! {
    /// Set while a delivery is polled or dropped.
    static DELIVERY: ();
}

/// Sends all panics to the log, and counts them. The line is written before anything is unwound, so it is there even
/// if the process aborts.
pub fn watch() {
    std::panic::set_hook(Box::new(|panic| {
        let payload = panic.payload_as_str().unwrap_or("a panic without a text");
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        // An error says that the thread ends.
        match OWNER.try_with(|owner| owner.borrow().clone()).unwrap_or_default() {
            Some(owner) => {
                owner.count_panic(DELIVERY.try_with(|()| ()).is_ok());
                let (provider, plugin) = (owner.provider(), owner.plugin());
                tracing::error!(place, provider, plugin, "panic: {payload}");
            }
            None => {
                metrics::count_other_panic();
                tracing::error!(place, "panic: {payload}");
            }
        }
    }));
}

/// Makes this thread the provider's.
pub fn own(owner: &Arc<Tally>) {
    OWNER.set(Some(Arc::clone(owner)));
}

/// What `delivery` does is done in a delivery of the provider whose thread this is.
pub fn delivery<F: Future>(delivery: F) -> impl Future<Output = F::Output> {
    DELIVERY.scope((), delivery)
}

/// What `call` returns, `None` if it panics. Only for what nobody uses after a panic.
pub fn catch<T>(call: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(call)).map_err(discard).ok()
}

/// Drops what was caught.
fn discard(payload: Box<dyn Any + Send>) {
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
