//! One command: its span and its measurement.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use mongodb::bson::{Bson, Document};
use mongodb::error::Error;
use mongodb::event::command::CommandStartedEvent;
use mongodb::options::ServerAddress;
use opentelemetry::trace::{SpanKind, TraceContextExt as _};
use opentelemetry::{Context, KeyValue};

use super::reply::Reply;
use super::{QueryText, Shared, shape};
use crate::base::attributes::ERROR_TYPE;
use crate::base::error::ErrorType as _;
use crate::core::clock::Timer;
use crate::core::span::{Outcome, SpanBuilder, SpanGuard};

/// The port of a MongoDB that is told no other.
const DEFAULT_PORT: u16 = 27017;

/// Fields whose arrays are what a command does at once.
const BATCHES: [(&str, &str); 4] =
    [("insert", "documents"), ("update", "updates"), ("delete", "deletes"), ("bulkWrite", "ops")];

/// An open command. Dropped without a word it was given up.
pub(super) struct Operation {
    shared: Arc<Shared>,
    labels: Vec<KeyValue>,
    timer: Timer,
    /// None where a parent is required and there is none.
    span: Option<SpanGuard>,
    is_ended: bool,
}

impl Operation {
    pub(super) fn start(shared: &Arc<Shared>, event: &CommandStartedEvent) -> Self {
        let (command, name) = (&event.command, event.command_name.as_str());
        let collection = collection(command, name);
        // Names are few; attributes of spans tell all.
        let shown = if shared.commands.takes(name) { name } else { "_OTHER" };
        let place = collection.map_or_else(|| event.db.clone(), |own| format!("{}.{own}", event.db));
        let is_shown = shared.collections.takes(&place);
        let mut labels = vec![
            KeyValue::new("db.system.name", "mongodb"),
            KeyValue::new("db.operation.name", shown.to_owned()),
        ];
        labels.extend(server(&event.connection.address));
        if is_shown {
            labels.push(KeyValue::new("db.namespace", event.db.clone()));
            labels.extend(collection.map(|own| KeyValue::new("db.collection.name", own.to_owned())));
        }
        let parent = Context::current();
        let is_wanted = !shared.requires_parent || parent.span().span_context().is_valid();
        let span = is_wanted.then(|| {
            let title: Cow<'static, str> = match collection.filter(|_| is_shown) {
                Some(own) => format!("{shown} {own}").into(),
                None => shown.to_owned().into(),
            };
            let mut span = SpanBuilder::new(shared.telemetry.clone(), parent, title).kind(SpanKind::Client);
            for label in &labels {
                span = span.attr(label.key.clone(), label.value.clone());
            }
            if !is_shown {
                span = span.attr("db.namespace", event.db.clone());
                if let Some(own) = collection {
                    span = span.attr("db.collection.name", own.to_owned());
                }
            }
            // The driver keeps the content of commands with passwords to itself.
            if shared.text == QueryText::Shape && !command.is_empty() {
                span = span.attr("db.query.text", shape::of(command, name));
            }
            if let Some(size) = batch_size(command, name).filter(|size| *size > 1) {
                span = span.attr("db.operation.batch.size", i64::try_from(size).unwrap_or(i64::MAX));
            }
            span.start()
        });
        let timer = shared.telemetry.timer();
        Self { shared: Arc::clone(shared), labels, timer, span, is_ended: false }
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
        let mut labels = std::mem::take(&mut self.labels);
        if let Some(code) = code {
            labels.push(KeyValue::new("db.response.status_code", code.to_string()));
        }
        match &outcome {
            Outcome::Error(class) => labels.push(KeyValue::new(ERROR_TYPE, class.clone())),
            Outcome::Panic => labels.push(KeyValue::new(ERROR_TYPE, "panic")),
            Outcome::Ok | Outcome::Cancelled => {}
        }
        self.shared.duration.record(took.as_secs_f64(), &labels);
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

fn server(address: &ServerAddress) -> impl Iterator<Item = KeyValue> {
    let (host, port) = match address {
        ServerAddress::Tcp { host, port } => (host.clone(), port.filter(|port| *port != DEFAULT_PORT)),
        other => (other.to_string(), None),
    };
    let port = port.map(|port| KeyValue::new("server.port", i64::from(port)));
    std::iter::once(KeyValue::new("server.address", host)).chain(port)
}
