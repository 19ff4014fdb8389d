//! The collector that the kit gives to tests: every protocol over real sockets, and every way to answer.

use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;
use waypost_telemetry::config::{Compression, Exporter};
use waypost_telemetry::testing::collector::{FakeCollector, Protocol, Reply, Signal};
use waypost_telemetry::testing::conventions::Conventions;
use waypost_telemetry::testing::{TestTelemetry, assert_logs, normalized};
use waypost_telemetry::{DropReason, Telemetry, record_error, span};

use crate::receiver::PATIENCE;

#[path = "../../examples/testing.rs"]
mod example;

fn start(collector: &FakeCollector, exporter: Exporter, compression: Compression) -> Telemetry {
    let mut settings = TestTelemetry::settings("shop");
    settings.traces.exporters = vec![exporter];
    settings.logs.exporters = vec![exporter];
    settings.metrics.exporters = vec![exporter];
    settings.otlp.endpoint = Some(collector.endpoint());
    settings.otlp.compression = compression;
    waypost_telemetry::init(settings).unwrap()
}

fn record(telemetry: &Telemetry) {
    let orders = telemetry.meter().u64_counter("orders").build();
    let price = telemetry.meter().f64_histogram("price").with_boundaries(vec![10.0]).build();
    telemetry.span("place").in_scope(|| {
        span("pay").in_scope(|| record_error(&std::io::Error::from(std::io::ErrorKind::TimedOut)));
        orders.add(2, &[]);
        price.record(12.5, &[]);
    });
}

#[test]
fn every_protocol_brings_the_same() {
    for (exporter, protocol, compression) in [
        (Exporter::OtlpHttp, Protocol::HttpProtobuf, Compression::None),
        (Exporter::OtlpHttp, Protocol::HttpProtobuf, Compression::Gzip),
        (Exporter::OtlpHttpJson, Protocol::HttpJson, Compression::None),
        (Exporter::OtlpHttpJson, Protocol::HttpJson, Compression::Gzip),
        (Exporter::OtlpGrpc, Protocol::Grpc, Compression::None),
        (Exporter::OtlpGrpc, Protocol::Grpc, Compression::Gzip),
    ] {
        let collector = FakeCollector::start();
        let telemetry = start(&collector, exporter, compression);
        record(&telemetry);
        assert!(telemetry.shutdown_blocking(PATIENCE).complete, "{protocol:?}");

        assert_eq!(collector.broken(), [""; 0], "{protocol:?}");
        let requests = collector.requests();
        for signal in [Signal::Traces, Signal::Metrics, Signal::Logs] {
            let of_signal: Vec<_> = requests.iter().filter(|request| request.signal == signal).collect();
            assert!(!of_signal.is_empty(), "{signal:?}");
            assert!(of_signal.iter().all(|request| request.protocol == protocol));
            assert!(of_signal.iter().all(|request| request.is_gzip == (compression == Compression::Gzip)));
        }
        collector.tree().assert_matches(
            "place INTERNAL shop
               pay INTERNAL shop ERROR error.type=timed_out",
        );
        assert_logs(&collector.logs(), "ERROR \"timed out\" error.type=timed_out exception.type=*");
        let metrics = collector.metrics();
        let orders = metrics.point("orders", &[]);
        assert_eq!((orders.value(), orders.exemplars().len()), (2.0, 1), "{protocol:?}\n{metrics}");
        let place = collector.spans().into_iter().find(|span| span.name() == "place").unwrap();
        assert_eq!(orders.exemplars()[0].0, place.trace_id(), "exemplars lead to their trace");
        let price = metrics.point("price", &[]);
        assert_eq!((price.count(), price.value(), price.buckets()), (1, 12.5, &[0, 1][..]));
        assert_eq!(
            (metrics.metric("price").bounds(), metrics.metric("price").service_name()),
            (&[10.0][..], "shop")
        );
        let conventions = Conventions::current();
        let check = conventions.begin().spans(&collector.spans()).logs(&collector.logs());
        let only_own: Vec<_> =
            metrics.received().into_iter().filter(|metric| metric.name.starts_with("otel.")).collect();
        check.received_metrics(&only_own).report().assert_clean();
    }
}

