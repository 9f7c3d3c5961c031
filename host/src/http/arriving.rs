//! The body of a request while it arrives.

use crate::http::activity::Activity;
use axum::body::HttpBody;
use hyper::body::{Frame, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

/// A body that says whether more of it is to come.
pub struct Arriving<B> {
    body: B,
    activity: Arc<Activity>,
}

impl<B: HttpBody> Arriving<B> {
    /// It is arriving until all has come, or nobody reads it any more.
    pub fn new(body: B, activity: &Arc<Activity>) -> Self {
        activity.unread.store(false, Ordering::Relaxed);
        activity.arriving.store(!body.is_end_stream(), Ordering::Relaxed);
        Self { body, activity: Arc::clone(activity) }
    }
}

impl<B: HttpBody + Unpin> HttpBody for Arriving<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(task));
        if frame.is_none() {
            self.activity.arriving.store(false, Ordering::Relaxed);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B> Drop for Arriving<B> {
    fn drop(&mut self) {
        if self.activity.arriving.swap(false, Ordering::Relaxed) {
            self.activity.unread.store(true, Ordering::Relaxed);
        }
    }
}
