//! Spans and metrics of messaging: PRODUCER and CONSUMER, and the context inside a message.
//!
//! For the code that wraps a broker's client. [`send_span`] and [`process_span`] start from the conventions
//! (`{operation} {destination}`, `messaging.*`) and take the rest from setters; the context travels in the message's
//! headers through [`HeaderCarrier`]. A consumer belongs to the message's trace by parent or by link, as the caller
//! chooses. Message bodies are never recorded; keys only where the conventions have a place for them. Left out: the
//! brokers' clients.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! use waypost_telemetry::messaging::{Correlation, HeaderCarrier, process_span, send_span};
//! use waypost_telemetry::testing::TestTelemetry;
//! use waypost_telemetry::{propagation, with_context};
//!
//! let telemetry = TestTelemetry::new("order-service");
//! with_context(telemetry.context(), async {
//!     let mut headers: Vec<(String, Vec<u8>)> = Vec::new();
//!     let sending = send_span("kafka", "order-events").message_id("event-1").start();
//!     propagation::inject(sending.context(), &mut HeaderCarrier(&mut headers));
//!     sending.end(waypost_telemetry::Outcome::Ok);
//!
//!     let stored = propagation::extract(&HeaderCarrier(&headers));
//!     process_span("kafka", "order-events", &stored, Correlation::Parent).partition(3).observe(async {}).await;
//! })
//! .await;
//!
//! let spans = telemetry.finished_spans();
//! assert_eq!(spans[1].name(), "process order-events");
//! assert_eq!(spans[1].parent_id(), Some(spans[0].span_id()));
//! # });
//! ```

mod carrier;
#[cfg(feature = "_broker")]
mod client;
mod destination;
#[cfg(feature = "_broker")]
mod destinations;
#[cfg(feature = "kafka")]
pub mod kafka;
mod metrics;
#[cfg(feature = "nats")]
pub mod nats;
#[cfg(feature = "rabbitmq")]
pub mod rabbitmq;

use std::future::Future;

use opentelemetry::baggage::BaggageExt;
use opentelemetry::trace::{SpanContext, SpanKind, TraceContextExt};
use opentelemetry::{Context, Key, Value};

use crate::base::error::AsErrorType;
use crate::base::names::{self, Kind};
use crate::core::propagation;
use crate::core::span::{Run, SpanBuilder, SpanGuard, span};
pub use carrier::HeaderCarrier;
pub use destination::Destination;
pub use metrics::Metrics;

/// How the span of a consumer belongs to the trace of its message.
///
/// ```
/// use waypost_telemetry::messaging::{Correlation, process_span};
/// use waypost_telemetry::{propagation::context_from, testing::TestTelemetry};
///
/// let telemetry = TestTelemetry::new("mail");
/// let _attached = telemetry.context().attach();
/// let stored = context_from(Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"), None);
/// process_span("kafka", "orders", &stored, Correlation::Link).in_scope(|| ());
/// let span = telemetry.only_span("process orders");
/// assert_eq!((span.parent_id(), span.links().len()), (None, 1));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Correlation {
    /// The span in the message is the parent: one trace from the producer to the end. What is current becomes
    /// a link. For messages that are processed one by one.
    Parent,
    /// The span in the message is a link; what is current is the parent. The default of the conventions.
    #[default]
    Link,
}

/// A PRODUCER span around handing one message to a broker, ended by its acknowledgement: `send {destination}`. Its
/// context is the one that the message carries; where [`create_span`] made that, [`send_batch_span`] is right.
///
/// ```
/// use waypost_telemetry::{messaging::send_span, testing::TestTelemetry};
///
/// let telemetry = TestTelemetry::new("order-service");
/// let _attached = telemetry.context().attach();
/// send_span("kafka", "orders").key("order-1").partition(3).body_size(120).in_scope(|| ());
/// telemetry.tree().assert_matches("\"send orders\" PRODUCER order-service messaging.kafka.message.key=order-1");
/// ```
pub fn send_span<'a>(system: &'static str, destination: impl Into<Destination<'a>>) -> MessageSpan {
    MessageSpan::new(SpanKind::Producer, system, "send", destination)
}

