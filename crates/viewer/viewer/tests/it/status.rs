//! `GET /status`.

use crate::{
    fixture::{CHARGE, OTHER_TRACE, TRACE, at, shop, single},
    http::Request,
    viewer::{Viewer, in_time},
};
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};
use tempfile::TempDir;

fn nanoseconds(value: &Value) -> u128 {
    value.as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn the_account_says_what_became_of_every_span() {
    let viewer = Viewer::open();
    viewer.import(&shop()).await;
    let bad = json!({"resourceSpans": [crate::fixture::resource("api-gateway", &json!([{"traceId": "00", "spanId": "1"}]))]});
    let reply = viewer.send(Request::post("/api/v1/traces").json(bad.to_string())).await;
    assert_eq!(reply.json["refused"], json!({"invalid_id": 1}));

    let mut status = viewer.api("/status").await;
    let (now, started) = (nanoseconds(&status["now"].take()), nanoseconds(&status["started"].take()));
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    assert!(started <= now && now <= clock, "{started} {now} {clock}");
    assert!(status["usage"]["bytes"].take().as_u64().unwrap() > 0);
    let account = |service: &str, received: u64, stored: u64, refused: Value, logs: u64| {
        json!({
            "service": service, "received": received, "stored": stored, "refused": refused, "evicted": {},
            "logs": {"received": logs, "stored": logs, "refused": 0, "evicted": 0},
        })
    };
    let expected = json!({
        "version": env!("CARGO_PKG_VERSION"), "now": null, "started": null,
        "endpoints": {
            "otlp_grpc": viewer.otlp_grpc.to_string(), "otlp_http": viewer.otlp_http.to_string(),
            "zipkin": viewer.zipkin.to_string(), "ui": viewer.ui.to_string(),
        },
        "usage": {
            "spans": 4, "logs": 1, "bytes": null, "budget": 268_435_456, "keeps_for": 0,
            "oldest": at(0), "newest": at(100), "files": 0, "holds_for": null, "trouble": null,
        },
        "total": {
            "received": 5, "stored": 4, "refused": {"invalid_id": 1}, "evicted": {},
            "logs": {"received": 1, "stored": 1, "refused": 0, "evicted": 0},
        },
        "services": [
            account("api-gateway", 3, 2, json!({"invalid_id": 1}), 0),
            account("payment-service", 1, 1, json!({}), 1),
            account("settlement", 1, 1, json!({}), 0),
        ],
    });
    assert_eq!(status, expected);
}

#[tokio::test]
async fn what_was_kept_is_there_after_a_restart() {
    let folder = TempDir::new().unwrap();
    let viewer = Viewer::kept_in(&folder);
    viewer.import(&shop()).await;
    // More than are looked at for links back, if the store did not choose them.
    for number in 1..=25 {
        viewer.import(&single(number)).await;
    }
    let paths = [
        "/traces/ab".to_owned(),
        format!("/traces/{TRACE}"),
        format!("/traces/{TRACE}/spans/{CHARGE}"),
        "/traces/ab/spans/1".to_owned(),
        "/search?status=error".to_owned(),
        "/names/keys".to_owned(),
    ];
    let mut before = Vec::new();
    for path in &paths {
        before.push(viewer.api(path).await);
    }
    let link_back = json!([{"trace_id": OTHER_TRACE, "span_id": "0000000000000001"}]);
    assert_eq!(before[2]["linked_from"], link_back);
    let account = viewer.api("/status").await["services"].clone();
    in_time(viewer.close()).await;
    assert!(folder.path().join("viewer").is_dir());

    let viewer = Viewer::kept_in(&folder);
    for (path, before) in paths.iter().zip(before) {
        assert_eq!(viewer.api(path).await, before, "{path}");
    }
    assert_eq!(viewer.api("/status").await["services"], account);
    in_time(viewer.close()).await;
}

#[tokio::test]
async fn a_store_that_cannot_be_opened_is_named() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("viewer"), b"not a folder").unwrap();
    let parts = waypost_viewer::Parts {
        telemetry: waypost_telemetry::Telemetry::disabled(),
        data: waypost_service::DataDir::Folder(folder.path().to_owned()),
        bound: waypost_viewer::Bound {
            ui: ([127, 0, 0, 1], 1).into(),
            otlp_grpc: ([127, 0, 0, 1], 2).into(),
            otlp_http: ([127, 0, 0, 1], 3).into(),
            zipkin: ([127, 0, 0, 1], 4).into(),
        },
        memory: waypost_viewer::Memory::default(),
    };
    let error = waypost_viewer::build(&waypost_viewer::Config::default(), parts).unwrap_err();
    let place = folder.path().join("viewer");
    assert_eq!(error.to_string(), format!("cannot open the store of spans in {}", place.display()));
}
