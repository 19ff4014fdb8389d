use crate::{
    door::Door,
    fake::{intake, memory},
    made::{bomb, spans},
};
use bytes::Bytes;
use http::{StatusCode, Version};
use std::time::Duration;
use waypost_settings::ByteSize;
use waypost_test_client::Request;
use waypost_trace_intake::{RecordLimits, Settings};
use waypost_trace_model::{RefusalReason, otlp};

const PROTOBUF: &str = "application/x-protobuf";

fn of_size(bytes: usize) -> Settings {
    Settings { body_size: ByteSize::bytes(bytes as u64), ..Settings::default() }
}

#[tokio::test]
async fn a_body_of_just_the_limit_is_taken_and_a_byte_more_is_413_in_every_way_to_send_it() {
    let body = otlp::traces_to_protobuf(&spans(1, "shop"));
    let just = Door::open(intake(memory(), &of_size(body.len())).otlp_http());
    let tight = Door::open(intake(memory(), &of_size(body.len() - 1)).otlp_http());
    for version in [Version::HTTP_11, Version::HTTP_2] {
        for encoding in ["identity", "gzip", "zstd"] {
            for is_chunked in [false, true] {
                for (door, status) in [(&just, StatusCode::OK), (&tight, StatusCode::PAYLOAD_TOO_LARGE)] {
                    let call = Request::post("/v1/traces").header("content-type", PROTOBUF).over(version);
                    let body = crate::made::compressed(encoding, &body);
                    let call = call.header("content-encoding", encoding);
                    let call = call.body(body);
                    let call = if is_chunked { call.in_pieces(100) } else { call };
                    let answer = call.send(door.address).await;
                    assert_eq!(answer.status, status, "{version:?} {encoding} {is_chunked}");
                    assert_eq!(answer.header("retry-after"), "");
                }
            }
        }
    }
}

#[tokio::test]
async fn the_answer_reaches_a_client_that_sends_far_too_much() {
    let door = Door::open(intake(memory(), &of_size(1 << 20)).otlp_http());
    let body = Bytes::from(vec![0; (1 << 20) + 700_000]);
    for is_chunked in [false, true] {
        let call = Request::post("/v1/traces").header("content-type", PROTOBUF);
        let call = call.body(body.clone());
        let call = if is_chunked { call.in_pieces(10_000) } else { call };
        assert_eq!(call.send(door.address).await.status, StatusCode::PAYLOAD_TOO_LARGE);
    }
}

#[tokio::test]
async fn bombs_are_given_up_at_the_limit() {
    let store = memory();
    let door = Door::open(intake(store.clone(), &of_size(2 << 20)).otlp_http());
    for encoding in ["gzip", "zstd"] {
        let body = bomb(encoding);
        assert!(body.len() < 2 << 20, "{} bytes", body.len());
        let call =
            Request::post("/v1/traces").header("content-type", PROTOBUF).header("content-encoding", encoding);
        let answer = call.body(body).send(door.address).await;
        assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE, "{encoding}");
    }
    // Half a GB and four would show.
    if let Ok(status) = std::fs::read_to_string("/proc/self/status") {
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
        assert!(peak < 400 << 10, "{peak} kB");
    }
    let counted = crate::ledger::refused(&*store, "unknown_service", RefusalReason::TooLarge, 2).await;
    assert_eq!(counted.received, 2);
}

#[tokio::test]
async fn too_many_records_are_413() {
    let limits = RecordLimits { records: 1, ..RecordLimits::default() };
    let door = Door::open(intake(memory(), &Settings { limits, ..Settings::default() }).otlp_http());
    let call = Request::post("/v1/traces").header("content-type", "application/json");
    let answer = call.body(otlp::traces_to_json(&spans(1, "shop")).to_string()).send(door.address).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    let sentence = "more than 1 records in one request; send smaller batches";
    assert_eq!(answer.json, serde_json::json!({"code": 8, "message": sentence}));
}

#[tokio::test]
async fn a_body_that_does_not_arrive_is_not_waited_for() {
    let settings = Settings { body_timeout: Duration::from_millis(50).into(), ..Settings::default() };
    let door = Door::open(intake(memory(), &settings).otlp_http());
    let address = door.address;
    let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
    let head = "POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\ncontent-length: 10\r\n\r\nab";
    tokio::io::AsyncWriteExt::write_all(&mut socket, head.as_bytes()).await.unwrap();
    let mut start = [0; 12];
    tokio::io::AsyncReadExt::read_exact(&mut socket, &mut start).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 408");
}
