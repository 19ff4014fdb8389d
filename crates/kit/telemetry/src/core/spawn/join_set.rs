//! A set of tasks that keep the context they were spawned in.

use std::future::Future;

use opentelemetry::Context;
use tokio::task::{AbortHandle, Id, JoinError};

use super::{WithContext, in_context, with_context};

/// As `tokio::task::JoinSet`, whose tasks keep the context that was current when they were spawned: same handle, same
/// parent span, same baggage. Dropping the set stops its tasks.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// use waypost_telemetry::testing::TestTelemetry;
/// use waypost_telemetry::{JoinSet, span};
///
/// let telemetry = TestTelemetry::new("order-service");
/// telemetry
///     .span("place-order")
///     .observe(async {
///         let mut tasks = JoinSet::new();
///         tasks.spawn(span("reserve").observe(async {}));
///         tasks.spawn_blocking(|| span("write").in_scope(|| ()));
///         while tasks.join_next().await.is_some() {}
///     })
///     .await;
/// telemetry.tree().assert_matches(
///     "place-order INTERNAL order-service
///        reserve INTERNAL order-service
///        write INTERNAL order-service",
/// );
/// # });
/// ```
#[derive(Debug)]
pub struct JoinSet<T> {
    tasks: tokio::task::JoinSet<T>,
}

impl<T> Default for JoinSet<T> {
    fn default() -> Self {
        Self { tasks: tokio::task::JoinSet::new() }
    }
}

impl<T: 'static> JoinSet<T> {
    /// An empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Spawns a task in the current context.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn spawn<F>(&mut self, future: F) -> AbortHandle
    where
        F: Future<Output = T> + Send + 'static,
        T: Send,
    {
        let future: WithContext<F> = with_context(Context::current(), future);
        self.tasks.spawn(future)
    }

    /// Runs a closure in the current context, on a thread that may block.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn spawn_blocking(&mut self, f: impl FnOnce() -> T + Send + 'static) -> AbortHandle
    where
        T: Send,
    {
        self.tasks.spawn_blocking(in_context(Context::current(), f))
    }

    /// The next task that ends; `None` if there is none left. Cancel safe.
    pub async fn join_next(&mut self) -> Option<Result<T, JoinError>> {
        self.tasks.join_next().await
    }

    /// As [`Self::join_next`], with the task's id. Cancel safe.
    pub async fn join_next_with_id(&mut self) -> Option<Result<(Id, T), JoinError>> {
        self.tasks.join_next_with_id().await
    }

    /// The results of all tasks, in the order in which they end.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// use waypost_telemetry::{JoinSet, Telemetry, testing::TestTelemetry, with_context};
    ///
    /// let telemetry = TestTelemetry::new("order-service");
    /// let names = with_context(telemetry.context(), async {
    ///     let mut tasks = JoinSet::new();
    ///     assert!(tasks.is_empty());
    ///     tasks.spawn(async { Telemetry::current().service_name().to_owned() });
    ///     assert_eq!(tasks.len(), 1);
    ///     tasks.join_all().await
    /// });
    /// assert_eq!(names.await, ["order-service"]);
    /// # });
    /// ```
    ///
    /// # Panics
    ///
    /// If a task panicked or was aborted.
    pub async fn join_all(self) -> Vec<T> {
        self.tasks.join_all().await
    }

    /// Aborts all tasks and waits for them.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let mut tasks = waypost_telemetry::JoinSet::new();
    /// tasks.spawn(std::future::pending::<()>());
    /// tasks.shutdown().await;
    /// assert!(tasks.is_empty());
    /// # });
    /// ```
    pub async fn shutdown(&mut self) {
        self.tasks.shutdown().await;
    }

    /// Aborts all tasks; they still have to be joined.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let mut tasks = waypost_telemetry::JoinSet::new();
    /// let task = tasks.spawn(std::future::pending::<()>());
    /// tasks.abort_all();
    /// let (id, ended) = (task.id(), tasks.join_next_with_id().await.unwrap().unwrap_err());
    /// assert!(ended.is_cancelled() && ended.id() == id);
    /// # });
    /// ```
    pub fn abort_all(&mut self) {
        self.tasks.abort_all();
    }

    /// Lets all tasks go on without the set.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let mut tasks = waypost_telemetry::JoinSet::new();
    /// tasks.spawn(async {});
    /// tasks.detach_all();
    /// assert!(tasks.join_next().await.is_none());
    /// # });
    /// ```
    pub fn detach_all(&mut self) {
        self.tasks.detach_all();
    }

    /// How many tasks were not joined yet.
    pub fn len(&self) -> usize {
        self.tasks.len()
    }

    /// Whether every task was joined.
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }
}
