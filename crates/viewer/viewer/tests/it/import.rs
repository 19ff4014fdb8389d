//! `POST /traces` and `GET /traces/{id}/otlp`.

use crate::{
    fixture::{CHARGE, OTHER_TRACE, TRACE, at, resource, shop},
    http::{ReplyExt as _, Request},
    viewer::{Viewer, in_time},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use waypost_settings::{ByteSize, Duration};

#[tokio::test]
async fn an_import_says_what_it_took() {
    let viewer = Viewer::open();
    let answer = viewer.import(&shop()).await;
    assert_eq!(answer, json!({"trace_ids": [OTHER_TRACE, TRACE], "spans": 4, "logs": 1, "refused": {}}));
}

#[tokio::test]
async fn an_export_imported_by_an_empty_viewer_is_the_same_trace() {
    let viewer = Viewer::open();
    viewer.import(&shop()).await;
    let export = viewer.get(&format!("/api/v1/traces/{TRACE}/otlp")).await;
    assert_eq!(export.status, 200);
    assert_eq!(export.header("content-type"), "application/json");
    assert_eq!(export.header("content-disposition"), format!("attachment; filename=\"trace-{TRACE}.json\""));

    let empty = Viewer::open();
    let answer = empty.import(&export.json).await;
    assert_eq!(answer, json!({"trace_ids": [TRACE], "spans": 3, "logs": 1, "refused": {}}));
    for path in [format!("/traces/{TRACE}"), format!("/traces/{TRACE}/spans/{CHARGE}")] {
        let (mut one, mut other) = (viewer.api(&path).await, empty.api(&path).await);
        if path.contains("spans") {
            // The other trace is not here.
            assert_eq!(
                one["linked_from"].take(),
                json!([{"trace_id": OTHER_TRACE, "span_id": "0000000000000001"}])
            );
            assert_eq!(other["linked_from"].take(), json!([]));
            assert_eq!(one["spans"][0]["links"][0]["kept"].take(), true);
            assert_eq!(other["spans"][0]["links"][0]["kept"].take(), false);
        }
        assert_eq!(one, other);
    }
    let again = empty.get(&format!("/api/v1/traces/{TRACE}/otlp")).await;
    assert_eq!(again.text(), export.text(), "what was exported once is exported again");
}

#[tokio::test]
async fn a_trace_of_several_parts_is_exported_whole() {
    let viewer = Viewer::open();
    let span = |number: u64| {
        json!({"traceId": TRACE, "spanId": format!("{number:016x}"), "name": "step",
               "startTimeUnixNano": at(number), "endTimeUnixNano": at(number + 1)})
    };
    let spans: Vec<Value> = (1..=2500).map(span).collect();
    viewer.import(&json!({"resourceSpans": [resource("shop", &Value::from(spans))]})).await;
    let export = viewer.get(&format!("/api/v1/traces/{TRACE}/otlp")).await.json;
    let ids = export["resourceSpans"].as_array().unwrap().iter();
    let ids = ids.flat_map(|group| group["scopeSpans"].as_array().unwrap());
    let ids = ids.flat_map(|group| group["spans"].as_array().unwrap()).map(|span| span["spanId"].clone());
    let expected: Vec<Value> = (1..=2500).map(|number| json!(format!("{number:016x}"))).collect();
    assert_eq!(ids.collect::<Vec<Value>>(), expected);
    assert_eq!(export["resourceLogs"], json!([]));
}

#[tokio::test]
async fn a_trace_that_is_not_kept_cannot_be_exported() {
    let viewer = Viewer::open();
    let reply = viewer.get("/api/v1/traces/5/otlp").await;
    assert_eq!((reply.status.as_u16(), reply.problem_name()), (404, "not-found"));
}

#[tokio::test]
async fn a_file_of_the_collector_has_a_document_a_line() {
    let viewer = Viewer::open();
    let line = |service: &str, number: u64| {
        let span = json!({"traceId": format!("{number:032x}"), "spanId": "00000000000000a1", "name": "step",
                          "startTimeUnixNano": at(number), "endTimeUnixNano": at(number + 1)});
        json!({"resourceSpans": [resource(service, &json!([span]))]}).to_string()
    };
    let log =
        json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [{"body": {"stringValue": "hello"}}]}]}]});
    let file = format!("{}\n{}\n{log}\n", line("one", 1), line("two", 2));
    let reply = viewer.send(Request::post("/api/v1/traces").json(file.clone())).await;
    let (one, two) = (format!("{:032x}", 1), format!("{:032x}", 2));
    assert_eq!(
        reply.json,
        json!({"trace_ids": [one, two], "spans": 2, "logs": 1, "refused": {}}),
        "{}",
        reply.text()
    );
    let transformed = viewer.send(Request::post("/api/transform").json(file)).await;
    assert_eq!(transformed.json["data"].as_array().map(Vec::len), Some(2), "{}", transformed.text());
    let broken = viewer.send(Request::post("/api/v1/traces").json(format!("{}\n{{", line("one", 1)))).await;
    assert_eq!((broken.status.as_u16(), broken.problem_name()), (400, "bad-body"));
}

