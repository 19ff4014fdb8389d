use crate::{
    door::{Door, until},
    fake::{Does, FakeStore, Watching, intake, refusal},
    made::{log, spans},
};
use bytes::Bytes;
use http::StatusCode;
use std::sync::Arc;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use waypost_settings::ByteSize;
use waypost_test_client::Request;
use waypost_trace_intake::{Intake, Refused, Settings};
use waypost_trace_model::{Batch, Refusal, RefusalReason, otlp};
use waypost_trace_store::AppendError;

const PROTOBUF: &str = "application/x-protobuf";

fn body(number: u64) -> Bytes {
    otlp::traces_to_protobuf(&spans(number, "shop"))
}

fn total(refusals: &[Refusal], service: &str, reason: RefusalReason) -> (u64, u64) {
    let matching = refusals.iter().filter(|refusal| &*refusal.service == service && refusal.reason == reason);
    matching.fold((0, 0), |sum, refusal| (sum.0 + refusal.spans, sum.1 + refusal.logs))
}

#[tokio::test]
async fn beyond_the_requests_at_once_it_is_429_with_a_time_and_afterwards_well_again() {
    let store = Arc::new(FakeStore::new(Does::Hang));
    let settings = Settings {
        calls: 1,
        retry_after: std::time::Duration::from_millis(1500).into(),
        ..Settings::default()
    };
    let door = Arc::new(Door::open(intake(store.clone(), &settings).otlp_http()));
    let first = waypost_telemetry::spawn({
        let door = Arc::clone(&door);
        async move {
            Request::post("/v1/traces")
                .header("content-type", PROTOBUF)
                .body(body(1))
                .send(door.address)
                .await
        }
    });
    until("the first is with the store", || (store.batches() == 1).then_some(())).await;
    for _ in 0..3 {
        let answer = Request::post("/v1/traces")
            .header("content-type", PROTOBUF)
            .body(body(2))
            .send(door.address)
            .await;
        assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(answer.header("retry-after"), "2");
        assert_eq!(answer.bytes[..2], [0x08, 8]);
    }
    let answer = Request::post("/v1/logs")
        .header("content-type", "application/json")
        .body("{}")
        .send(door.address)
        .await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    let sentence = "too much is on its way to the disk; try again after a moment";
    assert_eq!(answer.json, serde_json::json!({"code": 8, "message": sentence}));
    until("the refusals are counted", || {
        let counted = total(&store.refusals(), "unknown_service", RefusalReason::Overloaded);
        (counted == (3, 1)).then_some(())
    })
    .await;
    store.tell(Does::Keep);
    assert_eq!(first.await.unwrap().status, StatusCode::OK);
    let answer =
        Request::post("/v1/traces").header("content-type", PROTOBUF).body(body(2)).send(door.address).await;
    assert_eq!(answer.status, StatusCode::OK);
}

#[tokio::test]
async fn beyond_the_memory_it_is_429_and_what_was_decoded_is_counted_by_service() {
    let store = Arc::new(FakeStore::new(Does::Hang));
    let batch = || Batch { spans: spans(1, "shop"), logs: vec![log(1, "mail")], ..Batch::default() };
    // Room for one batch and not for two.
    let settings = Settings { in_flight: ByteSize::bytes(4_000), ..Settings::default() };
    let intake = intake(store.clone(), &settings);
    let first = waypost_telemetry::spawn({
        let intake = intake.clone();
        async move { intake.take(batch()).await }
    });
    until("the first is with the store", || (store.batches() == 1).then_some(())).await;
    let mut second = batch();
    second.refused.push(refusal("shop", RefusalReason::InvalidId, 5, 0));
    let refused = intake.take(second).await.unwrap_err();
    assert!(matches!(refused, Refused::Overloaded), "{refused}");
    let counted =
        until("the refusals are counted", || Some(store.refusals()).filter(|refusals| refusals.len() == 3))
            .await;
    assert_eq!(
        counted,
        [
            refusal("mail", RefusalReason::Overloaded, 0, 1),
            refusal("shop", RefusalReason::InvalidId, 5, 0),
            refusal("shop", RefusalReason::Overloaded, 2, 0),
        ]
    );
    store.tell(Does::Keep);
    assert_eq!(first.await.unwrap().unwrap().spans, 2);
    assert_eq!(intake.take(batch()).await.unwrap().spans, 2);
}

