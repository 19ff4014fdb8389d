//! The gRPC interface: reads messages, writes messages, nothing else.

use crate::{
    Error,
    domain::{Generation, Line, Lines, Product, Reservation, ReservationState},
    logic::Inventory,
};
use std::time::Duration;
use tonic::{Request, Response, Status, service::Routes};
use waypost_api::attributes::{ORDER_ID, PRODUCT_ID};
use waypost_api::{
    FieldCode, FieldError, Money, OrderId, ProductId,
    convert::RequestFields,
    inventory::v1::{
        self, CheckStockRequest, CommitRequest, ReleaseRequest, ReleaseResponse, ReserveRequest,
        inventory_service_server::{InventoryService, InventoryServiceServer},
    },
};
use waypost_durable::Epoch;
use waypost_service::{Callers, GrpcLimits, grpc_app_favouring};
use waypost_telemetry::{Telemetry, record_error, set};

/// Who may call what, where callers are known by their certificates.
pub const CALLERS: Callers = &[
    ("CheckStock", &["gateway", "order"]),
    ("Reserve", &["order"]),
    ("Commit", &["order"]),
    ("Release", &["order"]),
];

/// The router of the gRPC interface with the layers that every role has.
pub fn router(telemetry: &Telemetry, inventory: Inventory, limits: &GrpcLimits) -> axum::Router {
    let routes = Routes::new(InventoryServiceServer::new(Interface { inventory }));
    // All calls but the one that begins something, which may be slow.
    grpc_app_favouring(telemetry, routes, CALLERS, limits, |_, path| !path.ends_with("/Reserve"))
}

struct Interface {
    inventory: Inventory,
}

#[tonic::async_trait]
impl InventoryService for Interface {
    async fn check_stock(
        &self,
        request: Request<CheckStockRequest>,
    ) -> Result<Response<v1::Product>, Status> {
        let mut fields = RequestFields::default();
        let id = fields.text::<ProductId>("product_id", &request.get_ref().product_id);
        let id = fields.finish(id)?;
        set(PRODUCT_ID, &id);
        let product = self.inventory.product(id).await.map_err(status)?;
        Ok(Response::new(product_message(product)))
    }

    async fn reserve(&self, request: Request<ReserveRequest>) -> Result<Response<v1::Reservation>, Status> {
        let request = request.into_inner();
        let (order, generation) = order_and_generation(&request.order_id, &request.key)?;
        let lines = read_lines(request.lines).map_err(status)?;
        let hold_time = request.time_to_live.map(read_duration).transpose()?;
        let epoch = Epoch::new(request.lease_epoch);
        set(ORDER_ID, &order);
        let reservation =
            self.inventory.reserve(order, generation, lines, hold_time, epoch).await.map_err(status)?;
        Ok(Response::new(reservation_message(&reservation)))
    }

    async fn commit(&self, request: Request<CommitRequest>) -> Result<Response<v1::Reservation>, Status> {
        let CommitRequest { order_id, key, lease_epoch } = request.into_inner();
        let ((order, _), epoch) = (order_and_generation(&order_id, &key)?, Epoch::new(lease_epoch));
        set(ORDER_ID, &order);
        let reservation = self.inventory.commit(order, epoch).await.map_err(status)?;
        Ok(Response::new(reservation_message(&reservation)))
    }

    async fn release(&self, request: Request<ReleaseRequest>) -> Result<Response<ReleaseResponse>, Status> {
        let ReleaseRequest { order_id, key, lease_epoch } = request.into_inner();
        let ((order, generation), epoch) = (order_and_generation(&order_id, &key)?, Epoch::new(lease_epoch));
        set(ORDER_ID, &order);
        let released = self.inventory.release(order, generation, epoch).await.map_err(status)?;
        Ok(Response::new(ReleaseResponse { released }))
    }
}

fn order_and_generation(order: &str, key: &str) -> Result<(OrderId, Generation), waypost_api::Error> {
    let mut fields = RequestFields::default();
    let order = fields.text::<OrderId>("order_id", order);
    let generation = match Generation::of_key(key) {
        None if key.is_empty() => fields.fail("key", FieldCode::Required, "is required"),
        None => fields.fail("key", FieldCode::BadFormat, "must be `order:step:generation`"),
        generation => generation,
    };
    fields.finish(order.zip(generation))
}

fn read_lines(lines: Vec<v1::Line>) -> Result<Lines, Error> {
    let mut problems = Vec::new();
    let mut read = Vec::new();
    // One more than is allowed, so that too many are told as such; the rest is not looked at.
    for (position, line) in lines.into_iter().take(Lines::MAX + 1).enumerate() {
        let mut wrong = |name: &str, code, detail: String| {
            problems.push(FieldError::new(format!("/lines/{position}/{name}"), code, detail));
        };
        let product = ProductId::parse(&line.product_id)
            .map_err(|reason| wrong("product_id", FieldCode::BadFormat, reason.to_string()));
        let unit_price = match line.unit_price.map(Money::try_from) {
            _ if line.any_price => Ok(None),
            Some(Ok(price)) => Ok(Some(price)),
            Some(Err(reason)) => {
                wrong("unit_price", FieldCode::BadFormat, reason.to_string());
                Err(())
            }
            // Not "any price": a process of before the field had its money would sell at any.
            None => {
                wrong("unit_price", FieldCode::Required, "is required unless `any_price`".to_owned());
                Err(())
            }
        };
        if let (Ok(product), Ok(unit_price)) = (product, unit_price) {
            read.push(Line { product, quantity: line.quantity, unit_price });
        }
    }
    if problems.is_empty() { Lines::new(read).map_err(Error::Invalid) } else { Err(Error::Invalid(problems)) }
}

fn read_duration(duration: prost_types::Duration) -> Result<Duration, waypost_api::Error> {
    let mut fields = RequestFields::default();
    let duration = match Duration::try_from(duration) {
        Ok(duration) if !duration.is_zero() => Some(duration),
        _ => fields.fail("time_to_live", FieldCode::TooSmall, "must be above 0"),
    };
    fields.finish(duration)
}

fn product_message(product: Product) -> v1::Product {
    v1::Product {
        product_id: product.id.into(),
        name: product.name,
        unit_price: Some(product.unit_price.into()),
        available: i64::try_from(product.available).unwrap_or(i64::MAX),
    }
}

fn reservation_message(reservation: &Reservation) -> v1::Reservation {
    v1::Reservation {
        reservation_id: reservation.id(),
        order_id: (&reservation.order).into(),
        state: state_message(reservation.state).into(),
        expires_at: Some(reservation.expires_at.into()),
    }
}

const fn state_message(state: ReservationState) -> v1::ReservationState {
    match state {
        ReservationState::Held => v1::ReservationState::Held,
        ReservationState::Committed => v1::ReservationState::Committed,
        ReservationState::Released => v1::ReservationState::Released,
        ReservationState::Expired => v1::ReservationState::Expired,
    }
}

/// The answer to the caller. What failed on our side is recorded here, where it is handled.
fn status(error: Error) -> Status {
    if waypost_telemetry::ErrorType::is_failure(&error) {
        record_error(&error);
    }
    waypost_api::Error::from(error).into()
}
