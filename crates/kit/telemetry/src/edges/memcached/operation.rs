//! One operation: its span and its measurement.

use std::borrow::Cow;

use async_memcached::{Error, ErrorKind, Status};
use opentelemetry::trace::{SpanKind, TraceContextExt as _};
use opentelemetry::{Context, KeyValue};

use super::Memcached;
use crate::base::attributes::ERROR_TYPE;
use crate::base::error::ErrorType as _;
use crate::core::clock::Timer;
use crate::core::lookups::HIT;
use crate::core::span::{Outcome, SpanBuilder, SpanGuard};

/// An open operation. Dropped without a word it was cancelled.
pub(super) struct Operation {
    memcached: Memcached,
    name: &'static str,
    /// How many keys, where there can be several.
    batch: Option<usize>,
    timer: Timer,
    /// None where a parent is required and there is none.
    span: Option<SpanGuard>,
    is_ended: bool,
}

impl Operation {
    pub(super) fn start(
        memcached: &Memcached,
        name: &'static str,
        text: Option<String>,
        batch: Option<usize>,
    ) -> Self {
        let shared = &memcached.shared;
        // One is no batch.
        let batch = batch.filter(|batch| *batch != 1);
        let parent = Context::current();
        let is_wanted = !shared.requires_parent || parent.span().span_context().is_valid();
        let span = is_wanted.then(|| {
            let mut span = SpanBuilder::new(shared.telemetry.clone(), parent, name.into())
                .kind(SpanKind::Client)
                .attr("db.system.name", "memcached")
                .attr("db.operation.name", name);
            if let Some(text) = text {
                span = span.attr("db.query.text", text);
            }
            if let Some(batch) = batch {
                span = span.attr("db.operation.batch.size", whole(batch));
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
            memcached: memcached.clone(),
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

    /// One value was asked for.
    pub(super) fn looked_up(&self, is_hit: bool) {
        if let Some(span) = &self.span {
            span.set(HIT, is_hit);
        }
        self.memcached.shared.lookups.count(is_hit, 1);
    }

    /// Several values were asked for, of which so many were there.
    pub(super) fn found(&self, hits: usize, asked: usize) {
        if let Some(span) = &self.span {
            span.set("db.response.returned_rows", whole(hits));
        }
        let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        self.memcached.shared.lookups.count(true, count(hits));
        self.memcached.shared.lookups.count(false, count(asked.saturating_sub(hits)));
    }

    /// It ended.
    pub(super) fn end(mut self, result: Result<(), &Error>) {
        let Err(error) = result else { return self.close(Outcome::Ok, None) };
        let outcome = if error.is_failure() { Outcome::Error(error.error_type()) } else { Outcome::Ok };
        self.close(outcome, status_code(error));
    }

    fn close(&mut self, outcome: Outcome, code: Option<&'static str>) {
        self.is_ended = true;
        let elapsed = self.timer.elapsed();
        let shared = &self.memcached.shared;
        let mut labels = Vec::with_capacity(7);
        labels.push(KeyValue::new("db.system.name", "memcached"));
        labels.push(KeyValue::new("db.operation.name", self.name));
        labels.extend(self.batch.map(|batch| KeyValue::new("db.operation.batch.size", whole(batch))));
        if let Some((address, port)) = &shared.server {
            labels.push(KeyValue::new("server.address", address.clone()));
            labels.extend(port.map(|port| KeyValue::new("server.port", i64::from(port))));
        }
        labels.extend(code.map(|code| KeyValue::new("db.response.status_code", code)));
        match &outcome {
            Outcome::Error(class) => labels.push(KeyValue::new(ERROR_TYPE, Cow::clone(class))),
            Outcome::Panic => labels.push(KeyValue::new(ERROR_TYPE, "panic")),
            Outcome::Ok | Outcome::Cancelled => {}
        }
        shared.duration.record(elapsed.as_secs_f64(), &labels);
        if let Some(span) = self.span.take() {
            if let Some(code) = code {
                span.set("db.response.status_code", code);
            }
            span.end(outcome);
        }
    }
}

fn whole(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// The word that the server answered with, if it was the server that did.
fn status_code(error: &Error) -> Option<&'static str> {
    let Error::Protocol(status) = error else { return None };
    match status {
        Status::NotFound => Some("NOT_FOUND"),
        Status::NotStored => Some("NOT_STORED"),
        Status::Exists => Some("EXISTS"),
        Status::Error(ErrorKind::NonexistentCommand) => Some("ERROR"),
        Status::Error(ErrorKind::Server(_)) => Some("SERVER_ERROR"),
        // The crate says this of keys, too, that it does not send.
        Status::Error(ErrorKind::Client(_)) => Some("CLIENT_ERROR"),
        _ => None,
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        if !self.is_ended {
            self.close(if std::thread::panicking() { Outcome::Panic } else { Outcome::Cancelled }, None);
        }
    }
}
