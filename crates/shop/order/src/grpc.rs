//! The gRPC interface: reads messages, writes messages, nothing else.

use crate::{
    Error,
    domain::{self, Viewer},
    logic::{NewOrder, Orders, PageOf},
};
use tonic::{Request, Response, Status, service::Routes};
use waypost_api::attributes::ORDER_ID;
use waypost_api::{
    FieldCode, OrderId, UserId,
    convert::RequestFields,
    http_bodies::MAX_QUANTITY,
    order::v1::{
        self, Caller, CancelOrderRequest, CreateOrderRequest, CreateOrderResponse, GetOrderByKeyRequest,
        GetOrderRequest, Idempotency, ListOrdersRequest, ListOrdersResponse,
        order_service_server::{OrderService, OrderServiceServer},
    },
};
use waypost_durable::idempotency::Key;
use waypost_service::{Callers, GrpcLimits, grpc_app_favouring};
use waypost_telemetry::{Telemetry, record_error, set};

/// The one route whose requests carry a key.
const CREATE_ROUTE: &str = "waypost.order.v1.OrderService/CreateOrder";
/// Length of a SHA-256.
const FINGERPRINT_LENGTH: usize = 32;
/// Longest key, principal or token, in bytes.
const MAX_TEXT_LENGTH: usize = 255;

/// Who may call what, where callers are known by their certificates.
pub const CALLERS: Callers = &[
    ("CreateOrder", &["gateway"]),
    ("GetOrderByKey", &["gateway"]),
    ("GetOrder", &["gateway"]),
    ("ListOrders", &["gateway"]),
    ("CancelOrder", &["gateway"]),
];

/// The router of the gRPC interface with the layers that every role has.
pub fn router(telemetry: &Telemetry, orders: Orders, limits: &GrpcLimits) -> axum::Router {
    let routes = Routes::new(OrderServiceServer::new(Interface { orders }));
    // All calls but the one that begins something, which may be slow.
    grpc_app_favouring(telemetry, routes, CALLERS, limits, |_, path| !path.ends_with("/CreateOrder"))
}

struct Interface {
    orders: Orders,
}

#[tonic::async_trait]
impl OrderService for Interface {
    async fn create_order(
        &self,
        request: Request<CreateOrderRequest>,
    ) -> Result<Response<CreateOrderResponse>, Status> {
        let request = read_wish(request.into_inner())?;
        let created = self.orders.create(request).await.map_err(status)?;
        set(ORDER_ID, &created.order.id);
        let response =
            CreateOrderResponse { order: Some(message(created.order)), replayed: created.replayed };
        Ok(Response::new(response))
    }

    async fn get_order_by_key(
        &self,
        request: Request<GetOrderByKeyRequest>,
    ) -> Result<Response<v1::Order>, Status> {
        let (caller, user, key) = read_by_key(request.into_inner())?;
        let order = self.orders.find_by_key(key, &user, &caller).await.map_err(status)?;
        Ok(Response::new(message(order)))
    }

    async fn get_order(&self, request: Request<GetOrderRequest>) -> Result<Response<v1::Order>, Status> {
        let GetOrderRequest { caller, order_id } = request.into_inner();
        let (caller, id) = read_caller_and_id(caller, &order_id)?;
        let order = self.orders.find(id, caller).await.map_err(status)?;
        Ok(Response::new(message(order)))
    }

    async fn list_orders(
        &self,
        request: Request<ListOrdersRequest>,
    ) -> Result<Response<ListOrdersResponse>, Status> {
        let ListOrdersRequest { caller, user_id, page_size, page_token } = request.into_inner();
        let mut fields = RequestFields::default();
        let caller = read_caller(&mut fields, caller);
        let user = fields.text::<UserId>("user_id", &user_id);
        let size = match domain::page_size(page_size) {
            Some(size) => Some(size),
            None => fields.fail(
                "page_size",
                FieldCode::TooLarge,
                format!("must be at most {}", domain::MAX_PAGE_SIZE),
            ),
        };
        let ((caller, user), size) = fields.finish(caller.zip(user).zip(size))?;
        let page = PageOf { user, size, token: page_token };
        let page = self.orders.list(page, caller).await.map_err(status)?;
        let orders = page.orders.into_iter().map(message).collect();
        Ok(Response::new(ListOrdersResponse { orders, next_page_token: page.next_token.unwrap_or_default() }))
    }

