//! Both stores give the same answers.

use crate::{
    fixtures::{CART, PING, RANGE, START, cart, ping},
    site::{Site, escaped},
};
use http::StatusCode;
use std::sync::Arc;
use waypost_trace_model::{Limits, otlp::traces_from_json};
use waypost_trace_store::{BlockStore, Settings};

#[tokio::test]
async fn a_store_in_files_answers_as_the_one_in_memory() {
    let [web, stock] = cart();
    let messages = [web, stock, ping()];
    let folder = tempfile::tempdir().unwrap();
    let files = Site { store: Arc::new(BlockStore::open(folder.path(), Settings::default()).unwrap()) };
    for message in &messages {
        files.keep(traces_from_json(message.to_string().as_bytes(), &Limits::default()).unwrap()).await;
    }
    let memory = Site::with(&messages).await;

    let times = "query.startTimeMin=2026-09-21T14:00:00Z&query.startTimeMax=2026-09-21T15:00:00Z";
    let (failed, well) =
        (escaped(r#"{"error":"true"}"#), escaped(r#"{"error":"false","host.name":"web-1"}"#));
    for path in [
        "/api/services".to_owned(),
        "/api/operations?service=stock".to_owned(),
        format!("/api/traces?{RANGE}"),
        format!("/api/traces?{RANGE}&tags={failed}"),
        format!("/api/traces?{RANGE}&tags={well}"),
        format!("/api/traces/{CART}"),
        format!("/api/traces/{CART}?raw=true"),
        format!("/api/v3/traces?{times}"),
        format!("/api/v3/traces/{PING}"),
        format!("/api/v3/trace-summaries?{times}"),
    ] {
        let (one, other) = (files.jaeger(&path).await, memory.jaeger(&path).await);
        assert_eq!((one.status, one.text()), (StatusCode::OK, other.text()), "{path}");
    }
    let end = START / 1_000_000 + 60_000;
    for path in [
        "/api/v2/spans?serviceName=shop-web".to_owned(),
        format!("/api/v2/traces?endTs={end}"),
        format!("/api/v2/traces?endTs={end}&annotationQuery=cache.miss+and+error"),
        format!("/api/v2/trace/{CART}"),
    ] {
        let (one, other) = (files.zipkin(&path).await, memory.zipkin(&path).await);
        assert_eq!((one.status, one.text()), (StatusCode::OK, other.text()), "{path}");
    }
    files.store.close().await;
}
