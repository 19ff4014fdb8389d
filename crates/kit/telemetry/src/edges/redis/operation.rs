//! One operation: its span and its measurement.

use std::borrow::Cow;

use opentelemetry::trace::{SpanKind, TraceContextExt as _};
use opentelemetry::{Context, KeyValue};
use redis::{RedisError, Value};

use super::Redis;
use super::command::Shown;
use crate::base::attributes::ERROR_TYPE;
use crate::base::error::ErrorType as _;
use crate::core::clock::Timer;
use crate::core::readings::exemplars;
use crate::core::span::{Outcome, SpanBuilder, SpanGuard};

/// An open operation. Dropped without a word it was cancelled.
pub(super) struct Operation {
    redis: Redis,
    namespace: String,
    name: Cow<'static, str>,
    batch: Option<usize>,
    timer: Timer,
    /// None where a parent is required and there is none.
    span: Option<SpanGuard>,
    is_ended: bool,
}

impl Operation {
    pub(super) fn start(redis: &Redis, database: i64, shown: Shown) -> Self {
        let shared = &redis.shared;
        let namespace = database.to_string();
        let Shown { name, text, script, batch } = shown;
        let parent = Context::current();
        let is_wanted = !shared.requires_parent || parent.span().span_context().is_valid();
        let span = is_wanted.then(|| {
            let mut span = SpanBuilder::new(shared.telemetry.clone(), parent, name.clone())
                .kind(SpanKind::Client)
                .attr("db.system.name", "redis")
                .attr("db.namespace", namespace.clone())
                .attr("db.operation.name", name.clone());
            if let Some(text) = text {
                span = span.attr("db.query.text", text);
            }
            if let Some(script) = script {
                span = span.attr("db.stored_procedure.name", script);
            }
            if let Some(batch) = batch {
                span = span.attr("db.operation.batch.size", i64::try_from(batch).unwrap_or(i64::MAX));
            }
            if let Some((address, port)) = &shared.server {
                span = span.attr("server.address", address.clone());
                if let Some(port) = port {
                    span = span.attr("server.port", i64::from(*port));
                }
            }
            span.start()
        });
        Self {
            redis: redis.clone(),
            namespace,
            name,
            batch,
            timer: shared.telemetry.timer(),
            span,
            is_ended: false,
        }
    }

    /// The context that the work belongs in.
    pub(super) fn context(&self) -> Option<Context> {
        self.span.as_ref().map(|span| span.context().clone())
    }

    /// It ended with these answers, of which one may be an error of its own.
    pub(super) fn end(mut self, answers: Result<&[Value], &RedisError>) {
        let error = match answers {
            Ok(answers) => answers.iter().find_map(|answer| match answer {
                Value::ServerError(error) => Some(Cow::Owned(RedisError::from(error.clone()))),
                _ => None,
            }),
            Err(error) => Some(Cow::Borrowed(error)),
        };
        let Some(error) = error else { return self.close(Outcome::Ok, None) };
        // The server's own words are few; what a script made up is not one of them.
        let is_word = |code: &&str| {
            code.len() <= 32 && code.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
        };
        let code = error.code().filter(is_word).map(ToOwned::to_owned);
        let outcome = if error.is_failure() { Outcome::Error(error.error_type()) } else { Outcome::Ok };
        self.close(outcome, code);
    }

    fn close(&mut self, outcome: Outcome, code: Option<String>) {
        self.is_ended = true;
        let elapsed = self.timer.elapsed();
        let shared = &self.redis.shared;
        let mut labels = Vec::with_capacity(8);
        labels.push(KeyValue::new("db.system.name", "redis"));
        labels.push(KeyValue::new("db.namespace", self.namespace.clone()));
        labels.push(KeyValue::new("db.operation.name", self.name.clone()));
        labels.extend(
            self.batch.map(|batch| {
                KeyValue::new("db.operation.batch.size", i64::try_from(batch).unwrap_or(i64::MAX))
            }),
        );
        if let Some((address, port)) = &shared.server {
            labels.push(KeyValue::new("server.address", address.clone()));
            labels.extend(port.map(|port| KeyValue::new("server.port", i64::from(port))));
        }
        if let Some(code) = &code {
            labels.push(KeyValue::new("db.response.status_code", code.clone()));
        }
        match &outcome {
            Outcome::Error(class) => labels.push(KeyValue::new(ERROR_TYPE, class.clone())),
            Outcome::Panic => labels.push(KeyValue::new(ERROR_TYPE, "panic")),
            Outcome::Ok | Outcome::Cancelled => {}
        }
        let record = || shared.duration.record(elapsed.as_secs_f64(), &labels);
        match &self.span {
            Some(span) => exemplars::within(span.context(), None, record),
            None => record(),
        }
        if let Some(span) = self.span.take() {
            if let Some(code) = code {
                span.set("db.response.status_code", code);
            }
            span.end(outcome);
        }
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        if !self.is_ended {
            self.close(if std::thread::panicking() { Outcome::Panic } else { Outcome::Cancelled }, None);
        }
    }
}
