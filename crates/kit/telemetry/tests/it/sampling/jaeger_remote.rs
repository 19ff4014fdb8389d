//! Shares and rates as a Jaeger collector says, over HTTP.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::routing::get;
use waypost_telemetry::Settings;
use waypost_telemetry::config::SamplerKind;
use waypost_telemetry::testing::TestTelemetry;

use crate::http_server::net::{Server, eventually, serve};

/// What the collector says, and what it was asked.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<(String, Vec<String>)>>);

impl Collector {
    async fn serve(&self) -> Server {
        let answer = async |State(collector): State<Self>, RawQuery(query): RawQuery| {
            let mut held = collector.0.lock().unwrap();
            held.1.push(query.unwrap_or_default());
            let status = if held.0.is_empty() { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK };
            (status, held.0.clone())
        };
        serve(Router::new().route("/sampling", get(answer)).with_state(self.clone())).await
    }

    fn says(&self, answer: &str) {
        let mut held = self.0.lock().unwrap();
        answer.clone_into(&mut held.0);
        held.1.clear();
    }

    /// Waits until the answer that is in force now was given twice: then the first was taken.
    async fn is_heard(&self) {
        eventually("two questions", || (self.0.lock().unwrap().1.len() > 2).then_some(())).await;
    }
}

fn telemetry(server: &Server) -> TestTelemetry {
    let mut settings = TestTelemetry::settings("order service");
    let arg = format!("endpoint={},pollingIntervalMs=1,initialSamplingRate=0", server.url("/sampling"));
    settings
        .overlay_env(&|name| match name {
            "OTEL_TRACES_SAMPLER" => Some("parentbased_jaeger_remote".to_owned()),
            "OTEL_TRACES_SAMPLER_ARG" => Some(arg.clone()),
            _ => None,
        })
        .unwrap();
    assert!(settings.warnings.is_empty(), "{:?}", settings.warnings);
    TestTelemetry::with(settings)
}

/// How many of these roots are recorded.
fn taken(telemetry: &TestTelemetry, name: &'static str, roots: usize) -> usize {
    telemetry.forget();
    (0..roots).for_each(|_| telemetry.span(name).in_scope(|| ()));
    telemetry.finished_spans().len()
}

#[tokio::test]
async fn the_strategy_in_force_is_the_last_that_was_understood() {
    let collector = Collector::default();
    let server = collector.serve().await;
    let telemetry = telemetry(&server);
    collector.is_heard().await;
    assert_eq!(taken(&telemetry, "place", 50), 0, "nobody has said anything yet");
    assert_eq!(collector.0.lock().unwrap().1[0], "service=order%20service");

    collector.says(r#"{"strategyType":"PROBABILISTIC","probabilisticSampling":{"samplingRate":1}}"#);
    collector.is_heard().await;
    assert_eq!(taken(&telemetry, "place", 50), 50);
    let state = telemetry.finished_spans()[0].span_context().trace_state().header();
    assert_eq!(state, "ot=th:0");

    for broken in ["", "no json", "{}", r#"{"strategyType":"PROBABILISTIC"}"#, r#"{"strategyType":7}"#] {
        collector.says(broken);
        collector.is_heard().await;
        assert_eq!(taken(&telemetry, "place", 50), 50, "after {broken:?}");
    }

    collector.says(
        r#"{"strategyType":1,"rateLimitingSampling":{"maxTracesPerSecond":0.0001},"future":{"field":true}}"#,
    );
    collector.is_heard().await;
    assert_eq!(taken(&telemetry, "place", 50), 1);
    // The same answer again fills no bucket.
    assert_eq!(taken(&telemetry, "place", 50), 0);
}

#[tokio::test]
async fn operations_have_shares_of_their_own_and_a_least_rate() {
    let collector = Collector::default();
    collector.says(
        r#"{
            "strategyType": "PROBABILISTIC",
            "probabilisticSampling": {"samplingRate": 1},
            "operationSampling": {
                "defaultSamplingProbability": 0.0,
                "defaultLowerBoundTracesPerSecond": 0.0001,
                "perOperationStrategies": [
                    {"operation": "place", "probabilisticSampling": {"samplingRate": 1.0}},
                    {"operation": "show", "probabilisticSampling": {"samplingRate": 0.0}}
                ]
            }
        }"#,
    );
    let server = collector.serve().await;
    let telemetry = telemetry(&server);
    collector.is_heard().await;
    assert_eq!(taken(&telemetry, "place", 50), 50);
    assert_eq!(taken(&telemetry, "show", 50), 1, "by the least rate");
    assert_eq!(taken(&telemetry, "unknown", 50), 1);
}

#[test]
fn an_address_that_cannot_be_asked_is_refused_with_the_settings() {
    let mut settings = Settings::new("s");
    settings.traces.sampler = SamplerKind::JaegerRemote;
    settings.traces.sampling.jaeger_remote.endpoint = "https://user:secret@jaeger/sampling".to_owned();
    settings.traces.sampling.jaeger_remote.interval = std::time::Duration::ZERO;
    let refused = settings.check().unwrap_err().to_string();
    assert!(
        refused.contains("jaeger_remote.endpoint") && refused.contains("jaeger_remote.interval"),
        "{refused}"
    );
    assert!(!refused.contains("secret"), "{refused}");
}
