use crate::{
    door::Door,
    fake::{intake, memory},
};
use http::StatusCode;
use opentelemetry_proto::tonic::{
    collector::metrics::v1::{
        ExportMetricsServiceRequest, ExportMetricsServiceResponse,
        metrics_service_client::MetricsServiceClient,
    },
    metrics::v1::{
        ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint, Metric,
        NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, Summary, SummaryDataPoint, metric::Data,
    },
};
use prost::Message as _;
use serde_json::json;
use waypost_test_client::Request;
use waypost_trace_intake::Settings;
use waypost_trace_store::TraceStore as _;

const MESSAGE: &str = "this viewer keeps traces and logs and no metrics; send these elsewhere";

/// Two points of each of the five kinds, in two scopes.
fn request() -> ExportMetricsServiceRequest {
    let data = || {
        [
            Data::Gauge(Gauge { data_points: vec![NumberDataPoint::default(); 2] }),
            Data::Sum(Sum { data_points: vec![NumberDataPoint::default(); 2], ..Sum::default() }),
            Data::Histogram(Histogram {
                data_points: vec![HistogramDataPoint::default(); 2],
                ..Histogram::default()
            }),
            Data::ExponentialHistogram(ExponentialHistogram {
                data_points: vec![ExponentialHistogramDataPoint::default(); 2],
                ..ExponentialHistogram::default()
            }),
            Data::Summary(Summary { data_points: vec![SummaryDataPoint::default(); 2] }),
        ]
    };
    let metric = |data| Metric { name: "requests".to_owned(), data: Some(data), ..Default::default() };
    let scope = || ScopeMetrics { metrics: data().map(metric).into(), ..Default::default() };
    let scope_metrics = vec![scope(), scope()];
    let resource_metrics = vec![ResourceMetrics { scope_metrics, ..Default::default() }];
    ExportMetricsServiceRequest { resource_metrics }
}

#[tokio::test]
async fn metrics_are_a_success_that_says_that_none_is_kept() {
    let store = memory();
    let intake = intake(store.clone(), &Settings::default());
    let door = Door::open(intake.otlp_http());
    let call = Request::post("/v1/metrics").header("content-type", "application/x-protobuf");
    let answer = call.body(request().encode_to_vec()).send(door.address).await;
    assert_eq!(answer.status, StatusCode::OK);
    let partial = ExportMetricsServiceResponse::decode(answer.bytes).unwrap().partial_success.unwrap();
    assert_eq!((partial.rejected_data_points, &*partial.error_message), (20, MESSAGE));

    let point = json!({"asInt": "1"});
    let metrics = json!([
        {"name": "a", "sum": {"dataPoints": [point, point], "isMonotonic": true}},
        {"name": "b", "exponential_histogram": {"data_points": [{}]}},
        {"name": "c"},
    ]);
    let body = json!({"resourceMetrics": [{"resource": {}, "scopeMetrics": [{"metrics": metrics}]}, {}]});
    let call = Request::post("/v1/metrics").header("content-type", "application/json");
    let answer = call.body(body.to_string()).send(door.address).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.json, json!({"partialSuccess": {"rejectedDataPoints": "3", "errorMessage": MESSAGE}}));

    let grpc = Door::open(intake.otlp_grpc());
    let mut client = MetricsServiceClient::connect(grpc.url()).await.unwrap();
    let partial = client.export(request()).await.unwrap().into_inner().partial_success.unwrap();
    assert_eq!((partial.rejected_data_points, &*partial.error_message), (20, MESSAGE));
    let whole = client.export(ExportMetricsServiceRequest::default()).await.unwrap().into_inner();
    assert_eq!(whole.partial_success, None);
    assert_eq!(store.ledger().services, []);
}
