//! The admin listener: probes and metrics, for operators and never for the public port.

use crate::health::Health;
use axum::{
    Router,
    extract::RawQuery,
    http::{HeaderMap, StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use waypost_telemetry::{Telemetry, metrics::PrometheusPage};

/// `/livez` and `/readyz` (`?verbose` lists the checks) answer 200 or 503; `/metrics` is Prometheus' text format
/// over all the telemetry handles of the process, or OpenMetrics with exemplars for whoever asks for it.
pub fn router(telemetry: Vec<Telemetry>, health: &Health) -> Router {
    let livez = {
        let health = health.clone();
        move || async move { verdict(health.is_live()) }
    };
    let readyz = {
        let health = health.clone();
        move |RawQuery(query): RawQuery| async move {
            let is_verbose =
                query.is_some_and(|query| query.split('&').any(|part| part.starts_with("verbose")));
            let (status, word) = verdict(health.is_ready());
            if is_verbose { (status, health.report()) } else { (status, word.to_owned()) }
        }
    };
    let metrics = move |headers: HeaderMap| async move {
        let page = PrometheusPage::new().accepted_by(&headers);
        ([(header::CONTENT_TYPE, page.content_type())], page.render(&telemetry)).into_response()
    };
    Router::new().route("/livez", get(livez)).route("/readyz", get(readyz)).route("/metrics", get(metrics))
}

fn verdict(is_well: bool) -> (StatusCode, &'static str) {
    if is_well { (StatusCode::OK, "ok\n") } else { (StatusCode::SERVICE_UNAVAILABLE, "failed\n") }
}