fn traces(collector: &FakeCollector, exporter: Exporter) -> Telemetry {
    let mut settings = TestTelemetry::settings("shop");
    settings.traces.exporters = vec![exporter];
    settings.traces.batch.export_timeout = Duration::from_secs(10);
    settings.logs.exporters.clear();
    settings.otlp.endpoint = Some(collector.endpoint());
    settings.otlp.timeout = Duration::from_secs(1);
    waypost_telemetry::init(settings).unwrap()
}

#[test]
fn a_collector_that_was_away_gets_it_later() {
    let now = Reply::throttled(Duration::ZERO);
    for (exporter, firsts) in [
        (Exporter::OtlpHttp, [Reply::unavailable(), Reply::cut()]),
        (Exporter::OtlpHttpJson, [now.clone(), Reply::hang()]),
        (Exporter::OtlpGrpc, [Reply::unavailable(), now.clone()]),
    ] {
        for first in firsts {
            let reply = first.clone();
            let collector = FakeCollector::start_with(move |request| {
                if request.number == 1 { reply.clone() } else { Reply::ok().after(Duration::from_millis(1)) }
            });
            let telemetry = traces(&collector, exporter);
            telemetry.span("place").in_scope(|| ());
            assert!(telemetry.flush_blocking(PATIENCE).complete, "{exporter:?} {first:?}");
            let accepted: Vec<bool> =
                collector.requests().iter().map(|request| request.is_accepted).collect();
            assert_eq!(accepted, [false, true], "{exporter:?} {first:?}");
            assert_eq!(telemetry.ledger().exported(), 1);
            assert_eq!(collector.spans().len(), 1);
            telemetry.shutdown_blocking(PATIENCE);
        }
    }
}

#[test]
fn what_is_refused_is_counted_by_the_kit() {
    for exporter in [Exporter::OtlpHttp, Exporter::OtlpHttpJson, Exporter::OtlpGrpc] {
        let collector = FakeCollector::start_with(|_| Reply::partial(2, "too many"));
        let telemetry = traces(&collector, exporter);
        for _ in 0..5 {
            telemetry.span("place").in_scope(|| ());
        }
        assert!(telemetry.flush_blocking(PATIENCE).complete);
        let ledger = telemetry.ledger();
        assert_eq!((ledger.exported(), ledger.dropped_for(DropReason::Rejected)), (3, 2), "{exporter:?}");

        collector.answer(|_| Reply::refused());
        telemetry.span("place").in_scope(|| ());
        assert!(telemetry.flush_blocking(PATIENCE).complete);
        assert_eq!(telemetry.ledger().dropped_for(DropReason::ExportFailed), 1, "{exporter:?}");
        telemetry.shutdown_blocking(PATIENCE);
    }
}

#[tokio::test]
async fn waiting_ends_when_enough_is_there() {
    let collector = FakeCollector::start();
    let telemetry = traces(&collector, Exporter::OtlpHttp);
    telemetry.span("place").in_scope(|| ());
    collector.wait_for(PATIENCE, |collector| collector.spans().len() == 1).await;
    collector.forget();
    assert!(collector.requests().is_empty());
    telemetry.span("pay").in_scope(|| ());
    collector.wait_for_blocking(PATIENCE, |collector| collector.spans().len() == 1);
    assert_eq!(collector.requests()[0].number, 2);
    telemetry.shutdown(PATIENCE).await;
}

