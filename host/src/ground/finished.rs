//! Futures that come to their end whoever waits for them.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::runtime::Handle;

tokio::task_local! {
    static ALONE: ();
}

/// Whether nobody waits any more for the [`Finished`] that this code runs in.
pub fn is_alone() -> bool {
    ALONE.try_with(|()| ()).is_ok()
}

/// Goes on as a task when whoever waits for it goes away. As a task from the start it would cost each delivery a way through the
/// scheduler.
pub struct Finished<F: Future<Output: Send + 'static> + Send + 'static>(Option<Pin<Box<F>>>);

impl<F: Future<Output: Send + 'static> + Send + 'static> Finished<F> {
    /// Of this future. It begins when it is first waited for.
    pub fn new(future: F) -> Self {
        Self(Some(Box::pin(future)))
    }
}

impl<F: Future<Output: Send + 'static> + Send + 'static> Future for Finished<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<F::Output> {
        let future = self.0.as_mut().expect("a future is not polled after its end");
        let output = ready!(future.as_mut().poll(task));
        self.0 = None;
        Poll::Ready(output)
    }
}

impl<F: Future<Output: Send + 'static> + Send + 'static> Drop for Finished<F> {
    fn drop(&mut self) {
        // Where there is no runtime, the host has ended.
        if let (Some(rest), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            runtime.spawn(ALONE.scope((), rest));
        }
    }
}
