use crate::{
    door::{Door, until},
    fake::{intake, memory},
    made::{log, spans},
};
use http::StatusCode;
use std::collections::BTreeMap;
use waypost_test_client::Request;
use waypost_trace_intake::{RecordLimits, Settings};
use waypost_trace_model::{RefusalReason, otlp};
use waypost_trace_store::{ServiceLedger, TraceStore};

/// The account of a service, once it says that so many spans were refused.
pub(crate) async fn refused(
    store: &dyn TraceStore,
    service: &str,
    reason: RefusalReason,
    spans: u64,
) -> ServiceLedger {
    let account = || store.ledger().services.into_iter().find(|account| &*account.service == service);
    until("the refusals are counted", || {
        account().filter(|account| account.refused.get(&reason) == Some(&spans))
    })
    .await
}

#[tokio::test]
async fn each_refusal_is_counted_once_where_it_belongs() {
    let store = memory();
    let limits = RecordLimits { attributes: 7, ..RecordLimits::default() };
    let intake = intake(store.clone(), &Settings { limits, ..Settings::default() });
    let door = Door::open(intake.otlp_http().merge(intake.zipkin()));
    let json = |path: &str| Request::post(path).header("content-type", "application/json");
    assert_eq!(json("/v1/traces").body("{").send(door.address).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(json("/v1/logs").body("{").send(door.address).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(json("/v1/metrics").body("{").send(door.address).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(json("/api/v2/spans").body("{").send(door.address).await.status, StatusCode::BAD_REQUEST);
    let answer = Request::post("/v1/traces")
        .header("content-type", "text/xml")
        .body("<spans/>")
        .send(door.address)
        .await;
    assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let mut sent = spans(1, "shop");
    let more = sent[0].attributes[0].clone();
    sent[0].attributes.push(more);
    let answer = json("/v1/traces").body(otlp::traces_to_json(&sent).to_string()).send(door.address).await;
    assert_eq!(answer.status, StatusCode::OK);
    let answer =
        json("/v1/logs").body(otlp::logs_to_json(&[log(1, "shop")]).to_string()).send(door.address).await;
    assert_eq!(answer.status, StatusCode::OK);

    let unknown = refused(&*store, "unknown_service", RefusalReason::Malformed, 3).await;
    let expected = ServiceLedger {
        service: "unknown_service".into(),
        received: 3,
        refused: BTreeMap::from([(RefusalReason::Malformed, 3)]),
        logs_received: 1,
        logs_refused: 1,
        ..ServiceLedger::default()
    };
    assert_eq!(unknown, expected);
    let shop = refused(&*store, "shop", RefusalReason::AttributeLimit, 1).await;
    let expected = ServiceLedger {
        service: "shop".into(),
        received: 2,
        stored: 1,
        refused: BTreeMap::from([(RefusalReason::AttributeLimit, 1)]),
        logs_received: 1,
        logs_stored: 1,
        ..ServiceLedger::default()
    };
    assert_eq!(shop, expected);
}
