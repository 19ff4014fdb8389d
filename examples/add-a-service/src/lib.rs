//! Shipping: a service that joins the running shop. An order that is completed becomes a parcel, once.
//! Step by step in the README.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use waypost_api::attributes::ORDER_ID;
use waypost_api::events::{ORDER_EVENTS_TOPIC, OrderEvent, OrderEventKind};
use waypost_api::http_bodies::{PROBLEM_CONTENT_TYPE, Problem};
use waypost_api::order::v1::order_service_client::OrderServiceClient;
use waypost_api::order::v1::{Caller, GetOrderRequest};
use waypost_api::{ErrorCode, OrderId, OrderStatus};
use waypost_durable::broker::{Broker, Delivery};
use waypost_durable::consume::{self, Failure, Subscription};
use waypost_durable::{Database, DatabaseOptions, Location, Migration, Unit, inbox};
use waypost_service::{App, Worker};
use waypost_telemetry::grpc::TracedChannel;
use waypost_telemetry::{ErrorType, Telemetry, record_error, set, with_context};

/// The consumer group: another one than that of the notifications, so each gets every event.
const GROUP: &str = "shipping-service";

const MIGRATIONS: &[Migration] = &[
    Migration::new("0001_inbox", inbox::SCHEMA),
    Migration::new(
        "0002_parcels",
        "CREATE TABLE parcels (order_id TEXT PRIMARY KEY, user_id TEXT, product_id TEXT, quantity INTEGER)",
    ),
];

/// What is to be sent, and how its order stands now.
#[derive(Serialize)]
struct Parcel {
    order_id: String,
    user_id: String,
    product_id: String,
    quantity: u32,
    order_status: Option<OrderStatus>,
}

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("cannot read the order event")]
    Event(#[from] serde_json::Error),
    #[error("the shipping database failed")]
    Store(#[from] waypost_durable::Error),
}

// `error.type` and the class, which says how long it is tried, are those of the source.
impl ErrorType for Error {}

#[derive(Clone)]
struct Shipping {
    database: Database,
    orders: OrderServiceClient<TracedChannel>,
}

/// The role: its routes, its consumer, and what is closed at the end.
pub fn build(
    telemetry: &Telemetry,
    database: Location,
    broker: Arc<dyn Broker>,
    order_url: &str,
) -> anyhow::Result<App> {
    let database = Database::open(DatabaseOptions::new(database, "shipping", telemetry), MIGRATIONS)?;
    let orders = OrderServiceClient::new(telemetry.grpc_channel(order_url)?);
    let router = Router::new()
        .route("/parcels/{order}", get(parcel))
        .with_state(Shipping { database: database.clone(), orders })
        // Every request becomes a SERVER span with its route.
        .layer(telemetry.http_server());

    let (events, consumed, handle) = (Arc::clone(&broker), database.clone(), telemetry.clone());
    let consumer = Worker::new("shipping-consumer", move |drain| async move {
        let subscription = Subscription::new(events, GROUP, ORDER_EVENTS_TOPIC, &handle);
        let on_event = move |delivery: Arc<Delivery>| pack(consumed.clone(), delivery);
        if let Err(error) = consume::run(subscription, on_event, async { drain.started().await }).await {
            with_context(handle.context(), async { record_error(&error) }).await;
        }
    });
    let close = Worker::closing("shipping-database", move || async move {
        broker.close().await;
        database.close().await;
    });
    Ok(App { router, workers: vec![consumer, close], ..App::default() })
}

/// One event, inside the span `process order-events`, which is part of the order's trace.
async fn pack(database: Database, delivery: Arc<Delivery>) -> Result<(), Failure<Error>> {
    let event: OrderEvent = serde_json::from_slice(&delivery.record.payload)
        .map_err(|error| Failure::Reject(Error::Event(error)))?;
    set(ORDER_ID, &event.order_id);
    if event.kind == OrderEventKind::Completed {
        // One unit: the event is remembered and the parcel is there, or neither.
        database.write("pack", move |unit| insert(unit, &event)).await?;
    }
    Ok(())
}

fn insert(unit: &mut Unit<'_>, event: &OrderEvent) -> Result<(), Error> {
    if inbox::first_time(unit, GROUP, event.event_id.as_str())? {
        unit.execute(
            "INSERT INTO parcels (order_id, user_id, product_id, quantity) VALUES (?1, ?2, ?3, ?4)",
            (event.order_id.as_str(), event.user_id.as_str(), event.product_id.as_str(), event.quantity),
        )?;
    }
    Ok(())
}

async fn parcel(
    State(mut shipping): State<Shipping>,
    Path(order): Path<String>,
) -> Result<Json<Parcel>, Refusal> {
    let order: OrderId = order.parse().map_err(|_| waypost_api::Error::of(ErrorCode::OrderNotFound))?;
    set(ORDER_ID, &order);
    let asked = order.clone();
    let found = shipping.database.read("parcel", move |unit| find(unit, &asked)).await;
    let found = found.map_err(|_| waypost_api::Error::of(ErrorCode::Unavailable))?;
    let mut parcel = found.ok_or_else(|| waypost_api::Error::of(ErrorCode::OrderNotFound))?;
    // A CLIENT span, whose context goes with the call. Shipping asks as an operator does, who sees every order.
    let caller = Caller { user_id: parcel.user_id.clone(), is_admin: true };
    let request = GetOrderRequest { caller: Some(caller), order_id: order.into() };
    let answer = shipping.orders.get_order(request).await.map_err(waypost_api::Error::from)?;
    parcel.order_status = Some(answer.into_inner().status().try_into()?);
    Ok(Json(parcel))
}

fn find(unit: &mut Unit<'_>, order: &OrderId) -> Result<Option<Parcel>, Error> {
    let sql = "SELECT order_id, user_id, product_id, quantity FROM parcels WHERE order_id = ?1";
    Ok(unit.query_optional(sql, [order.as_str()], |row| {
        let (order_id, user_id, product_id) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(Parcel { order_id, user_id, product_id, quantity: row.get(3)?, order_status: None })
    })?)
}

/// An error of the shop's own table, answered as its other services do.
struct Refusal(waypost_api::Error);

impl<E: Into<waypost_api::Error>> From<E> for Refusal {
    fn from(error: E) -> Refusal {
        Refusal(error.into())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = self.0.code.http_status();
        (status, [("content-type", PROBLEM_CONTENT_TYPE)], Json(Problem::new(&self.0))).into_response()
    }
}
