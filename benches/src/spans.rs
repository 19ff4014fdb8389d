//! Spans for a load on the viewer: traces of ten spans over seven services, twenty attributes a span.
//!
//! Most values repeat, as they do in real traffic; a few are new in every span (ids, an order number, a size), because
//! these are what a store pays for.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};

const SERVICES: [&str; 7] = ["gateway", "orders", "users", "stock", "payments", "provider", "mail"];
const ROUTES: [&str; 8] =
    ["/orders", "/orders/{id}", "/users/{id}", "/login", "/stock/{id}", "/pay", "/refund", "/mail"];
const SPANS_A_TRACE: u64 = 10;

/// Makes requests of whole traces, each with ids of its own.
pub(crate) struct Spans {
    random: fastrand::Rng,
    /// Nanoseconds since 1970; goes on with every trace.
    now: u64,
}

impl Spans {
    pub(crate) fn new(seed: u64, now: u64) -> Spans {
        Spans { random: fastrand::Rng::with_seed(seed), now }
    }

    /// A request of about `spans` spans of one service, as an SDK's batch is; returns how many it has.
    pub(crate) fn request(&mut self, spans: u32) -> (ExportTraceServiceRequest, u64) {
        let traces = u64::from(spans).div_ceil(SPANS_A_TRACE);
        let mut by_service: Vec<Vec<Span>> = vec![Vec::new(); SERVICES.len()];
        for _ in 0..traces {
            self.trace(&mut by_service);
        }
        let resource_spans = by_service.into_iter().zip(SERVICES).map(|(spans, service)| ResourceSpans {
            resource: Some(Resource {
                attributes: vec![
                    text("service.name", service),
                    text("service.version", "1.4.2"),
                    text("host.name", "worker-7"),
                    text("telemetry.sdk.language", "rust"),
                ],
                ..Resource::default()
            }),
            scope_spans: vec![ScopeSpans {
                scope: Some(InstrumentationScope { name: "http".into(), ..InstrumentationScope::default() }),
                spans,
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        });
        (ExportTraceServiceRequest { resource_spans: resource_spans.collect() }, traces * SPANS_A_TRACE)
    }

    fn trace(&mut self, by_service: &mut [Vec<Span>]) {
        let trace_id = self.random.u128(..).to_be_bytes().to_vec();
        let begun = self.now;
        self.now += 2_000_000 + self.random.u64(..1_000_000);
        let mut parent = Vec::new();
        for place in 0..SPANS_A_TRACE {
            let span_id = self.random.u64(1..).to_be_bytes().to_vec();
            let start = begun + place * 150_000 + self.random.u64(..50_000);
            let span = self.span(trace_id.clone(), span_id.clone(), parent.clone(), start, place);
            let service = usize::try_from(place).unwrap_or_default() % SERVICES.len();
            by_service.get_mut(service).into_iter().for_each(|spans| spans.push(span.clone()));
            if place % 3 == 0 {
                parent = span_id;
            }
        }
    }

    fn span(
        &mut self,
        trace_id: Vec<u8>,
        span_id: Vec<u8>,
        parent_span_id: Vec<u8>,
        start: u64,
        place: u64,
    ) -> Span {
        let route = self.random.choice(ROUTES).unwrap_or("/");
        let has_failed = self.random.u8(..) == 0;
        let max = 1 << self.random.u32(10..24);
        let duration = 400_000 + self.random.u64(..max);
        let status = if has_failed { 500 } else { 200 };
        let attributes = vec![
            text("http.request.method", self.random.choice(["GET", "POST"]).unwrap_or("GET")),
            text("http.route", route),
            whole("http.response.status_code", status),
            text("url.scheme", "http"),
            text("url.path", route),
            text("server.address", "shop.example"),
            whole("server.port", 8080),
            text("client.address", &format!("10.0.{}.{}", self.random.u8(..), self.random.u8(..8))),
            whole("client.port", i64::from(self.random.u16(1024..))),
            text("network.protocol.version", "1.1"),
            text("user_agent.original", "load/1.0 (benchmark)"),
            text("user.id", &format!("user{}", self.random.u32(..10_000))),
            text("tenant.id", self.random.choice(["north", "south", "east", "west"]).unwrap_or("north")),
            text("order.id", &format!("{:016x}", self.random.u64(..))),
            text(
                "order.status",
                self.random.choice(["pending", "confirmed", "completed"]).unwrap_or("pending"),
            ),
            text("db.system.name", "postgresql"),
            text("db.query.text", "SELECT id, status, amount FROM orders WHERE id = $1"),
            whole("http.response.body.size", self.random.i64(..50_000)),
            double("payment.amount", f64::from(self.random.u32(..100_000)) / 100.0),
            boolean("cache.hit", self.random.bool()),
        ];
        Span {
            trace_id,
            span_id,
            parent_span_id,
            name: format!(
                "{} {route}",
                SERVICES.get(usize::try_from(place).unwrap_or_default() % 7).unwrap_or(&"x")
            ),
            kind: if place.is_multiple_of(2) { 2 } else { 3 },
            start_time_unix_nano: start,
            end_time_unix_nano: start + duration,
            attributes,
            status: has_failed.then(|| Status { code: 2, message: "it failed".into() }),
            ..Span::default()
        }
    }
}

fn value(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.into(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

fn text(key: &str, text: &str) -> KeyValue {
    value(key, Value::StringValue(text.into()))
}

fn whole(key: &str, number: i64) -> KeyValue {
    value(key, Value::IntValue(number))
}

fn double(key: &str, number: f64) -> KeyValue {
    value(key, Value::DoubleValue(number))
}

fn boolean(key: &str, truth: bool) -> KeyValue {
    value(key, Value::BoolValue(truth))
}
