use crate::{
    door::Door,
    fake::{Watching, intake, memory},
    made::{compressed, id, log, spans, trace},
};
use bytes::Bytes;
use http::{StatusCode, Version};
use serde_json::json;
use std::sync::Arc;
use waypost_test_client::{Answer, Request};
use waypost_trace_intake::{Intake, RecordLimits, Settings};
use waypost_trace_model::otlp;
use waypost_trace_store::TraceStore as _;

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";

fn assert_empty(answer: &Answer, format: &str) {
    assert_eq!(answer.status, StatusCode::OK, "{}", String::from_utf8_lossy(&answer.bytes));
    assert_eq!(answer.header("content-type"), format);
    assert_eq!(answer.text(), if format == JSON { "{}" } else { "" });
}

#[tokio::test]
async fn spans_come_back_as_they_went_in_through_every_format_and_encoding_with_and_without_a_length() {
    let store = memory();
    let door = Door::open(intake(store.clone(), &Settings::default()).otlp_http());
    let mut number = 0;
    for version in [Version::HTTP_11, Version::HTTP_2] {
        for format in [PROTOBUF, JSON] {
            for encoding in ["", "identity", "gzip", "deflate", "zstd", "GZIP"] {
                for is_chunked in [false, true] {
                    number += 1;
                    let sent = spans(number, "shop");
                    let plain = match format {
                        JSON => Bytes::from(otlp::traces_to_json(&sent).to_string()),
                        _ => otlp::traces_to_protobuf(&sent),
                    };
                    let body = compressed(&encoding.to_lowercase(), &plain);
                    let mut call = Request::post("/v1/traces").header("content-type", format).over(version);
                    if !encoding.is_empty() {
                        call = call.header("content-encoding", encoding);
                    }
                    let call = call.body(body);
                    let call = if is_chunked { call.in_pieces(7) } else { call };
                    assert_empty(&call.send(door.address).await, format);
                    let kept = store.traces(&[trace(number)]).unwrap();
                    assert_eq!(kept[0].spans, sent, "{version:?} {format} {encoding} {is_chunked}");
                }
            }
        }
    }
    let ledger = store.ledger();
    assert_eq!((ledger.services[0].received, ledger.services[0].stored), (2 * number, 2 * number));
}

#[tokio::test]
async fn log_records_are_kept_beside_their_spans() {
    let store = memory();
    let door = Door::open(intake(store.clone(), &Settings::default()).otlp_http());
    let call = Request::post("/v1/traces").header("content-type", PROTOBUF);
    assert_empty(&call.body(otlp::traces_to_protobuf(&spans(1, "shop"))).send(door.address).await, PROTOBUF);
    let call = Request::post("/v1/logs").header("content-type", "application/json; charset=utf-8");
    let body = otlp::logs_to_json(&[log(1, "shop")]).to_string();
    assert_empty(&call.body(body).send(door.address).await, JSON);
    assert_eq!(store.traces(&[trace(1)]).unwrap()[0].logs, [log(1, "shop")]);
}

#[tokio::test]
async fn a_request_without_a_span_is_a_success_and_leaves_no_trace() {
    let store = memory();
    let watching = Arc::new(Watching::default());
    let intake = Intake::new(store.clone(), &Settings::default(), watching.clone());
    let door = Door::open(intake.otlp_http());
    assert_empty(
        &Request::post("/v1/traces").header("content-type", PROTOBUF).send(door.address).await,
        PROTOBUF,
    );
    assert_empty(
        &Request::post("/v1/traces").header("content-type", JSON).body("{}").send(door.address).await,
        JSON,
    );
    assert_eq!(store.ledger().services, []);
    assert_eq!(watching.0.lock().unwrap().len(), 0);
}

#[tokio::test]
async fn what_is_kept_is_shown_once_to_the_observer() {
    let watching = Arc::new(Watching::default());
    let intake = Intake::new(memory(), &Settings::default(), watching.clone());
    let door = Door::open(intake.otlp_http());
    for _ in 0..2 {
        let call = Request::post("/v1/traces").header("content-type", PROTOBUF);
        assert_empty(
            &call.body(otlp::traces_to_protobuf(&spans(1, "shop"))).send(door.address).await,
            PROTOBUF,
        );
    }
    // The second was the same request again.
    assert_eq!(*watching.0.lock().unwrap(), [2]);
}

