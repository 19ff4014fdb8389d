//! All that the shop sends is right by the OpenTelemetry conventions and by the registry of its own names; what is meant to
//! differ is listed here with its reason.

use http::StatusCode;
use waypost_telemetry::FinishedSpan;
use waypost_telemetry::testing::ReceivedMetric;
use waypost_telemetry::testing::conventions::{Conventions, Level, Rule};
use waypost_testkit::{Collector, until};

use crate::{Traced, order_of, seed_order, trace_of};

const REGISTRY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/telemetry");

/// Who has to send something. The viewer has no telemetry of its own.
const SERVICES: [&str; 7] = [
    "api-gateway",
    "inventory-service",
    "notification-service",
    "order-service",
    "payment-provider",
    "payment-service",
    "user-service",
];

/// The conventions, the shop's own names, and where it differs.
fn conventions() -> Conventions {
    let embedded = "the broker is in the process: there is no server, and no client that would have an id";
    Conventions::current()
        .with_registry_folder(REGISTRY)
        .unwrap()
        .exception("db.client*/server.address", "SQLite is in the process of its role; there is no server")
        .exception("messaging.*/server.address", embedded)
        .exception("messaging.*/messaging.client.id", embedded)
        .exception(
            "messaging.*/messaging.destination.partition.id",
            "a series per partition; whoever runs out of partitions sees it in the broker's own metrics",
        )
}

/// Asserts that the spans of a trace are right; an exception that this trace does not need is no finding.
pub(crate) fn assert_spans_are_right(spans: &[FinishedSpan]) {
    let conventions = conventions();
    let report = conventions.begin().spans(spans).report();
    let is_wrong = report
        .findings()
        .any(|found| found.level() < Level::Information && found.rule() != Rule::UnneededException);
    assert!(!is_wrong, "{report}");
}

async fn place_orders_of_every_kind(traced: &Traced) {
    let completed = traced.post("/api/orders", &[], &seed_order()).await;
    assert_eq!(completed.status, StatusCode::CREATED, "{}", completed.json);
    let declined = traced.post("/api/orders", &[], &order_of("user-declined", "prod456", 2, "99.99")).await;
    assert_eq!(declined.status, StatusCode::PAYMENT_REQUIRED, "{}", declined.json);
    let sold_out = traced.post("/api/orders", &[], &order_of("user123", "prod-soldout", 1, "89.00")).await;
    assert_eq!(sold_out.json["code"], "out_of_stock", "{}", sold_out.json);
    let inactive = traced.post("/api/orders", &[], &order_of("user-inactive", "prod456", 2, "99.99")).await;
    assert!(inactive.status.is_client_error(), "{}", inactive.json);
    let nobody = traced.post("/api/orders", &[], &order_of("nobody", "prod456", 2, "99.99")).await;
    assert!(nobody.status.is_client_error(), "{}", nobody.json);
    let malformed = traced.post("/api/orders", &[], "{").await;
    assert_eq!(malformed.status, StatusCode::BAD_REQUEST, "{}", malformed.json);
    assert_eq!(traced.get("/nowhere").await.status, StatusCode::NOT_FOUND);

    let key = [("idempotency-key", "lost-answer-1")];
    let lost = traced.post("/api/orders", &key, &order_of("user-timeout", "prod456", 2, "99.99")).await;
    assert!(matches!(lost.status.as_u16(), 201 | 202), "{}", lost.json);
    let path = format!("/api/orders/{}", lost.json["order_id"].as_str().unwrap());
    until("the end of the order whose answer was lost", async || {
        traced.get(&path).await.json["status"] == "completed"
    })
    .await;
    let replayed = traced.post("/api/orders", &key, &order_of("user-timeout", "prod456", 2, "99.99")).await;
    assert_eq!(replayed.headers["idempotent-replayed"], "true");
    traced.trace_with(&trace_of(&completed), "process order-events").await;
}

/// Cancels an order while its payment is on the way.
async fn cancel_an_order(traced: &Traced) {
    let order = order_of("user-slow", "prod456", 2, "99.99");
    let place = traced.post("/api/orders", &[], &order);
    let cancel = async {
        let mut order = None;
        until("the order that is being placed", async || {
            let list = traced.get("/api/orders?user_id=user-slow").await;
            order = list.json["orders"][0]["order_id"].as_str().map(ToOwned::to_owned);
            order.is_some()
        })
        .await;
        traced.post(&format!("/api/orders/{}/cancel", order.unwrap()), &[], "").await
    };
    let (placed, cancelled) = tokio::join!(place, cancel);
    assert!(cancelled.status.is_success(), "{}", cancelled.json);
    assert_eq!(placed.json["status"], "cancelled", "{} {}", placed.status, placed.json);
}

fn has_come_from_everybody(collector: &Collector) -> bool {
    let metrics = collector.metrics();
    SERVICES.iter().all(|service| metrics.iter().any(|(of, _)| of == service))
}

#[tokio::test]
async fn all_that_the_shop_sends_is_right_by_the_conventions() {
    let traced = Traced::with(|shop| {
        shop.viewer()
            .environment("OTEL_METRICS_EXPORTER", "otlp")
            .environment("OTEL_METRIC_EXPORT_INTERVAL", "500")
            .environment("OTEL_LOGS_EXPORTER", "otlp")
            .environment("OTEL_BLRP_SCHEDULE_DELAY", "20")
    })
    .await;
    place_orders_of_every_kind(&traced).await;
    cancel_an_order(&traced).await;
    traced.shop.client("viewer").get("/").await.unwrap();
    until("metrics of every service", async || has_come_from_everybody(&traced.collector)).await;
    let Traced { shop, collector } = traced;
    // Sends what is left.
    let stopped = shop.stop().await.unwrap();
    assert!(stopped.status.success(), "{}", stopped.output);

    let metrics: Vec<ReceivedMetric> = collector.metrics().into_iter().map(|(_, metric)| metric).collect();
    let conventions = conventions();
    let mut check = conventions.begin().spans(&collector.spans()).logs(&collector.logs());
    check = check.received_metrics(&metrics);
    for resource in collector.resources() {
        check = check.resource(&resource);
    }
    assert!(!collector.logs().is_empty(), "a time-out is a log record too");
    check.report().assert_clean();
    assert!(collector.duplicate_attributes().is_empty(), "{:?}", collector.duplicate_attributes());
}
