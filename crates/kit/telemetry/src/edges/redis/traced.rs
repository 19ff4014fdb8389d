//! A connection whose operations are spans.

use std::fmt;

use redis::aio::ConnectionLike;
use redis::{Cmd, Pipeline, RedisFuture, Value};

use super::Redis;
use super::command::Shown;
use super::operation::Operation;
use crate::core::spawn::with_context;

/// A connection whose commands, pipelines and scripts are spans. It is used as the one inside: `query_async`,
/// `AsyncCommands`, `Script::invoke_async`.
///
/// Clones share what the clones of the connection inside share. Cancel safe as far as that is: a command whose future is
/// dropped may have been done.
#[derive(Clone)]
pub struct Traced<C> {
    redis: Redis,
    connection: C,
}

impl<C> Traced<C> {
    pub(super) fn new(redis: Redis, connection: C) -> Self {
        Self { redis, connection }
    }

    /// The connection inside, for what is no command: subscriptions, time-outs. What is sent over it has no span.
    pub fn inner_mut(&mut self) -> &mut C {
        &mut self.connection
    }

    /// The connection without spans.
    pub fn into_inner(self) -> C {
        self.connection
    }
}

impl<C: ConnectionLike + Send> ConnectionLike for Traced<C> {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        let shown = Shown::of_command(command, self.redis.shared.text);
        let operation = Operation::start(&self.redis, self.connection.get_db(), shown);
        let asked = self.connection.req_packed_command(command);
        Box::pin(async move {
            let answer = within(&operation, asked).await;
            operation.end(answer.as_ref().map(std::slice::from_ref));
            answer
        })
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        let shown = Shown::of_pipeline(pipeline, self.redis.shared.text);
        let operation = Operation::start(&self.redis, self.connection.get_db(), shown);
        let asked = self.connection.req_packed_commands(pipeline, offset, count);
        Box::pin(async move {
            let answers = within(&operation, asked).await;
            operation.end(answers.as_ref().map(Vec::as_slice));
            answers
        })
    }

    fn get_db(&self) -> i64 {
        self.connection.get_db()
    }
}

async fn within<T>(operation: &Operation, asked: RedisFuture<'_, T>) -> redis::RedisResult<T> {
    match operation.context() {
        Some(context) => with_context(context, asked).await,
        None => asked.await,
    }
}

impl<C> fmt::Debug for Traced<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Traced").field("redis", &self.redis).finish_non_exhaustive()
    }
}