#[tokio::test]
async fn a_part_that_is_refused_is_told_in_the_answer_and_the_rest_is_kept() {
    let store = memory();
    let limits = RecordLimits { attributes: 7, ..RecordLimits::default() };
    let door = Door::open(intake(store.clone(), &Settings { limits, ..Settings::default() }).otlp_http());
    let mut sent = spans(1, "shop");
    let more = sent[0].attributes[0].clone();
    sent[0].attributes.push(more);
    let call = Request::post("/v1/traces").header("content-type", JSON);
    let answer = call.body(otlp::traces_to_json(&sent).to_string()).send(door.address).await;
    let message = "not kept: 1 spans: attribute_limit 1";
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.json, json!({"partialSuccess": {"rejectedSpans": "1", "errorMessage": message}}));
    let call = Request::post("/v1/traces").header("content-type", PROTOBUF);
    sent[1].span_id = id(3);
    let answer = call.body(otlp::traces_to_protobuf(&sent)).send(door.address).await;
    // partial_success { rejected_spans: 1, error_message: .. }
    let mut expected = vec![0x0a, u8::try_from(message.len()).unwrap() + 4, 0x08, 1, 0x12];
    expected.push(u8::try_from(message.len()).unwrap());
    expected.extend_from_slice(message.as_bytes());
    assert_eq!((answer.status, &answer.bytes[..]), (StatusCode::OK, &expected[..]));
    let kept = store.traces(&[trace(1)]).unwrap();
    assert_eq!(kept[0].spans.iter().map(|span| span.span_id).collect::<Vec<_>>(), [id(2), id(3)]);
}

#[tokio::test]
async fn what_cannot_be_read_is_400_in_the_requests_format_and_not_to_be_repeated() {
    let door = Door::open(intake(memory(), &Settings::default()).otlp_http());
    for path in ["/v1/traces", "/v1/logs", "/v1/metrics"] {
        let answer = Request::post(path)
            .header("content-type", JSON)
            .body("{\"resourceSpans\":")
            .send(door.address)
            .await;
        let answer = if path == "/v1/traces" {
            answer
        } else {
            Request::post(path).header("content-type", JSON).body("[").send(door.address).await
        };
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path}");
        assert_eq!(answer.header("content-type"), JSON);
        assert_eq!(answer.header("retry-after"), "");
        assert_eq!(answer.json["code"], 3);
        let message = answer.json["message"].as_str().unwrap().to_owned();
        assert!(message.starts_with("cannot read the request: "), "{message}");

        let answer = Request::post(path)
            .header("content-type", PROTOBUF)
            .body(&b"\x0a\x05abc"[..])
            .send(door.address)
            .await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path}");
        assert_eq!(answer.header("content-type"), PROTOBUF);
        // google.rpc.Status { code: 3, message: .. }
        assert_eq!(answer.bytes[..3], [0x08, 3, 0x12]);
        let text = String::from_utf8_lossy(&answer.bytes).into_owned();
        assert!(text.contains("cannot read the request: "), "{text}");

        let call = Request::post(path).header("content-type", PROTOBUF).header("content-encoding", "gzip");
        assert_eq!(call.body("not gzip").send(door.address).await.status, StatusCode::BAD_REQUEST);
    }
}

#[tokio::test]
async fn other_formats_encodings_methods_and_paths_are_refused() {
    let door = Door::open(intake(memory(), &Settings::default()).otlp_http());
    let body = otlp::traces_to_protobuf(&spans(1, "shop"));
    let answer = Request::post("/v1/traces")
        .header("content-type", "text/plain")
        .body(body.clone())
        .send(door.address)
        .await;
    assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let sentence = "the content-type is neither application/x-protobuf nor application/json";
    assert_eq!(answer.json, json!({"code": 3, "message": sentence}));
    let answer = Request::post("/v1/traces").body(body.clone()).send(door.address).await;
    assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let call = Request::post("/v1/traces").header("content-type", PROTOBUF).header("content-encoding", "br");
    assert_eq!(call.body(body).send(door.address).await.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let answer = Request::new("GET", "/v1/traces").send(door.address).await;
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(answer.header("allow"), "POST");
    assert_eq!(Request::post("/v1/profiles").send(door.address).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_is_no_door_is_answered_by_a_status_too() {
    let door = Door::open(intake(memory(), &Settings::default()).otlp_http());
    for (call, status) in [
        (Request::post("/v1/nothing"), StatusCode::NOT_FOUND),
        (Request::get("/v1/traces"), StatusCode::METHOD_NOT_ALLOWED),
        (Request::new("PUT", "/v1/logs"), StatusCode::METHOD_NOT_ALLOWED),
    ] {
        let answer = call.clone().header("content-type", JSON).send(door.address).await;
        assert_eq!((answer.status, answer.header("content-type")), (status, JSON));
        assert!(
            answer.json["message"].as_str().is_some_and(|message| !message.is_empty()),
            "{}",
            answer.text()
        );
        let answer = call.header("content-type", PROTOBUF).send(door.address).await;
        assert_eq!((answer.status, answer.header("content-type")), (status, PROTOBUF));
        // Field 1 is the code, 2 the message.
        assert!(answer.bytes.starts_with(&[0x08, 12, 0x12]), "{:?}", answer.bytes);
    }
}