/// A CLIENT span around handing over messages that carry the contexts of their [`create_span`]s already, with a link to
/// each: `send {destination}`.
///
/// ```
/// use waypost_telemetry::messaging::{create_span, send_batch_span};
/// use waypost_telemetry::testing::TestTelemetry;
///
/// let telemetry = TestTelemetry::new("order-service");
/// let _attached = telemetry.context().attach();
/// let messages = [create_span("kafka", "orders").start(), create_span("kafka", "orders").start()];
/// send_batch_span("kafka", "orders", messages.iter().map(|message| message.context())).in_scope(|| ());
/// let sent = telemetry.only_span("send orders");
/// assert_eq!((sent.links().len(), sent.attribute("messaging.batch.message_count")), (2, Some(&2.into())));
/// ```
pub fn send_batch_span<'a, 'd>(
    system: &'static str,
    destination: impl Into<Destination<'d>>,
    created: impl IntoIterator<Item = &'a Context>,
) -> MessageSpan {
    MessageSpan::new(SpanKind::Client, system, "send", destination).linked_to(created)
}

/// A PRODUCER span for making one message of a batch that is sent later: `create {destination}`.
///
/// ```
/// use waypost_telemetry::{messaging::create_span, testing::TestTelemetry};
///
/// let telemetry = TestTelemetry::new("order-service");
/// let _attached = telemetry.context().attach();
/// create_span("kafka", "orders").message_id("m-1").in_scope(|| ());
/// telemetry.tree().assert_matches("\"create orders\" PRODUCER order-service messaging.message.id=m-1");
/// ```
pub fn create_span<'a>(system: &'static str, destination: impl Into<Destination<'a>>) -> MessageSpan {
    MessageSpan::new(SpanKind::Producer, system, "create", destination)
}

/// A CLIENT span around asking a broker for messages: `receive {destination}`.
///
/// ```
/// use waypost_telemetry::{messaging::receive_span, testing::TestTelemetry};
///
/// let telemetry = TestTelemetry::new("mail");
/// let _attached = telemetry.context().attach();
/// receive_span("kafka", "orders").group("mail").batch(2).in_scope(|| ());
/// telemetry.tree().assert_matches("\"receive orders\" CLIENT mail messaging.batch.message_count=2");
/// ```
pub fn receive_span<'a>(system: &'static str, destination: impl Into<Destination<'a>>) -> MessageSpan {
    MessageSpan::new(SpanKind::Client, system, "receive", destination)
}

/// A CLIENT span around telling a broker what became of messages: `settle {destination}`.
///
/// ```
/// use waypost_telemetry::{messaging::settle_span, testing::TestTelemetry};
///
/// let telemetry = TestTelemetry::new("mail");
/// let _attached = telemetry.context().attach();
/// settle_span("rabbitmq", "orders").in_scope(|| ());
/// telemetry.tree().assert_matches("\"settle orders\" CLIENT mail");
/// ```
pub fn settle_span<'a>(system: &'static str, destination: impl Into<Destination<'a>>) -> MessageSpan {
    MessageSpan::new(SpanKind::Client, system, "settle", destination)
}

/// A CONSUMER span around the processing of one message: `process {destination}`. `stored` is the context that the
/// message brought along; its baggage is taken over.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// use waypost_telemetry::messaging::{Correlation, process_span};
/// use waypost_telemetry::{propagation::context_from, testing::TestTelemetry};
///
/// let telemetry = TestTelemetry::new("mail");
/// let _attached = telemetry.context().attach();
/// let stored = context_from(Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"), None);
/// let span = process_span("kafka", "orders", &stored, Correlation::Parent).group("mail").offset(4);
/// span.run(async { Err::<(), _>(std::io::Error::from(std::io::ErrorKind::TimedOut)) }).await.unwrap_err();
/// telemetry.tree().assert_matches("\"process orders\" CONSUMER mail ERROR error.type=timed_out");
/// # });
/// ```
pub fn process_span<'a>(
    system: &'static str,
    destination: impl Into<Destination<'a>>,
    stored: &Context,
    correlation: Correlation,
) -> MessageSpan {
    let process = MessageSpan::new(SpanKind::Consumer, system, "process", destination);
    let current = Context::current();
    let stored_span = stored.span().span_context().clone();
    match correlation {
        Correlation::Parent if stored_span.is_valid() => {
            let parent = propagation::below(&with_baggage_of(&current, stored), stored);
            process.parent(&parent).link(current.span().span_context().clone())
        }
        Correlation::Parent | Correlation::Link => {
            process.parent(&with_baggage_of(&current, stored)).link(stored_span)
        }
    }
}