#[test]
fn a_snapshot_is_the_same_in_every_run() {
    let run = || {
        let telemetry = TestTelemetry::new("shop");
        record(&telemetry);
        telemetry.span("later").in_scope(|| ());
        let spans = normalized(&telemetry.finished_spans());
        let ids: Vec<_> = spans
            .iter()
            .map(|span| format!("{} {} {}", span.name(), span.trace_id(), span.span_id()))
            .collect();
        let parents: Vec<_> = spans.iter().map(|span| span.parent_id().map(|id| id.to_string())).collect();
        (ids.join("\n"), parents, spans.iter().map(|span| span.start() < span.end()).collect::<Vec<_>>())
    };
    let (ids, parents, _) = run();
    assert_eq!(
        ids,
        "place 00000000000000000000000000000001 0000000000000001
pay 00000000000000000000000000000001 0000000000000002
later 00000000000000000000000000000002 0000000000000003"
    );
    assert_eq!(parents, [None, Some("0000000000000001".to_owned()), None]);
    assert_eq!(run().0, ids);
}

fn official() -> ExportTraceServiceRequest {
    let text = |text: &str| Some(AnyValue { value: Some(Value::StringValue(text.to_owned())) });
    let attribute = |key: &str, value| KeyValue { key: key.to_owned(), value, ..KeyValue::default() };
    let whole = Some(AnyValue { value: Some(Value::IntValue(-7)) });
    let span = Span {
        trace_id: vec![1; 16],
        span_id: vec![2; 8],
        name: "official".to_owned(),
        kind: 2,
        start_time_unix_nano: 5,
        end_time_unix_nano: u64::MAX / 4,
        attributes: vec![attribute("order.id", text("")), attribute("order.items", whole)],
        flags: 0x101,
        ..Span::default()
    };
    let resource =
        Resource { attributes: vec![attribute("service.name", text("other"))], ..Resource::default() };
    let scope_spans = vec![ScopeSpans { spans: vec![span], ..ScopeSpans::default() }];
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(resource),
            scope_spans,
            ..ResourceSpans::default()
        }],
    }
}

#[tokio::test]
async fn the_official_client_is_served() {
    let collector = FakeCollector::start_with(|request| {
        if request.number == 1 { Reply::partial(1, "one") } else { Reply::throttled(Duration::from_secs(7)) }
    });
    let channel = tonic::transport::Endpoint::new(collector.endpoint()).unwrap().connect().await.unwrap();
    let mut client =
        TraceServiceClient::new(channel).send_compressed(tonic::codec::CompressionEncoding::Gzip);
    let partial = client.export(official()).await.unwrap().into_inner().partial_success.unwrap();
    assert_eq!((partial.rejected_spans, partial.error_message.as_str()), (1, "one"));
    let refused = client.export(official()).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::ResourceExhausted);
    assert!(!refused.details().is_empty(), "it says when to come again");

    let request = &collector.requests()[0];
    assert!(request.is_gzip && request.is_accepted);
    assert_eq!(ExportTraceServiceRequest::decode(request.message.clone()).unwrap(), official());
    collector.tree().assert_matches("official SERVER other order.items=-7");
}

/// Posts by hand; the answer whole.
fn posted(collector: &FakeCollector, body: &[u8]) -> String {
    use std::io::{Read as _, Write as _};
    let mut connection = std::net::TcpStream::connect(collector.address()).unwrap();
    let head = format!(
        "POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n",
        body.len()
    );
    connection.write_all(head.as_bytes()).unwrap();
    connection.write_all(body).unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn the_official_json_is_read() {
    let collector = FakeCollector::start();
    let answer = posted(&collector, &serde_json::to_vec(&official()).unwrap());
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer} {:?}", collector.broken());
    let message = collector.requests()[0].message.clone();
    assert_eq!(ExportTraceServiceRequest::decode(message).unwrap(), official());
}

#[test]
fn what_is_no_otlp_is_said() {
    let collector = FakeCollector::start();
    let answer = posted(&collector, b"{\"resourceSpans\":[1]}");
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert_eq!(collector.broken(), ["resourceSpans: an object was expected"]);
}

#[test]
fn the_example_runs() {
    example::main();
}
