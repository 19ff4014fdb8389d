//! What the spans and metrics of one client of Kafka have in common.

use std::borrow::Cow;
use std::sync::Arc;

use opentelemetry::Context;
use rdkafka::ClientConfig;
use rdkafka::message::Message;

use super::super::{MessageSpan, Metrics};
use super::statistics::{self, Client, Statistics};
use super::{Kafka, SYSTEM};
use crate::core::handle::Telemetry;

/// What the spans and metrics of one client have in common.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) kafka: Kafka,
    pub(super) client: Arc<Client>,
    pub(super) metrics: Metrics,
}

impl Shared {
    /// Of a client with this configuration.
    pub(super) fn of(kafka: &Kafka, config: &ClientConfig) -> Arc<Self> {
        let servers = config.get("bootstrap.servers").or_else(|| config.get("metadata.broker.list"));
        let server = kafka.server.clone().or_else(|| servers.and_then(first_server));
        let mut metrics = Metrics::new(&kafka.telemetry, SYSTEM);
        if let Some((address, port)) = &server {
            metrics = metrics.server(&**address, *port);
        }
        let client = Client {
            id: config.get("client.id").unwrap_or("rdkafka").into(),
            group: config.get("group.id").map(Into::into),
            statistics: Statistics::default(),
        };
        let client = statistics::observed(&kafka.telemetry, client);
        Arc::new(Self { kafka: Kafka { server, ..kafka.clone() }, client, metrics })
    }

    pub(super) fn telemetry(&self) -> &Telemetry {
        &self.kafka.telemetry
    }

    /// What is current, as far as it is known to this handle.
    pub(super) fn current(&self) -> Context {
        self.telemetry().carried_by(Context::current())
    }

    /// A span with what all of this client have in common.
    pub(super) fn completed(&self, span: MessageSpan) -> MessageSpan {
        let span = span.attr("messaging.client.id", self.client.id.to_string());
        match &self.kafka.server {
            Some((address, port)) => span.server(&**address, *port),
            None => span,
        }
    }

    /// With what a message says of itself.
    pub(super) fn of_message(
        &self,
        span: MessageSpan,
        key: Option<&[u8]>,
        is_tombstone: bool,
    ) -> MessageSpan {
        let span = if is_tombstone { span.tombstone() } else { span };
        match key.filter(|_| self.kafka.records_keys) {
            Some(key) => span.key(String::from_utf8_lossy(key).into_owned()),
            None => span,
        }
    }

    /// With where a message is, and the group that it is read in.
    pub(super) fn of_received(&self, span: MessageSpan, message: &impl Message) -> MessageSpan {
        let span = span.partition(message.partition()).offset(message.offset());
        self.of_message(span, message.key(), message.payload().is_none())
    }

    pub(super) fn group(&self) -> &str {
        self.client.group.as_deref().unwrap_or_default()
    }

    pub(super) fn in_group(&self, span: MessageSpan) -> MessageSpan {
        match &self.client.group {
            Some(group) => span.group(group.to_string()),
            None => span,
        }
    }
}

/// The first of `a:9092,b:9092`, which may have a protocol in front.
fn first_server(servers: &str) -> Option<(Arc<str>, Option<u16>)> {
    let first = servers.split(',').next()?.trim();
    let first = first.split_once("://").map_or(first, |(_, address)| address);
    let (address, port) = match first.rsplit_once(':') {
        Some((address, port)) => (address, port.parse().ok()),
        None => (first, None),
    };
    let address = address.trim_matches(['[', ']']);
    (!address.is_empty()).then(|| (address.into(), port))
}

/// What several messages come from: their topic, or all of them.
pub(super) fn topics<'a>(topics: impl Iterator<Item = &'a str>) -> Cow<'a, str> {
    let mut names: Vec<&str> = topics.collect();
    names.sort_unstable();
    names.dedup();
    match names.as_slice() {
        [only] => Cow::Borrowed(only),
        several => Cow::Owned(several.join(",")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bootstrap_server_is_the_server() {
        assert_eq!(first_server("a:9092, b:9093"), Some(("a".into(), Some(9092))));
        assert_eq!(first_server("SSL://[::1]:9093"), Some(("::1".into(), Some(9093))));
        assert_eq!(first_server("kafka"), Some(("kafka".into(), None)));
        assert_eq!(first_server(""), None);
    }

    #[test]
    fn topics_are_named_once() {
        assert_eq!(topics(["b", "a", "b"].into_iter()), "a,b");
        assert_eq!(topics(["a", "a"].into_iter()), "a");
    }
}
