//! The gRPC interface: reads messages, writes messages, nothing else.

use crate::{
    Error,
    domain::{Generation, NewRefund, Payment, PaymentState},
    logic::{Authorization, Payments},
};
use tonic::{Request, Response, Status, service::Routes};
use waypost_api::attributes::ORDER_ID;
use waypost_api::{
    FieldCode, Money, OrderId, UserId,
    convert::RequestFields,
    payment::v1::{
        self, AuthorizeRequest, CaptureRequest, GetPaymentRequest, RefundRequest, VoidRequest,
        payment_service_server::{PaymentService, PaymentServiceServer},
    },
};
use waypost_durable::Epoch;
use waypost_service::{Callers, GrpcLimits, grpc_app_favouring};
use waypost_telemetry::{ErrorType as _, Telemetry, record_error, set};

/// Who may call what, where callers are known by their certificates.
pub const CALLERS: Callers = &[
    ("Authorize", &["order"]),
    ("Capture", &["order"]),
    ("Void", &["order"]),
    ("Refund", &["order"]),
    ("GetPayment", &["order"]),
];

/// The router of the gRPC interface with the layers that every role has.
pub fn router(telemetry: &Telemetry, payments: Payments, limits: &GrpcLimits) -> axum::Router {
    let routes = Routes::new(PaymentServiceServer::new(Interface { payments }));
    // All calls but the one that begins something, which may be slow.
    grpc_app_favouring(telemetry, routes, CALLERS, limits, |_, path| !path.ends_with("/Authorize"))
}

struct Interface {
    payments: Payments,
}

#[tonic::async_trait]
impl PaymentService for Interface {
    async fn authorize(&self, request: Request<AuthorizeRequest>) -> Result<Response<v1::Payment>, Status> {
        let request = read_authorization(request.into_inner())?;
        set(ORDER_ID, &request.order);
        let payment = self.payments.authorize(request).await.map_err(status)?;
        Ok(Response::new(message(payment)))
    }

    async fn capture(&self, request: Request<CaptureRequest>) -> Result<Response<v1::Payment>, Status> {
        let CaptureRequest { order_id, key, lease_epoch } = request.into_inner();
        let (order, _) = order_and_generation(&order_id, &key)?;
        set(ORDER_ID, &order);
        let payment = self.payments.capture(order, &key, Epoch::new(lease_epoch)).await.map_err(status)?;
        Ok(Response::new(message(payment)))
    }

    async fn void(&self, request: Request<VoidRequest>) -> Result<Response<v1::Payment>, Status> {
        let VoidRequest { order_id, key, lease_epoch } = request.into_inner();
        let (order, generation) = order_and_generation(&order_id, &key)?;
        set(ORDER_ID, &order);
        let epoch = Epoch::new(lease_epoch);
        let payment = self.payments.void(order, generation, &key, epoch).await.map_err(status)?;
        Ok(Response::new(payment.map_or_else(|| never_was(order_id), message)))
    }

    async fn refund(&self, request: Request<RefundRequest>) -> Result<Response<v1::Payment>, Status> {
        let request = request.into_inner();
        let epoch = Epoch::new(request.lease_epoch);
        let request = read_refund(request)?;
        set(ORDER_ID, &request.order);
        let payment = self.payments.refund(request, Some(epoch)).await.map_err(status)?;
        Ok(Response::new(message(payment)))
    }

    async fn get_payment(
        &self,
        request: Request<GetPaymentRequest>,
    ) -> Result<Response<v1::Payment>, Status> {
        let mut fields = RequestFields::default();
        let order = fields.text::<OrderId>("order_id", &request.get_ref().order_id);
        let order = fields.finish(order)?;
        set(ORDER_ID, &order);
        let payment = self.payments.payment(order).await.map_err(status)?;
        Ok(Response::new(message(payment)))
    }
}

fn read_authorization(request: AuthorizeRequest) -> Result<Authorization, waypost_api::Error> {
    let mut fields = RequestFields::default();
    let order = fields.text::<OrderId>("order_id", &request.order_id);
    let generation = read_key(&mut fields, &request.key);
    let user = fields.text::<UserId>("user_id", &request.user_id);
    let amount = fields.positive_money("amount", request.amount);
    let method = fields.payment_method("payment_method", request.payment_method);
    let read = order.zip(generation).zip(user).zip(amount).zip(method);
    let ((((order, generation), user), amount), method) = fields.finish(read)?;
    let epoch = Epoch::new(request.lease_epoch);
    Ok(Authorization { order, generation, key: request.key, user, amount, method, epoch })
}

fn read_refund(request: RefundRequest) -> Result<NewRefund, waypost_api::Error> {
    let mut fields = RequestFields::default();
    let order = fields.text::<OrderId>("order_id", &request.order_id);
    let generation = read_key(&mut fields, &request.key);
    let amount = fields.positive_money("amount", request.amount);
    let ((order, _), amount) = fields.finish(order.zip(generation).zip(amount))?;
    Ok(NewRefund { order, key: request.key, amount })
}

fn order_and_generation(order: &str, key: &str) -> Result<(OrderId, Generation), waypost_api::Error> {
    let mut fields = RequestFields::default();
    let order = fields.text::<OrderId>("order_id", order);
    let generation = read_key(&mut fields, key);
    fields.finish(order.zip(generation))
}

fn read_key(fields: &mut RequestFields, key: &str) -> Option<Generation> {
    match Generation::of_key(key) {
        None if key.is_empty() => fields.fail("key", FieldCode::Required, "is required"),
        None => fields.fail("key", FieldCode::BadFormat, "must be `order:step:generation`"),
        generation => generation,
    }
}

fn message(payment: Payment) -> v1::Payment {
    let money = |ten_thousandths| Some(Money::new(ten_thousandths, payment.amount.currency()).into());
    v1::Payment {
        state: state_message(payment.state).into(),
        authorized: money(payment.authorized()),
        captured: money(payment.captured),
        refunded: money(payment.refunded),
        payment_id: payment.id.into(),
        order_id: payment.order.into(),
        transaction_id: payment.transaction.map(String::from).unwrap_or_default(),
        decline_code: payment.decline_code.unwrap_or_default(),
        updated_at: Some(payment.updated_at.into()),
    }
}

/// The answer to a `Void` without any authorisation: voided, and nothing else to tell.
fn never_was(order_id: String) -> v1::Payment {
    v1::Payment { order_id, state: v1::PaymentState::Voided.into(), ..v1::Payment::default() }
}

const fn state_message(state: PaymentState) -> v1::PaymentState {
    match state {
        PaymentState::Unknown => v1::PaymentState::Unknown,
        PaymentState::Authorized => v1::PaymentState::Authorized,
        PaymentState::Captured => v1::PaymentState::Captured,
        PaymentState::Voided => v1::PaymentState::Voided,
        PaymentState::Declined => v1::PaymentState::Declined,
        PaymentState::Refunded => v1::PaymentState::Refunded,
    }
}

/// The answer to the caller. What failed on our side is recorded here, where it is handled.
fn status(error: Error) -> Status {
    if error.is_failure() {
        record_error(&error);
    }
    waypost_api::Error::from(error).into()
}
