//! Metrics pushed as differences: what arrives adds up to what was recorded, whatever the receiver does.

use std::time::Duration;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Route;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{AggregationTemporality, Metric, NumberDataPoint};
use prost::Message;
use tower::ServiceExt as _;
use waypost_telemetry::config::{Exporter, Temporality};
use waypost_telemetry::metrics::{render_prometheus, sample};
use waypost_telemetry::testing::TestTelemetry;
use waypost_telemetry::{Settings, Telemetry};

use crate::receiver::{HttpReceiver, Manner, PATIENCE, wait_until};

const CUMULATIVE: i32 = AggregationTemporality::Cumulative as i32;
const DELTA: i32 = AggregationTemporality::Delta as i32;

/// Pushes when it is flushed.
fn start(receiver: &HttpReceiver, temporality: Temporality) -> Telemetry {
    start_every(receiver, temporality, Duration::from_hours(1))
}

fn start_every(receiver: &HttpReceiver, temporality: Temporality, interval: Duration) -> Telemetry {
    waypost_telemetry::init(settings(receiver, temporality, interval)).unwrap()
}

fn settings(receiver: &HttpReceiver, temporality: Temporality, interval: Duration) -> Settings {
    let mut settings = TestTelemetry::settings("s");
    settings.traces.exporters.clear();
    settings.logs.exporters.clear();
    settings.metrics.exporters = vec![Exporter::OtlpHttp];
    settings.metrics.temporality = temporality;
    settings.metrics.interval = interval;
    settings.metrics.export_timeout = Duration::from_millis(100);
    settings.otlp.endpoint = Some(receiver.endpoint());
    settings
}

fn metric(body: &[u8], name: &str) -> Option<Metric> {
    let request = ExportMetricsServiceRequest::decode(body).unwrap();
    let scopes = request.resource_metrics.into_iter().flat_map(|resource| resource.scope_metrics);
    scopes.flat_map(|scope| scope.metrics).find(|metric| metric.name == name)
}

/// Temporality, and the one point.
fn sum(body: &[u8], name: &str) -> Option<(i32, NumberDataPoint)> {
    let Data::Sum(mut sum) = metric(body, name)?.data? else { panic!("{name} is no sum") };
    assert_eq!(sum.data_points.len(), 1);
    Some((sum.aggregation_temporality, sum.data_points.remove(0)))
}

fn whole(point: &NumberDataPoint) -> i64 {
    match point.value {
        Some(Value::AsInt(value)) => value,
        ref other => panic!("{other:?}"),
    }
}

fn total(telemetry: &Telemetry) -> Option<f64> {
    sample(&render_prometheus(std::slice::from_ref(telemetry)), "orders_total", &[])
}

#[test]
fn a_push_of_differences_says_what_came_since_the_one_before() {
    let receiver = HttpReceiver::start(Manner::Takes);
    let telemetry = start(&receiver, Temporality::Delta);
    let orders = telemetry.meter().u64_counter("orders").build();
    let open = telemetry.meter().i64_up_down_counter("open").build();
    let took = telemetry.meter().f64_histogram("took").build();
    let mut posted = Vec::new();
    for count in [2, 3] {
        orders.add(count, &[]);
        open.add(1, &[]);
        took.record(0.5, &[]);
        assert!(telemetry.flush_blocking(PATIENCE).complete);
        posted.push(receiver.next().body);
    }
    let [first, second] = [&posted[0], &posted[1]].map(|posted| sum(posted, "orders").unwrap());
    assert_eq!((first.0, whole(&first.1), whole(&second.1)), (DELTA, 2, 3));
    assert_eq!(second.1.start_time_unix_nano, first.1.time_unix_nano, "no gap and no overlap");
    let up_and_down = sum(&posted[1], "open").unwrap();
    assert_eq!((up_and_down.0, whole(&up_and_down.1)), (CUMULATIVE, 2));
    let Some(Data::Histogram(histogram)) = metric(&posted[1], "took").unwrap().data else { unreachable!() };
    assert_eq!((histogram.aggregation_temporality, histogram.data_points[0].count), (DELTA, 1));
    // The page always adds up from the start.
    assert_eq!(total(&telemetry), Some(5.0));
    // Nothing new: the counter has nothing to say.
    telemetry.flush_blocking(PATIENCE);
    assert!(sum(&receiver.next().body, "orders").is_none());
    assert_eq!(total(&telemetry), Some(5.0));
}

