//! What the spans and metrics of one client of a broker have in common, and one operation of it.

use std::future::Future;
use std::sync::Arc;

use opentelemetry::trace::{SpanContext, SpanKind, TraceContextExt as _};
use opentelemetry::{Context, Key};

use super::destinations::{Destinations, Named};
use super::{Correlation, MessageSpan, Metrics, process_span};
use crate::base::error::{AsErrorType, ErrorType};
use crate::base::value::IntoValue;
use crate::core::clock::Timer;
use crate::core::handle::Telemetry;
use crate::core::span::{Outcome, SpanGuard};

/// What is shown of a broker, as a program says it.
#[derive(Clone, Debug)]
pub(super) struct Choices {
    pub(super) telemetry: Telemetry,
    pub(super) server: Option<(Arc<str>, Option<u16>)>,
    pub(super) client_id: Option<Arc<str>>,
    pub(super) correlation: Correlation,
    pub(super) templates: Vec<Box<str>>,
}

impl Choices {
    pub(super) fn new(telemetry: &Telemetry) -> Self {
        Self {
            telemetry: telemetry.clone(),
            server: None,
            client_id: None,
            correlation: Correlation::default(),
            templates: Vec::new(),
        }
    }
}

/// What the spans and metrics of one client have in common.
#[derive(Debug)]
pub(super) struct Client {
    system: &'static str,
    pub(super) choices: Choices,
    pub(super) destinations: Destinations,
    pub(super) metrics: Metrics,
}

impl Client {
    pub(super) fn new(system: &'static str, choices: Choices, temporary: &[Box<str>]) -> Arc<Self> {
        let mut metrics = Metrics::new(&choices.telemetry, system);
        if let Some((address, port)) = &choices.server {
            metrics = metrics.server(&**address, *port);
        }
        let destinations = Destinations::new(&choices.templates, temporary);
        Arc::new(Self { system, choices, destinations, metrics })
    }

    pub(super) fn telemetry(&self) -> &Telemetry {
        &self.choices.telemetry
    }

    /// What is current, as far as it is known to this handle.
    pub(super) fn current(&self) -> Context {
        self.telemetry().carried_by(Context::current())
    }

    /// A span with what all of this client have in common.
    fn completed(&self, span: MessageSpan) -> MessageSpan {
        let span = match &self.choices.client_id {
            Some(id) => span.attr("messaging.client.id", id.to_string()),
            None => span,
        };
        match &self.choices.server {
            Some((address, port)) => span.server(&**address, *port),
            None => span,
        }
    }

    /// Counts a message that came without being asked for one by one.
    pub(super) fn delivered(&self, destination: &Named, group: &str) {
        self.metrics.delivered(self.destinations.of_named(destination), group, 1);
    }

    /// Processes a message with this context in a CONSUMER span.
    pub(super) async fn process<T, E: AsErrorType>(
        &self,
        destination: &Named,
        group: &str,
        stored: &Context,
        detail: impl FnOnce(MessageSpan) -> MessageSpan,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let destination = self.destinations.of_named(destination);
        let run = {
            let _attached = self.current().attach();
            let span = process_span(self.system, destination, stored, self.choices.correlation);
            detail(in_group(self.completed(span), group)).run(work)
        };
        let timer = self.telemetry().timer();
        let result = run.await;
        let took = timer.elapsed();
        match &result {
            Ok(_) => self.metrics.processed(destination, group, took, None),
            Err(error) => error.with_error_type(&mut |failure| {
                let failure = failure.is_failure().then_some(failure);
                self.metrics.processed(destination, group, took, failure);
            }),
        }
        result
    }
}

/// The context of a message that was made elsewhere, if it has one.
pub(super) fn made(stored: &Context) -> Option<SpanContext> {
    Some(stored.span().span_context().clone()).filter(SpanContext::is_valid)
}

fn in_group(span: MessageSpan, group: &str) -> MessageSpan {
    if group.is_empty() { span } else { span.group(group) }
}

/// What an operation is measured as.
#[derive(Clone, Copy, Debug)]
enum Measured {
    Send,
    Receive { messages: usize },
    Settle,
}

/// One operation that lasts until the broker has answered: its span and its measurement. Dropped before it is ended, it was
/// given up.
#[derive(Debug)]
pub(super) struct Operation {
    client: Arc<Client>,
    measured: Measured,
    name: &'static str,
    destination: Named,
    group: Box<str>,
    /// Taken when it is ended.
    span: Option<SpanGuard>,
    timer: Timer,
}

