use crate::{
    door::{Door, until},
    fake::{Does, FakeStore, intake, memory},
    made::{bomb, compressed, log, spans, trace},
};
use bytes::Bytes;
use http::{StatusCode, Version};
use opentelemetry_proto::tonic::collector::{
    logs::v1::{ExportLogsServiceRequest, logs_service_client::LogsServiceClient},
    trace::v1::{ExportTraceServiceRequest, trace_service_client::TraceServiceClient},
};
use prost::Message as _;
use std::{sync::Arc, time::Duration};
use tonic::{Code, Status};
use waypost_settings::ByteSize;
use waypost_test_client::{Answer, Request};
use waypost_trace_intake::{RecordLimits, Settings};
use waypost_trace_model::otlp;
use waypost_trace_store::{AppendError, TraceStore as _};

const TRACES: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

fn request(number: u64) -> ExportTraceServiceRequest {
    ExportTraceServiceRequest::decode(otlp::traces_to_protobuf(&spans(number, "shop"))).unwrap()
}

fn frame(flag: u8, message: &[u8]) -> Bytes {
    let mut frame = vec![flag];
    frame.extend_from_slice(&u32::try_from(message.len()).unwrap().to_be_bytes());
    frame.extend_from_slice(message);
    frame.into()
}

/// A call by hand, for what a good client does not do.
async fn raw(door: &Door, encoding: &str, body: Bytes) -> Answer {
    let call = Request::post(TRACES).over(Version::HTTP_2).header("content-type", "application/grpc");
    let call = call.header("te", "trailers").header("grpc-encoding", encoding);
    let answer = call.body(body.clone()).in_pieces(1000).send(door.address).await;
    assert_eq!(answer.status, StatusCode::OK);
    answer
}

fn code(answer: &Answer) -> Code {
    Status::from_header_map(&answer.headers).unwrap().code()
}

/// `google.rpc.Status` and `RetryInfo`, as a client reads them.
#[derive(Clone, PartialEq, prost::Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<prost_types::Any>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<prost_types::Duration>,
}

fn retry_info(status: &Status) -> RetryInfo {
    let details = RpcStatus::decode(status.details()).unwrap();
    assert_eq!((details.code, &*details.message), (i32::from(status.code()), status.message()));
    assert_eq!(details.details[0].type_url, "type.googleapis.com/google.rpc.RetryInfo");
    RetryInfo::decode(&*details.details[0].value).unwrap()
}

#[tokio::test]
async fn spans_and_log_records_come_back_as_they_went_in() {
    let store = memory();
    let door = Door::open(intake(store.clone(), &Settings::default()).otlp_grpc());
    let mut client = TraceServiceClient::connect(door.url()).await.unwrap();
    let answer = client.export(request(1)).await.unwrap().into_inner();
    assert_eq!(answer.partial_success, None);
    let mut client = LogsServiceClient::connect(door.url()).await.unwrap();
    let logs = ExportLogsServiceRequest::decode(otlp::logs_to_protobuf(&[log(1, "shop")])).unwrap();
    assert_eq!(client.export(logs).await.unwrap().into_inner().partial_success, None);
    let kept = store.traces(&[trace(1)]).unwrap();
    assert_eq!(kept[0].spans, spans(1, "shop"));
    assert_eq!(kept[0].logs, [log(1, "shop")]);
}

#[tokio::test]
async fn every_encoding_is_taken() {
    let store = memory();
    let door = Door::open(intake(store.clone(), &Settings::default()).otlp_grpc());
    for (number, encoding) in (1..).zip(["identity", "gzip", "deflate", "zstd"]) {
        let plain = otlp::traces_to_protobuf(&spans(number, "shop"));
        let is_compressed = u8::from(encoding != "identity");
        let answer = raw(&door, encoding, frame(is_compressed, &compressed(encoding, &plain))).await;
        assert_eq!(code(&answer), Code::Ok, "{encoding}");
        assert_eq!(answer.bytes[..], [0; 5]);
        assert_eq!(store.traces(&[trace(number)]).unwrap()[0].spans, spans(number, "shop"));
        // A message may be plain although the call speaks of an encoding.
        let plain = otlp::traces_to_protobuf(&spans(number + 100, "shop"));
        assert_eq!(code(&raw(&door, encoding, frame(0, &plain)).await), Code::Ok);
    }
}

