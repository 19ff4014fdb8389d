use crate::{
    door::Door,
    fake::{intake, memory},
};
use http::StatusCode;
use waypost_test_client::{Answer, Request};
use waypost_trace_intake::Settings;
use waypost_trace_store::TraceStore as _;

const SHOP: &str = "https://shop.example";

async fn preflight(door: &Door, origin: &str) -> Answer {
    preflight_of(door, "/v1/traces", origin).await
}

async fn preflight_of(door: &Door, path: &str, origin: &str) -> Answer {
    let call = Request::new("OPTIONS", path).header("origin", origin);
    let call = call.header("access-control-request-method", "POST");
    call.header("access-control-request-headers", "content-type,x-tenant").send(door.address).await
}

async fn post(door: &Door, origin: &str) -> Answer {
    let call =
        Request::post("/v1/traces").header("origin", origin).header("content-type", "application/json");
    call.body("{}").send(door.address).await
}

#[tokio::test]
async fn by_default_no_answer_speaks_to_another_origin() {
    let door = Door::open(intake(memory(), &Settings::default()).otlp_http());
    let asked = preflight(&door, SHOP).await;
    assert_eq!(asked.status, StatusCode::METHOD_NOT_ALLOWED);
    for answer in [asked, post(&door, SHOP).await] {
        let names: Vec<&str> = answer.headers.keys().map(http::HeaderName::as_str).collect();
        assert!(!names.iter().any(|name| name.starts_with("access-control")), "{names:?}");
    }
}

#[tokio::test]
async fn an_origin_that_is_set_may_send_and_no_other() {
    let settings = Settings { cors_origins: vec![SHOP.to_owned()], ..Settings::default() };
    let door = Door::open(intake(memory(), &settings).otlp_http());
    let answer = preflight(&door, SHOP).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    assert_eq!(answer.header("access-control-allow-origin"), SHOP);
    assert_eq!(answer.header("access-control-allow-methods"), "POST");
    assert_eq!(answer.header("access-control-allow-headers"), "content-type,x-tenant");
    let answer = post(&door, SHOP).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("access-control-allow-origin"), SHOP);
    assert_eq!(answer.header("vary"), "origin");
    for other in ["https://shop.example.evil", "http://shop.example", "null"] {
        assert_eq!(preflight(&door, other).await.header("access-control-allow-origin"), "");
        assert_eq!(post(&door, other).await.header("access-control-allow-origin"), "");
    }
}

#[tokio::test]
async fn the_door_of_zipkin_answers_pages_as_that_of_otlp_does() {
    let settings = Settings { cors_origins: vec![SHOP.to_owned()], ..Settings::default() };
    // Beside its queries, as the viewer serves it.
    let queries = axum::Router::new().route("/api/v2/spans", axum::routing::get(async || "[]"));
    let door = Door::open(intake(memory(), &settings).zipkin().merge(queries.clone()));
    let answer = preflight_of(&door, "/api/v2/spans", SHOP).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    assert_eq!(answer.header("access-control-allow-origin"), SHOP);
    let other = preflight_of(&door, "/api/v2/spans", "https://other.example").await;
    assert_eq!(other.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(other.header("access-control-allow-origin"), "");
    let closed = Door::open(intake(memory(), &Settings::default()).zipkin().merge(queries));
    let answer = preflight_of(&closed, "/api/v2/spans", SHOP).await;
    assert_eq!((answer.status, answer.header("allow")), (StatusCode::METHOD_NOT_ALLOWED, "GET,HEAD,POST"));
}

#[tokio::test]
async fn a_page_that_may_not_send_cannot_get_around_it_by_leaving_out_the_type() {
    let store = memory();
    let door = Door::open(intake(store.clone(), &Settings::default()).zipkin());
    let spans = r#"[{"traceId":"1","id":"2"}]"#;
    let answer = Request::post("/api/v2/spans").header("origin", SHOP).body(spans).send(door.address).await;
    assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(store.usage().spans, 0);
    let answer = Request::post("/api/v2/spans").body(spans).send(door.address).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    assert_eq!(store.usage().spans, 1);
}