#[tokio::test]
async fn a_body_for_which_there_is_no_memory_is_429_and_the_memory_is_free_again() {
    let store = Arc::new(FakeStore::new(Does::Keep));
    let settings = Settings { in_flight: ByteSize::bytes(10_000), ..Settings::default() };
    let door = Door::open(intake(store.clone(), &settings).otlp_http());
    for is_chunked in [false, true] {
        let call = Request::post("/v1/traces").header("content-type", PROTOBUF);
        let large = Bytes::from(vec![0; 20_000]);
        let call = call.body(large);
        let call = if is_chunked { call.in_pieces(500) } else { call };
        assert_eq!(call.send(door.address).await.status, StatusCode::TOO_MANY_REQUESTS);
        let answer = Request::post("/v1/traces")
            .header("content-type", PROTOBUF)
            .body(body(1))
            .send(door.address)
            .await;
        assert_eq!(answer.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn counting_an_overload_does_not_add_to_it() {
    let mut store = FakeStore::new(Does::Hang);
    store.hangs_refusals = true;
    let store = Arc::new(store);
    let intake = intake(store.clone(), &Settings { in_flight: ByteSize::bytes(1), ..Settings::default() });
    for number in 0..1_000 {
        let spans = spans(number + 1, "shop");
        intake.take(Batch { spans, ..Batch::default() }).await.unwrap_err();
    }
    until("the first count is with the store", || (!store.refusals().is_empty()).then_some(())).await;
    assert_eq!(store.given.lock().unwrap().len(), 1);
    store.tell(Does::Keep);
    until("all are counted", || {
        (total(&store.refusals(), "shop", RefusalReason::Overloaded) == (2_000, 0)).then_some(())
    })
    .await;
    assert!(store.given.lock().unwrap().len() <= 3);
}

#[tokio::test]
async fn what_the_store_refuses_is_answered_with_its_code_and_counted_by_the_store_alone() {
    let store = Arc::new(FakeStore::new(Does::Keep));
    let intake = intake(store.clone(), &Settings::default());
    let door = Door::open(intake.otlp_http().merge(intake.zipkin()));
    let cases = [
        (AppendError::Overloaded, StatusCode::TOO_MANY_REQUESTS, 8, "the store is behind; try again"),
        (AppendError::DiskFull, StatusCode::SERVICE_UNAVAILABLE, 14, "the disk is full"),
        (AppendError::Closed, StatusCode::SERVICE_UNAVAILABLE, 14, "the store is closed"),
        (
            AppendError::Failed("/secret/path: input/output error".to_owned()),
            StatusCode::SERVICE_UNAVAILABLE,
            14,
            "the store cannot be written to; try again later",
        ),
    ];
    for (error, status, code, sentence) in cases {
        store.tell(Does::Fail(error));
        let call = Request::post("/v1/traces").header("content-type", "application/json");
        let answer = call.body(otlp::traces_to_json(&spans(1, "shop")).to_string()).send(door.address).await;
        assert_eq!((answer.status, answer.header("retry-after")), (status, "1"));
        assert_eq!(answer.json, serde_json::json!({"code": code, "message": sentence}));
        let span = r#"[{"traceId":"1","id":"2","name":"get"}]"#;
        let answer = Request::post("/api/v2/spans").body(span).send(door.address).await;
        assert_eq!((answer.status, answer.header("retry-after")), (status, "1"));
        assert_eq!(answer.text(), format!("{sentence}\n"));
    }
    store.tell(Does::Keep);
    let answer =
        Request::post("/v1/traces").header("content-type", PROTOBUF).body(body(1)).send(door.address).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(store.refusals(), []);
}

#[tokio::test]
async fn a_client_that_leaves_changes_nothing_for_what_has_arrived() {
    let store = Arc::new(FakeStore::new(Does::Hang));
    let watching = Arc::new(Watching::default());
    let settings = Settings { calls: 1, ..Settings::default() };
    let intake = Intake::new(store.clone(), &settings, watching.clone());
    let door = Arc::new(Door::open(intake.otlp_http()));
    let leaving = waypost_telemetry::spawn({
        let door = Arc::clone(&door);
        async move {
            Request::post("/v1/traces")
                .header("content-type", PROTOBUF)
                .body(body(1))
                .send(door.address)
                .await
        }
    });
    until("the request is with the store", || (store.batches() == 1).then_some(())).await;
    leaving.abort();
    assert!(leaving.await.unwrap_err().is_cancelled());
    store.tell(Does::Keep);
    until("it is kept all the same", || (*watching.0.lock().unwrap() == [2]).then_some(())).await;
    // Its place is free again.
    until("the next is taken", || (watching.0.lock().unwrap().len() == 1).then_some(())).await;
    let answer =
        Request::post("/v1/traces").header("content-type", PROTOBUF).body(body(2)).send(door.address).await;
    assert_eq!(answer.status, StatusCode::OK);
}

#[tokio::test]
async fn a_body_that_is_announced_and_does_not_come_holds_no_memory_of_others() {
    let store = Arc::new(FakeStore::new(Does::Keep));
    let settings = Settings { in_flight: ByteSize::kib(256), ..Settings::default() };
    let door = Door::open(intake(store, &settings).otlp_http());
    let head = format!(
        "POST /v1/traces HTTP/1.1\r\nhost: localhost\r\ncontent-type: {PROTOBUF}\r\ncontent-length: 67108864\r\n\
         expect: 100-continue\r\n\r\n"
    );
    let mut silent = Vec::new();
    for _ in 0..3 {
        let mut client = TcpStream::connect(door.address).await.unwrap();
        client.write_all(head.as_bytes()).await.unwrap();
        let mut begun = [0; 12];
        client.read_exact(&mut begun).await.unwrap();
        // Said when the body is waited for, and so after room was made for it.
        assert_eq!(&begun, b"HTTP/1.1 100");
        silent.push(client);
    }
    let answer =
        Request::post("/v1/traces").header("content-type", PROTOBUF).body(body(1)).send(door.address).await;
    assert_eq!(answer.status, StatusCode::OK);
}