#[tokio::test]
async fn a_part_that_is_refused_is_told_in_the_answer() {
    let limits = RecordLimits { attributes: 6, ..RecordLimits::default() };
    let door = Door::open(intake(memory(), &Settings { limits, ..Settings::default() }).otlp_grpc());
    let mut client = TraceServiceClient::connect(door.url()).await.unwrap();
    let partial = client.export(request(1)).await.unwrap().into_inner().partial_success.unwrap();
    assert_eq!(partial.rejected_spans, 2);
    assert_eq!(partial.error_message, "not kept: 2 spans: attribute_limit 2");
}

#[tokio::test]
async fn what_cannot_be_read_is_an_invalid_argument() {
    let door = Door::open(intake(memory(), &Settings::default()).otlp_grpc());
    let bodies = [
        ("identity", Bytes::new()),
        ("identity", Bytes::from_static(&[0, 0, 0])),
        ("identity", frame(0, b"\x0a\x05abc")),
        ("identity", frame(2, b"")),
        ("identity", frame(1, b"")),
        ("gzip", frame(1, b"not gzip")),
        ("identity", [frame(0, b""), frame(0, b"")].concat().into()),
        // A frame that announces 4 GiB and does not bring them.
        ("identity", Bytes::from_static(&[0, 0xff, 0xff, 0xff, 0xff, 1])),
    ];
    for (encoding, body) in bodies {
        let answer = raw(&door, encoding, body.clone()).await;
        assert_eq!(code(&answer), Code::InvalidArgument, "{encoding} {body:?}");
        assert_eq!(answer.header("grpc-status-details-bin"), "");
    }
}

#[tokio::test]
async fn what_is_too_large_is_exhausted_without_a_time_to_come_back() {
    let settings = Settings { body_size: ByteSize::mib(1), ..Settings::default() };
    let door = Door::open(intake(memory(), &settings).otlp_grpc());
    let bodies = [
        ("identity", frame(0, &vec![0; (1 << 20) + 1])),
        ("gzip", frame(1, &bomb("gzip"))),
        ("zstd", frame(1, &bomb("zstd"))),
    ];
    for (encoding, body) in bodies {
        let answer = raw(&door, encoding, body).await;
        assert_eq!(code(&answer), Code::ResourceExhausted, "{encoding}");
        assert_eq!(answer.header("grpc-status-details-bin"), "");
    }
}

#[tokio::test]
async fn overload_and_a_full_disk_say_when_to_come_back() {
    let store = Arc::new(FakeStore::new(Does::Hang));
    let settings =
        Settings { calls: 1, retry_after: Duration::from_millis(1500).into(), ..Settings::default() };
    let door = Door::open(intake(store.clone(), &settings).otlp_grpc());
    let mut client = TraceServiceClient::connect(door.url()).await.unwrap();
    let first = waypost_telemetry::spawn({
        let mut client = client.clone();
        async move { client.export(request(1)).await }
    });
    until("the first is with the store", || (store.batches() == 1).then_some(())).await;
    let refused = client.export(request(2)).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    let delay = Some(prost_types::Duration { seconds: 1, nanos: 500_000_000 });
    assert_eq!(retry_info(&refused), RetryInfo { retry_delay: delay });
    store.tell(Does::Fail(AppendError::DiskFull));
    let refused = first.await.unwrap().unwrap_err();
    assert_eq!((refused.code(), refused.message()), (Code::Unavailable, "the disk is full"));
    assert_eq!(retry_info(&refused), RetryInfo { retry_delay: delay });
    store.tell(Does::Fail(AppendError::Overloaded));
    let refused = client.export(request(1)).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert_eq!(retry_info(&refused), RetryInfo { retry_delay: delay });
    store.tell(Does::Keep);
    assert!(client.export(request(1)).await.is_ok());
}

#[tokio::test]
async fn other_methods_encodings_and_protocols_are_told_apart() {
    let door = Door::open(intake(memory(), &Settings::default()).otlp_grpc());
    let answer = raw(&door, "snappy", frame(1, b"")).await;
    assert_eq!(code(&answer), Code::Unimplemented);
    assert_eq!(answer.header("grpc-accept-encoding"), "identity,gzip,deflate,zstd");
    let call = Request::post("/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export");
    let answer =
        call.over(Version::HTTP_2).header("content-type", "application/grpc").send(door.address).await;
    assert_eq!(code(&answer), Code::Unimplemented);
    for other in ["application/x-protobuf", "application/grpc-web", "application/grpc+json"] {
        let answer = Request::post(TRACES).header("content-type", other).body("x").send(door.address).await;
        assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
        assert_eq!(answer.text(), "this port speaks gRPC; OTLP over HTTP has its own\n");
    }
}