#[tokio::test]
async fn jaegers_json_of_a_trace_is_the_same_trace_when_it_is_imported() {
    let viewer = Viewer::open();
    viewer.import(&shop()).await;
    let jaeger = |id: &str| format!("/api/traces/{id}");
    let written = viewer.get(&jaeger(TRACE)).await;
    let empty = Viewer::open();
    let reply = empty.send(Request::post("/api/v1/traces").json(written.text().to_owned())).await;
    assert_eq!(reply.json["trace_ids"], json!([TRACE]), "{}", reply.text());
    let mut again = empty.get(&jaeger(TRACE)).await.json;
    let mut expected = written.json;
    for document in [&mut again, &mut expected] {
        // What Jaeger's own clients dropped is in its JSON only as a warning.
        for span in document["data"][0]["spans"].as_array_mut().unwrap() {
            span["warnings"].take();
        }
        document["data"][0]["warnings"].take();
    }
    assert_eq!(again, expected);
}

#[tokio::test]
async fn zipkins_json_is_imported() {
    let viewer = Viewer::open();
    let spans = json!([{"traceId": TRACE, "id": "a", "name": "get", "kind": "SERVER", "timestamp": 1_790_000_000_000_000_u64,
                        "duration": 5, "localEndpoint": {"serviceName": "shop"}}]);
    let reply = viewer.import(&spans).await;
    assert_eq!(reply, json!({"trace_ids": [TRACE], "spans": 1, "logs": 0, "refused": {}}));
    assert_eq!(viewer.api(&format!("/traces/{TRACE}")).await["services"], json!(["shop"]));
}

#[tokio::test]
async fn what_is_no_trace_is_refused_with_the_reason() {
    let viewer = Viewer::configured(|config| config.limits.import_size = ByteSize::bytes(1000));
    let post = |body: &str| Request::post("/api/v1/traces").json(body.to_owned());
    for (request, status, name) in [
        (post("{"), 400, "bad-body"),
        (post("[]"), 400, "bad-body"),
        (post("{\"data\":[]}"), 400, "bad-body"),
        (post("{\"resourceSpans\":5}"), 400, "bad-body"),
        (post(&" ".repeat(1001)), 413, "too-large"),
        (post("{}").header("content-type", "text/plain"), 415, "media-type"),
        (post("{}").without("content-type"), 415, "media-type"),
        (post("{}").header("sec-fetch-site", "cross-site"), 403, "cross-site"),
        (post("{}").header("origin", "http://evil.example"), 403, "cross-site"),
    ] {
        let reply = viewer.send(request.clone()).await;
        assert_eq!((reply.status.as_u16(), reply.problem_name()), (status, name), "{request:?}");
    }
    assert_eq!(viewer.api("/status").await["total"]["received"], 0);
}

#[tokio::test]
async fn the_same_trace_imported_twice_is_kept_once() {
    let viewer = Viewer::open();
    viewer.import(&shop()).await;
    let reply = viewer.send(Request::post("/api/v1/traces").json(shop().to_string())).await;
    assert_eq!(reply.status, 200);
    assert_eq!(viewer.api(&format!("/traces/{TRACE}")).await["spans"], 3);
}

/// An import whose body does not come.
async fn begin_import(viewer: &Viewer) -> TcpStream {
    let mut stream = TcpStream::connect(viewer.ui).await.unwrap();
    let head = "POST /api/v1/traces HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let viewer = Viewer::configured(|config| config.limits.import_time = Duration::from_millis(1));
    let mut stream = begin_import(&viewer).await;
    let mut head = [0; 12];
    in_time(stream.read_exact(&mut head)).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 408");
}

#[tokio::test]
async fn imports_at_once_are_bounded() {
    let viewer = Viewer::configured(|config| config.limits.transfers = 1);
    let stream = begin_import(&viewer).await;
    // Until the first has reached its handler, the second is let in and refused for its body.
    in_time(async { while viewer.send(Request::post("/api/v1/traces").json("{}")).await.status != 503 {} })
        .await;
    let reply = viewer.get(&format!("/api/v1/traces/{TRACE}/otlp")).await;
    assert_eq!((reply.status.as_u16(), reply.problem_name()), (503, "busy"));
    drop(stream);
    in_time(async {
        while viewer.send(Request::post("/api/v1/traces").json(shop().to_string())).await.status != 200 {}
    })
    .await;
}