#[test]
fn a_push_that_is_not_taken_is_sent_again_and_nothing_is_lost() {
    let receiver = HttpReceiver::start(Manner::AnswersFirst(1, 503));
    let telemetry = start_every(&receiver, Temporality::Delta, Duration::from_millis(50));
    let orders = telemetry.meter().u64_counter("orders").build();
    let exported = || {
        let page = render_prometheus(std::slice::from_ref(&telemetry));
        page.lines().any(|line| {
            line.starts_with("otel_sdk_exporter_metric_data_point_exported_total{") && !line.ends_with(" 0")
        })
    };
    wait_until("the receiver taking something", || {
        orders.add(1, &[]);
        exported()
    });
    let report = telemetry.shutdown_blocking(PATIENCE);
    assert_eq!(report.metrics.exporters[0].dropped_total(), 0, "{report:?}");

    let mut requests: Vec<Vec<u8>> = receiver.taken().into_iter().map(|posted| posted.body).collect();
    assert_eq!(requests[0], requests[1], "the very reading that was not taken is sent again");
    // One whose answer came too late is sent again too.
    requests.dedup();
    let arrived: i64 = requests.iter().filter_map(|body| sum(body, "orders")).map(|sum| whole(&sum.1)).sum();
    assert_eq!(Some(f64::from(i32::try_from(arrived).unwrap())), total(&telemetry));
}

#[test]
fn a_push_that_will_never_be_taken_does_not_stop_the_next() {
    let receiver = HttpReceiver::start(Manner::AnswersFirst(1, 400));
    let telemetry = start(&receiver, Temporality::Delta);
    let orders = telemetry.meter().u64_counter("orders").build();
    orders.add(2, &[]);
    telemetry.flush_blocking(PATIENCE);
    orders.add(3, &[]);
    let report = telemetry.flush_blocking(PATIENCE);
    let taken = receiver.taken();
    let arrived: Vec<i64> =
        taken.iter().map(|posted| whole(&sum(&posted.body, "orders").unwrap().1)).collect();
    assert_eq!(arrived, [2, 3]);
    let ledger = &report.metrics.exporters[0];
    assert_eq!((ledger.exported, ledger.dropped_total()), (1, 1));
}

#[test]
fn low_memory_tells_differences_of_what_is_recorded_only() {
    let receiver = HttpReceiver::start(Manner::Takes);
    let telemetry = start(&receiver, Temporality::LowMemory);
    let orders = telemetry.meter().u64_counter("orders").build();
    let seen = telemetry.meter().u64_observable_counter("seen");
    seen.with_callback(|counter| counter.observe(7, &[])).build();
    let mut last = None;
    for _ in 0..2 {
        orders.add(2, &[]);
        telemetry.flush_blocking(PATIENCE);
        last = Some(receiver.next().body);
    }
    let last = last.unwrap();
    let (orders, seen) = (sum(&last, "orders").unwrap(), sum(&last, "seen").unwrap());
    assert_eq!((orders.0, whole(&orders.1)), (DELTA, 2));
    assert_eq!((seen.0, whole(&seen.1)), (CUMULATIVE, 7));
}

#[test]
fn cumulative_is_what_is_pushed_by_default() {
    let receiver = HttpReceiver::start(Manner::Takes);
    let telemetry = start(&receiver, Temporality::default());
    let orders = telemetry.meter().u64_counter("orders").build();
    for expected in [2, 4] {
        orders.add(2, &[]);
        telemetry.flush_blocking(PATIENCE);
        let (temporality, point) = sum(&receiver.next().body, "orders").unwrap();
        assert_eq!((temporality, whole(&point)), (CUMULATIVE, expected));
    }
}

/// The `http.route` of each point of the server's durations; of the overflow `overflow`.
fn routes(body: &[u8]) -> Vec<String> {
    let Some(Data::Histogram(histogram)) = metric(body, "http.server.request.duration").unwrap().data else {
        unreachable!()
    };
    let route = |attributes: Vec<opentelemetry_proto::tonic::common::v1::KeyValue>| {
        attributes.into_iter().find_map(|attribute| match (attribute.key.as_str(), attribute.value?.value?) {
            ("http.route", Route::StringValue(route)) => Some(route),
            ("otel.metric.overflow", _) => Some("overflow".to_owned()),
            _ => None,
        })
    };
    let mut routes: Vec<_> =
        histogram.data_points.into_iter().map(|point| route(point.attributes).unwrap()).collect();
    routes.sort();
    routes
}

#[tokio::test]
async fn a_set_of_labels_leaves_the_overflow_when_there_is_room() {
    let receiver = HttpReceiver::start(Manner::Takes);
    let mut settings = settings(&receiver, Temporality::Delta, Duration::from_hours(1));
    settings.metrics.cardinality_limit = 1;
    let telemetry = waypost_telemetry::init(settings).unwrap();
    let app = axum::Router::new()
        .route("/a", axum::routing::get(async || ()))
        .route("/b", axum::routing::get(async || ()))
        .layer(telemetry.http_server());
    let mut pushed = Vec::new();
    for paths in [&["/a", "/b"][..], &["/b"], &["/b"]] {
        for path in paths {
            let request = axum::http::Request::get(*path).body(axum::body::Body::empty()).unwrap();
            // The exchange lasts as long as the response.
            drop(app.clone().oneshot(request).await.unwrap());
        }
        telemetry.flush(PATIENCE).await;
        pushed.push(routes(&receiver.next().body));
    }
    // The first route is forgotten when it was told and did not come again.
    assert_eq!(pushed, [vec!["/a", "overflow"], vec!["overflow"], vec!["/b"]]);
}