impl Operation {
    /// A message on its way: a PRODUCER span, or a CLIENT span with a link if the message was `made` elsewhere.
    pub(super) fn send(
        client: &Arc<Client>,
        name: &'static str,
        destination: Named,
        made: Option<SpanContext>,
        detail: impl FnOnce(MessageSpan) -> MessageSpan,
    ) -> Self {
        let kind = if made.is_some() { SpanKind::Client } else { SpanKind::Producer };
        let linked = |span: MessageSpan| match made {
            Some(made) => detail(span.link(made)),
            None => detail(span),
        };
        Self::start(client, (kind, name, "send"), Measured::Send, destination, "", linked)
    }

    /// Messages that have come.
    pub(super) fn receive<'a>(
        client: &Arc<Client>,
        destination: Named,
        group: &str,
        messages: impl IntoIterator<Item = &'a Context>,
        detail: impl FnOnce(MessageSpan) -> MessageSpan,
    ) -> Self {
        let links: Vec<SpanContext> = messages.into_iter().filter_map(made).collect();
        let linked = |span: MessageSpan| links.iter().cloned().fold(detail(span), MessageSpan::link);
        let operation = (SpanKind::Client, "receive", "receive");
        Self::start(client, operation, Measured::Receive { messages: 0 }, destination, group, linked)
    }

    /// Telling a broker what became of a message.
    pub(super) fn settle(
        client: &Arc<Client>,
        name: &'static str,
        destination: Named,
        group: &str,
        detail: impl FnOnce(MessageSpan) -> MessageSpan,
    ) -> Self {
        Self::start(client, (SpanKind::Client, name, "settle"), Measured::Settle, destination, group, detail)
    }

    fn start(
        client: &Arc<Client>,
        (kind, name, operation_type): (SpanKind, &'static str, &'static str),
        measured: Measured,
        destination: Named,
        group: &str,
        detail: impl FnOnce(MessageSpan) -> MessageSpan,
    ) -> Self {
        let _attached = client.current().attach();
        let shown = client.destinations.of_named(&destination);
        let span = MessageSpan::of_type(kind, client.system, name, operation_type, shown);
        let span = detail(in_group(client.completed(span), group)).start();
        Self {
            client: Arc::clone(client),
            measured,
            name,
            destination,
            group: group.into(),
            span: Some(span),
            timer: client.telemetry().timer(),
        }
    }

    /// How many messages came, and when they were asked for.
    pub(super) fn since(mut self, timer: Timer, messages: usize) -> Self {
        self.timer = timer;
        self.measured = Measured::Receive { messages };
        self
    }

    /// What the message carries.
    pub(super) fn context(&self) -> Option<&Context> {
        self.span.as_ref().map(SpanGuard::context)
    }

    pub(super) fn set<M>(&self, key: impl Into<Key>, value: impl IntoValue<M>) {
        if let Some(span) = &self.span {
            span.set(key, value);
        }
    }

    /// It ended so.
    pub(super) fn end<T, E: AsErrorType>(mut self, result: &Result<T, E>) {
        match result {
            Ok(_) => self.close(Outcome::Ok, None),
            Err(error) => error.with_error_type(&mut |failure| {
                if failure.is_failure() {
                    self.close(Outcome::Error(failure.error_type()), Some(failure));
                } else {
                    self.close(Outcome::Ok, None);
                }
            }),
        }
    }

    fn close(&mut self, outcome: Outcome, failure: Option<&dyn ErrorType>) {
        let Some(span) = self.span.take() else { return };
        let (metrics, took) = (&self.client.metrics, self.timer.elapsed());
        let destination = self.client.destinations.of_named(&self.destination);
        match self.measured {
            Measured::Send => metrics.sent_by(self.name, destination, 1, took, failure),
            Measured::Receive { messages } => {
                let messages = u64::try_from(messages).unwrap_or(u64::MAX);
                metrics.received(destination, &self.group, messages, took, failure);
            }
            Measured::Settle => metrics.settled(self.name, destination, &self.group, took, failure),
        }
        span.end(outcome);
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        let outcome = if std::thread::panicking() { Outcome::Panic } else { Outcome::Cancelled };
        self.close(outcome, None);
    }
}
