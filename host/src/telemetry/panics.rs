//! Logs panics of plugins, and counts them for the provider of the thread. The SDK catches them. It also names a plugin that
//! calls exit(3), which no plugin should do.

use crate::ground::errors::LINE;
use crate::ground::ffi;
use crate::telemetry::counters::{self, Counters};
use crate::telemetry::{log, stderr};
use provost_sdk::excerpt;
use std::cell::{Cell, RefCell};
use std::sync::Arc;

thread_local! {
    /// The provider whose thread this is.
    static OWNER: RefCell<Option<Arc<Counters>>> = const { RefCell::new(None) };

    /// Whose code runs on this thread. Unlike the owner it is never dropped: at an exit, drops come first.
    static WHOSE: Cell<&'static str> = const { Cell::new("something") };
}

tokio::task_local! {
    /// Set while a delivery is polled or dropped.
    static MESSAGE_MEMORY: ();
}

/// Sends all panics to the log, and counts them. The line is written before anything is unwound, so it is there even
/// if the process aborts.
pub fn watch() {
    std::panic::set_hook(Box::new(|panic| {
        let payload = excerpt(panic.payload_as_str().unwrap_or("a panic without a message"), LINE);
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        if !log::started() {
            return log::error(&format!("panic: {payload} ({place})"));
        }
        // An error says that the thread ends.
        match OWNER.try_with(|owner| owner.borrow().clone()).unwrap_or_default() {
            Some(owner) => {
                owner.count_panic(MESSAGE_MEMORY.try_with(|()| ()).is_ok());
                let (provider, plugin) = (owner.provider(), owner.plugin());
                tracing::error!(place, provider, plugin, "panic: {payload}");
            }
            None => {
                counters::count_other_panic();
                tracing::error!(place, "panic: {payload}");
            }
        }
        stderr::flush();
    }));
}

/// Names who ends the process by exit(3). What was registered later is run before, so this is done again once more code is
/// loaded.
///
/// # Errors
///
/// When there is no memory to remember it in.
pub fn watch_exits() -> Result<(), &'static str> {
    ffi::at_exit(exited)
}

/// The host itself ends by `_exit`. What the caller's code says is not passed on: an orchestrator would not start a host
/// again that seems to have succeeded.
extern "C" fn exited() {
    log::error(&format!("{} called exit, which stops the host and all its providers", WHOSE.get()));
    stderr::finish();
    ffi::end(101);
}

/// Says whose code runs on this thread.
pub fn whose(text: &'static str) {
    WHOSE.set(text);
}

/// Makes this thread the provider's.
pub fn own(owner: &Arc<Counters>) {
    OWNER.set(Some(Arc::clone(owner)));
}

/// What `delivery` does is done in a delivery of the provider whose thread this is.
pub fn delivery<F: Future>(delivery: F) -> impl Future<Output = F::Output> {
    MESSAGE_MEMORY.scope((), delivery)
}
