//! A measurement leads to the trace in which it was taken, on the page and over OTLP.

use axum::http::{HeaderMap, Request, header};
use axum::response::IntoResponse as _;
use axum::{Router, body::Body, routing::get};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::exemplar::Value;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{Exemplar, Metric};
use prost::Message as _;
use waypost_telemetry::config::{ExemplarFilter, Exporter, SamplerKind, Temporality};
use waypost_telemetry::metrics::PrometheusPage;
use waypost_telemetry::opentelemetry::KeyValue;
use waypost_telemetry::testing::TestTelemetry;

use super::{lines, open_metrics};
use crate::http_server::net::{self, serve};
use crate::receiver::{HttpReceiver, Manner, PATIENCE};

#[tokio::test]
async fn a_request_leads_from_its_bucket_to_its_trace() {
    let telemetry = TestTelemetry::new("s");
    let handle = telemetry.handle().clone();
    let metrics = move |headers: HeaderMap| async move {
        let page = PrometheusPage::new().accepted_by(&headers);
        ([(header::CONTENT_TYPE, page.content_type())], page.render(&[handle])).into_response()
    };
    let app = Router::new().route("/orders", get(|| async { "ok" })).layer(telemetry.http_server());
    let server = serve(app.route("/metrics", get(metrics))).await;

    let request = Request::get(server.url("/orders")).body(Body::empty()).unwrap();
    net::exchange(request).await;
    net::spans(&telemetry, 1).await;
    let span = telemetry.only_span("GET /orders");

    let scrape = async |accept: &str| {
        let request = Request::get(server.url("/metrics")).header(header::ACCEPT, accept);
        let answer = net::exchange(request.body(Body::empty()).unwrap()).await;
        let kind = answer.headers()[header::CONTENT_TYPE].to_str().unwrap().to_owned();
        (kind, String::from_utf8(answer.into_body().to_vec()).unwrap())
    };
    let (kind, page) =
        scrape("application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.3").await;
    assert_eq!(kind, "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert!(page.ends_with("# EOF\n"), "{page}");
    let with_exemplar: Vec<_> = lines(&page, "http_server_request_duration_seconds_bucket")
        .into_iter()
        .filter(|line| line.contains(" # {"))
        .collect();
    assert_eq!(with_exemplar.len(), 1, "{page}");
    let ids = format!(" # {{trace_id=\"{}\",span_id=\"{}\"}} ", span.trace_id(), span.span_id());
    assert!(with_exemplar[0].contains(&ids), "{with_exemplar:?}");

    let (kind, page) = scrape("text/plain").await;
    assert_eq!(kind, "text/plain; version=0.0.4; charset=utf-8");
    assert!(!page.contains("trace_id") && !page.contains("# EOF"), "{page}");
}

#[test]
fn counters_and_buckets_keep_their_newest_span() {
    let telemetry = TestTelemetry::new("s");
    let counter = telemetry.meter().u64_counter("orders").build();
    let bound = counter.bind(&[KeyValue::new("kind", "bound")]);
    let sizes = telemetry.meter().u64_histogram("sizes").with_boundaries(vec![10.0, 20.0]).build();
    for _ in 0..2 {
        telemetry.span("place").in_scope(|| {
            counter.add(3, &[KeyValue::new("kind", "gift"), KeyValue::new("a", 1)]);
            bound.add(1);
            sizes.record(10, &[]);
            sizes.record(70, &[]);
        });
    }
    counter.add(1, &[KeyValue::new("kind", "outside")]);
    let last = telemetry.finished_spans().pop().unwrap().trace_id().to_string();
    let page = open_metrics(&telemetry);
    let begins = |line: &str| page.lines().find(|shown| shown.starts_with(line)).map(str::to_owned);

    assert!(begins("# TYPE orders counter").is_some(), "{page}");
    let gift = begins("orders_total{a=\"1\",kind=\"gift\"").unwrap();
    assert!(gift.contains(&format!("}} 6 # {{trace_id=\"{last}\"")) && gift.contains("\"} 3 "), "{gift}");
    assert!(begins("orders_total{kind=\"bound\"").unwrap().contains(&last), "{page}");
    assert!(begins("orders_total{kind=\"outside\"").unwrap().ends_with("} 1"), "{page}");
    let buckets: Vec<bool> = lines(&page, "sizes_bucket").iter().map(|line| line.contains(&last)).collect();
    assert_eq!(buckets, [true, false, true], "{page}");
    assert!(page.contains("le=\"10.0\"") && page.contains("le=\"+Inf\""), "{page}");
}

fn exemplars(metric: &Metric) -> Vec<Exemplar> {
    match metric.data.clone().unwrap() {
        Data::Sum(sum) => sum.data_points.into_iter().flat_map(|point| point.exemplars).collect(),
        Data::Histogram(histogram) => {
            histogram.data_points.into_iter().flat_map(|point| point.exemplars).collect()
        }
        other => panic!("{other:?}"),
    }
}

fn pushed(receiver: &HttpReceiver, name: &str) -> Vec<Exemplar> {
    let request = ExportMetricsServiceRequest::decode(receiver.next().body.as_slice()).unwrap();
    let scopes = request.resource_metrics.into_iter().flat_map(|resource| resource.scope_metrics);
    let mut metrics = scopes.flat_map(|scope| scope.metrics).filter(|metric| metric.name == name);
    metrics.next().map(|metric| exemplars(&metric)).unwrap_or_default()
}

#[test]
fn differences_bring_the_exemplars_of_their_interval_alone() {
    let receiver = HttpReceiver::start(Manner::Takes);
    let mut settings = TestTelemetry::settings("s");
    settings.metrics.exporters = vec![Exporter::OtlpHttp];
    settings.metrics.temporality = Temporality::Delta;
    settings.otlp.endpoint = Some(receiver.endpoint());
    let telemetry = TestTelemetry::with(settings);
    let duration = telemetry.meter().f64_histogram("d").with_boundaries(vec![1.0]).build();

    telemetry.span("first").in_scope(|| duration.record(0.5, &[]));
    assert!(telemetry.flush_blocking(PATIENCE).complete);
    let first = pushed(&receiver, "d");
    let span = telemetry.only_span("first");
    assert_eq!(first.len(), 1);
    assert_eq!(first[0].trace_id, span.trace_id().to_bytes());
    assert_eq!(first[0].span_id, span.span_id().to_bytes());
    assert_eq!(first[0].value, Some(Value::AsDouble(0.5)));
    assert!(first[0].filtered_attributes.is_empty());

    telemetry.span("second").in_scope(|| duration.record(2.0, &[]));
    assert!(telemetry.flush_blocking(PATIENCE).complete);
    let second = pushed(&receiver, "d");
    assert_eq!(
        second.iter().map(|exemplar| exemplar.value).collect::<Vec<_>>(),
        [Some(Value::AsDouble(2.0))]
    );
}

#[test]
fn the_filter_says_what_is_kept() {
    for (filter, sampled, kept) in [
        (ExemplarFilter::TraceBased, true, 1),
        (ExemplarFilter::TraceBased, false, 0),
        (ExemplarFilter::AlwaysOff, true, 0),
        (ExemplarFilter::AlwaysOn, false, 1),
    ] {
        let mut settings = TestTelemetry::settings("s");
        settings.metrics.exemplars = filter;
        settings.traces.sampler = if sampled { SamplerKind::AlwaysOn } else { SamplerKind::AlwaysOff };
        let telemetry = TestTelemetry::with(settings);
        let counter = telemetry.meter().u64_counter("orders").build();
        telemetry.span("place").in_scope(|| counter.add(1, &[]));
        let page = open_metrics(&telemetry);
        assert_eq!(lines(&page, "orders_total")[0].matches(" # {").count(), kept, "{filter:?} {page}");
    }
}

#[test]
fn a_flood_of_series_keeps_the_page_and_drops_exemplars() {
    let telemetry = TestTelemetry::new("s");
    let counter = telemetry.meter().u64_counter("orders").build();
    telemetry.span("flood").in_scope(|| {
        for n in 0..20_000 {
            counter.add(1, &[KeyValue::new("id", n)]);
        }
    });
    let page = open_metrics(&telemetry);
    assert_eq!(page.matches(" # {").count(), 256, "exemplars are bounded");
    assert!(page.contains("otel_metric_overflow=\"true\""), "the others are counted together");
}
