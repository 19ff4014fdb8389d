//! One command: its span and its measurement.

use std::borrow::Cow;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use mongodb::bson::{Bson, Document};
use mongodb::error::Error;
use mongodb::event::command::CommandStartedEvent;
use opentelemetry::trace::{SpanKind, TraceContextExt as _};
use opentelemetry::{Context, KeyValue, StringValue};

use super::place::{Host, Place};
use super::reply::Reply;
use super::{QueryText, Shared, shape};
use crate::base::attributes::ERROR_TYPE;
use crate::base::error::ErrorType as _;
use crate::core::clock::Timer;
use crate::core::series;
use crate::core::span::{Outcome, SpanBuilder, SpanGuard};

/// `db.system.name`.
const SYSTEM: &str = "mongodb";

/// Fields whose arrays are what a command does at once.
const BATCHES: [(&str, &str); 4] =
    [("insert", "documents"), ("update", "updates"), ("delete", "deletes"), ("bulkWrite", "ops")];

/// An open command. Dropped without a word it was given up.
pub(super) struct Operation {
    shared: Arc<Shared>,
    place: Arc<Place>,
    host: Host,
    timer: Timer,
    /// None where a parent is required and there is none.
    span: Option<SpanGuard>,
    is_ended: bool,
}

impl Operation {
    pub(super) fn start(shared: &Arc<Shared>, event: &CommandStartedEvent) -> Self {
        let (command, name) = (&event.command, event.command_name.as_str());
        let place = Place::of(shared, name, &event.db, collection(command, name));
        let host = Host::of(&shared.hosts, &event.connection.address);
        let parent = Context::current();
        let is_wanted = !shared.requires_parent || parent.span().span_context().is_valid();
        let span = is_wanted.then(|| {
            let title = Cow::Owned(place.title.clone());
            let mut span =
                SpanBuilder::new(shared.telemetry.clone(), parent, title).kind(SpanKind::Client).decided();
            if span.keeps() {
                describe(&mut span, shared, &place, &host, command, name);
            }
            span.start()
        });
        let timer = shared.telemetry.timer();
        Self { shared: Arc::clone(shared), place, host, timer, span, is_ended: false }
    }

    /// It was answered; what it did may have failed in part.
    pub(super) fn succeed(mut self, reply: &Reply, took: Duration) {
        if let (Some(span), Some(rows)) = (&self.span, reply.rows) {
            span.set("db.response.returned_rows", i64::try_from(rows).unwrap_or(i64::MAX));
        }
        match &reply.failure {
            Some(code) => self.close(Outcome::Error(code.to_string().into()), Some(*code), took),
            None => self.close(Outcome::Ok, None, took),
        }
    }

    /// It failed.
    pub(super) fn fail(mut self, error: &Error, took: Duration) {
        self.close(Outcome::Error(error.error_type()), code_of(error), took);
    }

    fn close(&mut self, outcome: Outcome, code: Option<i32>, took: Duration) {
        self.is_ended = true;
        let shared = &self.shared;
        if shared.duration.is_read() {
            let error_type = outcome.error_type();
            let labels = Labels {
                place: Arc::clone(&self.place),
                host: self.host.clone(),
                status_code: code,
                error_type,
            };
            shared.duration.record(labels, took.as_secs_f64());
        }
        if let Some(span) = self.span.take() {
            if let Some(code) = code {
                span.set("db.response.status_code", code.to_string());
            }
            span.end(outcome);
        }
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        if !self.is_ended {
            self.close(Outcome::Cancelled, None, self.timer.elapsed());
        }
    }
}

/// What the span says of its command.
fn describe(
    span: &mut SpanBuilder,
    shared: &Shared,
    place: &Place,
    host: &Host,
    command: &Document,
    name: &str,
) {
    span.put_text("db.system.name", SYSTEM);
    span.put_text("db.operation.name", place.operation.as_str());
    span.put_text("server.address", host.address.as_str());
    if let Some(port) = host.port {
        span.put("server.port", i64::from(port));
    }
    span.put_text("db.namespace", place.namespace.as_str());
    if let Some(collection) = &place.collection {
        span.put_text("db.collection.name", collection.as_str());
    }
    // The driver keeps the content of commands with passwords to itself.
    if shared.text == QueryText::Shape && !command.is_empty() {
        span.put_text("db.query.text", &shape::of(command, name));
    }
    if let Some(size) = batch_size(command, name).filter(|size| *size > 1) {
        span.put("db.operation.batch.size", i64::try_from(size).unwrap_or(i64::MAX));
    }
}

/// The labels of `db.client.operation.duration`.
#[derive(Clone, Debug)]
pub(super) struct Labels {
    place: Arc<Place>,
    host: Host,
    status_code: Option<i32>,
    error_type: Option<Cow<'static, str>>,
}

impl Labels {
    /// Where it ran, as far as that is shown.
    fn shown(&self) -> Option<(&str, Option<&str>)> {
        let place = &self.place;
        place.is_shown.then(|| (place.namespace.as_str(), place.collection.as_ref().map(StringValue::as_str)))
    }

    fn key(&self) -> impl PartialEq + Hash {
        (
            self.place.operation.as_str(),
            self.shown(),
            &self.host,
            self.status_code,
            self.error_type.as_deref(),
        )
    }
}

impl PartialEq for Labels {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Labels {}

impl Hash for Labels {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

impl series::Labels for Labels {
    fn build(&self) -> Vec<KeyValue> {
        let place = &self.place;
        let mut labels = Vec::with_capacity(8);
        labels.push(KeyValue::new("db.system.name", SYSTEM));
        labels.push(KeyValue::new("db.operation.name", place.operation.clone()));
        labels.extend(self.host.labels());
        if place.is_shown {
            labels.push(KeyValue::new("db.namespace", place.namespace.clone()));
            labels.extend(place.collection.clone().map(|own| KeyValue::new("db.collection.name", own)));
        }
        let code = self.status_code.map(|code| KeyValue::new("db.response.status_code", code.to_string()));
        labels.extend(code);
        labels.extend(self.error_type.clone().map(|class| KeyValue::new(ERROR_TYPE, class)));
        labels
    }
}

/// The code that the server gave.
pub(super) fn code_of(error: &Error) -> Option<i32> {
    use mongodb::error::{ErrorKind, WriteFailure};
    match &*error.kind {
        ErrorKind::Command(error) => Some(error.code),
        ErrorKind::Write(WriteFailure::WriteError(error)) => Some(error.code),
        ErrorKind::Write(WriteFailure::WriteConcernError(error)) => Some(error.code),
        _ => None,
    }
}

/// The collection that a command is about: the value of its name, unless that is a number or text of another kind.
fn collection<'a>(command: &'a Document, name: &str) -> Option<&'a str> {
    let field = if name == "getMore" { "collection" } else { name };
    command.get(field).and_then(Bson::as_str).filter(|own| !own.is_empty())
}

fn batch_size(command: &Document, name: &str) -> Option<usize> {
    let (_, field) = BATCHES.iter().find(|(command, _)| *command == name)?;
    Some(command.get_array(field).ok()?.len())
}