/// A CONSUMER span around the processing of several messages at once: child of what is current, with a link to
/// the context of each.
///
/// ```
/// use waypost_telemetry::messaging::process_batch_span;
/// use waypost_telemetry::{propagation::context_from, testing::TestTelemetry};
///
/// let telemetry = TestTelemetry::new("mail");
/// let _attached = telemetry.context().attach();
/// let stored = context_from(Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"), None);
/// process_batch_span("kafka", "orders", [&stored]).in_scope(|| ());
/// assert_eq!(telemetry.only_span("process orders").links().len(), 1);
/// ```
pub fn process_batch_span<'a, 'd>(
    system: &'static str,
    destination: impl Into<Destination<'d>>,
    stored: impl IntoIterator<Item = &'a Context>,
) -> MessageSpan {
    MessageSpan::new(SpanKind::Consumer, system, "process", destination).linked_to(stored)
}

fn with_baggage_of(context: &Context, stored: &Context) -> Context {
    if stored.baggage().is_empty() {
        return context.clone();
    }
    context.with_baggage(stored.baggage().iter().map(|(key, (value, metadata))| {
        opentelemetry::baggage::KeyValueMetadata::new(key.clone(), value.clone(), metadata.clone())
    }))
}

/// A span of messaging about to start: a [`SpanBuilder`] that knows the conventions' names.
///
/// ```
/// use waypost_telemetry::{messaging::send_span, testing::TestTelemetry};
///
/// let telemetry = TestTelemetry::new("order-service");
/// let _attached = telemetry.context().attach();
/// let reply = send_span("kafka", "reply-4711").destination_template("reply-{client}");
/// reply.server("broker", Some(9_092)).tombstone().attr("messaging.client.id", "shop-1").start();
/// let span = telemetry.only_span("send reply-{client}");
/// assert_eq!(span.attribute("server.port"), Some(&9_092.into()));
/// ```
#[derive(Debug)]
#[must_use = "a span that is not run or started records nothing"]
pub struct MessageSpan {
    system: &'static str,
    operation: &'static str,
    span: SpanBuilder,
}