    async fn cancel_order(
        &self,
        request: Request<CancelOrderRequest>,
    ) -> Result<Response<v1::Order>, Status> {
        let CancelOrderRequest { caller, order_id } = request.into_inner();
        let (caller, id) = read_caller_and_id(caller, &order_id)?;
        let order = self.orders.cancel(id, caller).await.map_err(status)?;
        Ok(Response::new(message(order)))
    }
}

fn read_wish(request: CreateOrderRequest) -> Result<NewOrder, waypost_api::Error> {
    let mut fields = RequestFields::default();
    let caller = read_caller(&mut fields, request.caller);
    let user = fields.text::<UserId>("user_id", &request.user_id);
    let product = fields.text("product_id", &request.product_id);
    let quantity = fields.count("quantity", request.quantity, 1..=MAX_QUANTITY);
    let amount = fields.positive_money("amount", request.amount);
    let payment_method = fields.payment_method("payment_method", request.payment_method);
    let key = match request.idempotency {
        None => Some(None),
        Some(idempotency) => read_key(&mut fields, idempotency).map(Some),
    };
    let request = (|| {
        Some(NewOrder {
            caller: caller?,
            user: user?,
            product: product?,
            quantity: quantity?,
            amount: amount?,
            payment_method: payment_method?,
            key: key?,
            is_repeat: request.is_repeat,
        })
    })();
    fields.finish(request)
}

fn read_by_key(request: GetOrderByKeyRequest) -> Result<(Viewer, UserId, Key), waypost_api::Error> {
    let mut fields = RequestFields::default();
    let caller = read_caller(&mut fields, request.caller);
    let user = fields.text::<UserId>("user_id", &request.user_id);
    let key = fields.required("idempotency", request.idempotency);
    let key = key.and_then(|key| read_key(&mut fields, key));
    let ((caller, user), key) = fields.finish(caller.zip(user).zip(key))?;
    Ok((caller, user, key))
}

fn read_key(fields: &mut RequestFields, idempotency: Idempotency) -> Option<Key> {
    let Idempotency { key, principal, fingerprint } = idempotency;
    let key = read_text(fields, "idempotency", key);
    let principal = read_text(fields, "idempotency", principal);
    if fingerprint.len() != FINGERPRINT_LENGTH {
        return fields.fail("idempotency", FieldCode::BadFormat, "must have a fingerprint of 32 bytes");
    }
    Some(Key { principal: principal?, route: CREATE_ROUTE.to_owned(), key: key?, fingerprint })
}

/// Visible ASCII, not too long.
fn read_text(fields: &mut RequestFields, name: &str, text: String) -> Option<String> {
    if text.is_empty() {
        return fields.fail(name, FieldCode::Required, "is required");
    }
    if text.len() > MAX_TEXT_LENGTH || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        let detail = format!("must be at most {MAX_TEXT_LENGTH} visible ASCII characters");
        return fields.fail(name, FieldCode::BadFormat, detail);
    }
    Some(text)
}

fn read_caller(fields: &mut RequestFields, caller: Option<Caller>) -> Option<Viewer> {
    let caller = fields.required("caller", caller)?;
    let user = fields.text("caller", &caller.user_id)?;
    Some(Viewer { user, is_admin: caller.is_admin })
}

fn read_caller_and_id(
    caller: Option<Caller>,
    order_id: &str,
) -> Result<(Viewer, OrderId), waypost_api::Error> {
    let mut fields = RequestFields::default();
    let caller = read_caller(&mut fields, caller);
    let id = fields.text::<OrderId>("order_id", order_id);
    let (caller, id) = fields.finish(caller.zip(id))?;
    set(ORDER_ID, &id);
    Ok((caller, id))
}

fn message(order: domain::Order) -> v1::Order {
    v1::Order {
        order_id: order.id.into(),
        user_id: order.user.into(),
        product_id: order.product.into(),
        quantity: order.quantity,
        amount: Some(order.amount.into()),
        status: v1::OrderStatus::from(order.status).into(),
        failure_code: order.failure_code.map(|code| code.as_str().to_owned()).unwrap_or_default(),
        transaction_id: order.transaction.map(String::from).unwrap_or_default(),
        created_at: Some(order.created_at.into()),
        updated_at: Some(order.updated_at.into()),
        trace_id: order.origin.trace_id.unwrap_or_default(),
        version: order.version,
        decline_code: order.decline_code.unwrap_or_default(),
        charge: v1::Charge::from(order.charge).into(),
    }
}

/// The answer to the caller. What failed on our side is recorded here, where it is handled.
fn status(error: Error) -> Status {
    if waypost_telemetry::ErrorType::is_failure(&error) {
        record_error(&error);
    }
    waypost_api::Error::from(error).into()
}
