//! Catches panics where they happen, for the host and for [`Context::spawn`](crate::Context::spawn).
//!
//! What a plugin panics with is a value of its own, and dropping that can panic again, and so on. Whoever else catches it,
//! tokio for one, drops it where nothing catches any more.

use std::any::Any;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

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

/// A future whose panics go no further, neither those of a poll nor those of its end: then its output is `None`.
pub struct Caught<F: ?Sized> {
    /// `None` once it has come to its end.
    future: Option<Pin<Box<F>>>,
}

impl<F: ?Sized> Caught<F> {
    /// Catches what `future` panics with.
    pub fn new(future: Pin<Box<F>>) -> Self {
        Self { future: Some(future) }
    }
}

impl<F: Future + ?Sized> Future for Caught<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let future = &mut self.future;
        let polled = catch(|| {
            let polled = future.as_mut().expect("not polled after its end").as_mut().poll(context);
            if polled.is_ready() {
                *future = None;
            }
            polled
        });
        match polled {
            Some(polled) => polled.map(Some),
            None => {
                catch(|| *future = None);
                Poll::Ready(None)
            }
        }
    }
}

impl<F: ?Sized> Drop for Caught<F> {
    fn drop(&mut self) {
        catch(|| self.future = None);
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

    #[tokio::test]
    async fn a_future_can_panic_at_each_of_its_ends() {
        assert_eq!(Caught::new(Box::pin(async { 1 })).await, Some(1));
        for times in 0..4 {
            assert_eq!(Caught::new(Box::pin(async { panic_any(Again(times)) })).await, None::<()>);
            let held = Again(times);
            let expected = if times == 0 { Some(()) } else { None };
            assert_eq!(Caught::new(Box::pin(async move { drop(held) })).await, expected);
            let held = Again(times);
            drop(Caught::new(Box::pin(async move { drop(held) })));
        }
    }
}