impl MessageSpan {
    fn new<'a>(
        kind: SpanKind,
        system: &'static str,
        operation: &'static str,
        destination: impl Into<Destination<'a>>,
    ) -> Self {
        Self::of_type(kind, system, operation, operation, destination.into())
    }

    /// `operation` is what the system calls it, `operation_type` what the conventions do.
    fn of_type(
        kind: SpanKind,
        system: &'static str,
        operation: &'static str,
        operation_type: &'static str,
        destination: Destination<'_>,
    ) -> Self {
        let name = names::name(Kind::Destination, operation, destination.shown());
        let mut span = span(name.full)
            .kind(kind)
            .attr("messaging.system", system)
            .attr("messaging.operation.name", operation)
            .attr("messaging.operation.type", operation_type);
        if destination.template.is_some() {
            if let Some(own) = destination.name {
                span = span.attr("messaging.destination.name", own.to_owned());
            }
            span = span.attr("messaging.destination.template", name.target);
        } else {
            span = span.attr("messaging.destination.name", name.target);
        }
        if destination.is_temporary {
            span = span.attr("messaging.destination.temporary", true);
        }
        Self { system, operation, span }
    }

    /// A CLIENT span for handing on a message that has a context already.
    #[cfg(feature = "kafka")]
    fn handing_on(system: &'static str, destination: &str) -> Self {
        Self::new(SpanKind::Client, system, "send", destination)
    }

    /// A CLIENT span for telling Kafka how far it was read.
    #[cfg(feature = "kafka")]
    fn committing(system: &'static str, destination: &str) -> Self {
        Self::of_type(SpanKind::Client, system, "commit", "settle", destination.into())
    }

    /// A link to each of these contexts, and their number.
    fn linked_to<'a>(mut self, messages: impl IntoIterator<Item = &'a Context>) -> Self {
        let mut count = 0;
        for context in messages {
            self = self.link(context.span().span_context().clone());
            count += 1;
        }
        self.batch(count)
    }

    /// What the names of many destinations are made from, such as `reply-{client}`: recorded, and the span is named by
    /// it. For destinations whose own names are many.
    pub fn destination_template(self, template: &str) -> Self {
        let name = names::name(Kind::Destination, self.operation, template);
        let span = self.span.named(name.full).attr("messaging.destination.template", name.target);
        Self { span, ..self }
    }

    /// The broker, as the program was told to reach it.
    pub fn server(self, address: impl Into<String>, port: Option<u16>) -> Self {
        let named = self.attr("server.address", address.into());
        match port {
            Some(port) => named.attr("server.port", i64::from(port)),
            None => named,
        }
    }

    /// The message has a key and no value: what had this key is gone. Recorded for Kafka only.
    pub fn tombstone(self) -> Self {
        if self.system == "kafka" { self.attr("messaging.kafka.message.tombstone", true) } else { self }
    }

    /// The partition of the destination.
    pub fn partition(self, partition: impl std::fmt::Display) -> Self {
        self.attr("messaging.destination.partition.id", partition.to_string())
    }

    /// The position in the partition. Recorded for Kafka only: the conventions have no other place for it.
    pub fn offset(self, offset: i64) -> Self {
        if self.system == "kafka" { self.attr("messaging.kafka.offset", offset) } else { self }
    }

    /// The key of the message. Recorded for Kafka only. Give it only if it is no secret.
    pub fn key(self, key: impl Into<String>) -> Self {
        if self.system == "kafka" { self.attr("messaging.kafka.message.key", key.into()) } else { self }
    }

    /// The group the consumer belongs to.
    pub fn group(self, group: impl Into<String>) -> Self {
        self.attr("messaging.consumer.group.name", group.into())
    }

    /// The id of the message.
    pub fn message_id(self, id: impl Into<String>) -> Self {
        self.attr("messaging.message.id", id.into())
    }

    /// The size of the message's body in bytes.
    pub fn body_size(self, bytes: usize) -> Self {
        self.attr("messaging.message.body.size", i64::try_from(bytes).unwrap_or(i64::MAX))
    }

    /// The number of messages, for an operation on several.
    pub fn batch(self, messages: usize) -> Self {
        self.attr("messaging.batch.message_count", i64::try_from(messages).unwrap_or(i64::MAX))
    }

    /// Any other attribute.
    pub fn attr(self, key: impl Into<Key>, value: impl Into<Value>) -> Self {
        Self { span: self.span.attr(key, value), ..self }
    }

    /// A link to another span; an invalid one is left out.
    pub fn link(self, span: SpanContext) -> Self {
        Self { span: self.span.link(span), ..self }
    }

    /// Another parent than the current context.
    pub fn parent(self, parent: &Context) -> Self {
        Self { span: self.span.parent(parent), ..self }
    }

    /// See [`SpanBuilder::run`].
    pub fn run<T, E: AsErrorType, F: Future<Output = Result<T, E>>>(self, future: F) -> Run<F> {
        self.span.run(future)
    }

    /// See [`SpanBuilder::observe`].
    pub fn observe<F: Future>(self, future: F) -> Run<F> {
        self.span.observe(future)
    }

    /// See [`SpanBuilder::start`].
    pub fn start(self) -> SpanGuard {
        self.span.start()
    }

    /// See [`SpanBuilder::in_scope`].
    pub fn in_scope<T>(self, f: impl FnOnce() -> T) -> T {
        self.span.in_scope(f)
    }

    /// The builder of the kit's own spans, for what is not here.
    pub fn into_span(self) -> SpanBuilder {
        self.span
    }
}
