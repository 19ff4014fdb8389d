//! The kit and its peers behind one door, each used as its own documentation shows.
//!
//! All of them take their settings from the standard variables: endpoint, protocol, compression, sampler, queue and
//! batch. What differs is code, never configuration, but for what a library does not have: fastrace reads no
//! variable, has neither sampler nor queue, and sends attributes as text.

mod bridge;
mod fastrace;
mod kit;
mod oxtel;
pub(crate) mod sdk;

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context as _, bail};

use crate::account::Account;
use crate::order::Order;
use crate::process::Environment;

/// A library that traces orders.
pub(crate) trait Library: Send + Sync {
    /// Opens and ends the four spans of one request.
    fn request(&self, order: &Order);

    /// Sends what waits, and waits for it.
    fn flush(&self) {}

    /// What the library says became of its spans.
    fn account(&self) -> Option<Account> {
        None
    }

    /// Sends what waits and stops.
    fn shutdown(&self) {}
}

/// How spans travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Http,
    HttpGzip,
    Grpc,
}

/// A library and its transport.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Variant {
    pub(crate) name: &'static str,
    pub(crate) transport: Transport,
    open: fn(Transport) -> anyhow::Result<Arc<dyn Library>>,
}

const fn variant(
    name: &'static str,
    transport: Transport,
    open: fn(Transport) -> anyhow::Result<Arc<dyn Library>>,
) -> Variant {
    Variant { name, transport, open }
}

const VARIANTS: [Variant; 15] = [
    variant("none", Transport::Http, |_| Ok(Arc::new(Untraced))),
    variant("kit-http", Transport::Http, |_| kit::own_api()),
    variant("kit-grpc", Transport::Grpc, |_| kit::own_api()),
    variant("kit-http-gzip", Transport::HttpGzip, |_| kit::own_api()),
    variant("kit-otel-api-http", Transport::Http, |_| kit::opentelemetry_api()),
    variant("kit-otel-api-grpc", Transport::Grpc, |_| kit::opentelemetry_api()),
    variant("sdk-http", Transport::Http, sdk::open),
    variant("sdk-grpc", Transport::Grpc, sdk::open),
    variant("sdk-http-gzip", Transport::HttpGzip, sdk::open),
    variant("bridge-http", Transport::Http, |transport| bridge::open(transport, bridge::Fields::Default)),
    variant("bridge-grpc", Transport::Grpc, |transport| bridge::open(transport, bridge::Fields::Default)),
    variant("bridge-lean-http", Transport::Http, |transport| bridge::open(transport, bridge::Fields::Own)),
    variant("fastrace-http", Transport::Http, fastrace::open),
    variant("fastrace-grpc", Transport::Grpc, fastrace::open),
    variant("oxtel-http", Transport::Http, |_| oxtel::open()),
];

impl Variant {
    pub(crate) fn named(name: &str) -> anyhow::Result<Self> {
        let found = VARIANTS.iter().find(|variant| variant.name == name);
        found.copied().with_context(|| format!("no variant is called {name}"))
    }

    /// Starts the library. Its variables must be set already.
    pub(crate) fn open(&self) -> anyhow::Result<Arc<dyn Library>> {
        (self.open)(self.transport)
    }

    /// The variables of a process that is to send to `receiver`: traces only.
    pub(crate) fn environment(&self, receiver: SocketAddr) -> Environment {
        let mut environment = vec![
            ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{receiver}")),
            ("OTEL_SERVICE_NAME", "shop".to_owned()),
            ("OTEL_TRACES_EXPORTER", "otlp".to_owned()),
            ("OTEL_METRICS_EXPORTER", "none".to_owned()),
            ("OTEL_LOGS_EXPORTER", "none".to_owned()),
            ("OXTEL_LOG_FORMAT", "none".to_owned()),
        ];
        let protocol = match self.transport {
            Transport::Http | Transport::HttpGzip => "http/protobuf",
            Transport::Grpc => "grpc",
        };
        environment.push(("OTEL_EXPORTER_OTLP_PROTOCOL", protocol.to_owned()));
        if self.transport == Transport::HttpGzip {
            environment.push(("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip".to_owned()));
        }
        environment
    }
}

/// The same queue, batch and delay for all.
pub(crate) fn equal_batches() -> Environment {
    vec![
        ("OTEL_BSP_MAX_QUEUE_SIZE", "16384".to_owned()),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "512".to_owned()),
        ("OTEL_BSP_SCHEDULE_DELAY", "1000".to_owned()),
    ]
}

/// What the loop around the spans costs.
struct Untraced;

impl Library for Untraced {
    fn request(&self, order: &Order) {
        std::hint::black_box(order);
    }
}

/// The sampler for a library that does not read its variable.
fn is_sampled() -> anyhow::Result<bool> {
    match std::env::var("OTEL_TRACES_SAMPLER").as_deref() {
        Ok("always_off") => Ok(false),
        Ok("always_on") | Err(_) => Ok(true),
        Ok(other) => bail!("{other} is not known here"),
    }
}
