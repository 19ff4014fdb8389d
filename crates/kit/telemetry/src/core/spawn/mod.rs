//! Carrying the OpenTelemetry context across tasks and threads.
//!
//! A bare `tokio::spawn` loses the context and with it the trace and the handle; [`spawn`] keeps both. So do
//! [`spawn_blocking`], [`JoinSet`] and [`spawn_thread`] for what tokio and the standard library offer beside it. The
//! context is attached whenever the future is polled and also while it is dropped, so that what its destructors
//! record lands in the right trace. A task that outlives its parent span keeps the context, not the span: the
//! parent has ended by then and is not held open.

mod join_set;

use std::future::Future;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

use opentelemetry::Context;
use pin_project_lite::pin_project;
use tokio::task::JoinHandle;

pub use join_set::JoinSet;

/// Spawns a task in which the current context stays current: same handle, same parent span, same baggage.
///
/// Must be called inside a tokio runtime, as `tokio::spawn`.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// use waypost_telemetry::testing::TestTelemetry;
/// use waypost_telemetry::{Telemetry, spawn, with_context};
///
/// let telemetry = TestTelemetry::new("order-service");
/// with_context(telemetry.context(), async {
///     let task = spawn(async { Telemetry::current().service_name().to_owned() });
///     assert_eq!(task.await.unwrap(), "order-service");
/// })
/// .await;
/// # });
/// ```
#[expect(clippy::disallowed_methods, reason = "this is the traced spawn that the ban points to")]
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    tokio::spawn(with_context(Context::current(), future))
}

/// Runs a closure on a thread that may block, in the current context: for file systems, SQLite, hashing.
///
/// Must be called inside a tokio runtime, as `tokio::task::spawn_blocking`.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// use waypost_telemetry::testing::TestTelemetry;
/// use waypost_telemetry::{span, spawn_blocking};
///
/// let telemetry = TestTelemetry::new("order-service");
/// let read = telemetry.span("show-order").observe(async {
///     spawn_blocking(|| span("read-file").in_scope(|| "order-1")).await
/// });
/// assert_eq!(read.await.unwrap(), "order-1");
/// telemetry.tree().assert_matches("show-order INTERNAL order-service\n  read-file INTERNAL order-service");
/// # });
/// ```
pub fn spawn_blocking<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    tokio::task::spawn_blocking(in_context(Context::current(), f))
}

/// Starts a thread in the current context, as `std::thread::spawn`. For a thread with a name or a scope give
/// [`in_context`] to `std::thread::Builder`.
///
/// ```
/// use waypost_telemetry::testing::TestTelemetry;
/// use waypost_telemetry::{span, spawn_thread};
///
/// let telemetry = TestTelemetry::new("order-service");
/// telemetry.span("start").in_scope(|| spawn_thread(|| span("warm-up").in_scope(|| ())).join().unwrap());
/// telemetry.tree().assert_matches("start INTERNAL order-service\n  warm-up INTERNAL order-service");
/// ```
///
/// # Panics
///
/// If the operating system cannot start a thread.
pub fn spawn_thread<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> std::thread::JoinHandle<T> {
    std::thread::spawn(in_context(Context::current(), f))
}

/// A closure that runs in `context`, wherever it is called.
///
/// ```
/// use waypost_telemetry::{Telemetry, in_context, testing::TestTelemetry};
///
/// let telemetry = TestTelemetry::new("order-service");
/// let name = in_context(telemetry.context(), || Telemetry::current().service_name().to_owned());
/// assert_eq!(std::thread::spawn(name).join().unwrap(), "order-service");
/// ```
pub fn in_context<T>(context: Context, f: impl FnOnce() -> T) -> impl FnOnce() -> T {
    move || {
        let _attached = context.attach();
        f()
    }
}

/// Runs a future in `context`: attached on every poll, and while the future is dropped.
///
/// ```
/// use waypost_telemetry::testing::TestTelemetry;
/// use waypost_telemetry::{Telemetry, span, with_context};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let telemetry = TestTelemetry::new("order-service");
/// with_context(telemetry.context(), span("sweep").observe(async {})).await; // a task that no request began
/// assert_eq!(telemetry.only_span("sweep").service_name(), "order-service");
/// assert!(!Telemetry::current().is_enabled());
/// # });
/// ```
pub fn with_context<F: Future>(context: Context, future: F) -> WithContext<F> {
    WithContext { future: Some(future), context }
}

pin_project! {
    /// A future with a context; made by [`with_context`].
    #[must_use = "futures do nothing unless polled"]
    #[derive(Debug)]
    pub struct WithContext<F> {
        #[pin]
        future: Option<F>,
        context: Context,
    }

    impl<F> PinnedDrop for WithContext<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if this.future.is_some() {
                let _attached = this.context.clone().attach();
                this.future.set(None);
            }
        }
    }
}

impl<F: Future> Future for WithContext<F> {
    type Output = F::Output;

    /// # Panics
    ///
    /// If polled again after it was ready, as an `async` block does.
    fn poll(self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let _attached = this.context.clone().attach();
        let Some(future) = this.future.as_mut().as_pin_mut() else {
            panic!("`WithContext` polled after completion");
        };
        let polled = future.poll(task);
        if polled.is_ready() {
            this.future.set(None);
        }
        polled
    }
}
