//! Services that answer by the id they are asked about.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::sync::Semaphore;
use tonic::{Request, Response, Status, service::Routes};
use waypost_api::{
    Currency, Error, ErrorCode, Money,
    inventory::v1::{self as inventory, inventory_service_server},
    order::v1::{self as order, order_service_server},
    user::v1::{self as user, user_service_server},
};
use waypost_resilience::deadline;

/// Principal and key.
type Key = (String, String);
/// Fingerprint and answer of the first request with a key.
type First = (Vec<u8>, order::Order);

/// What the fakes were asked, and what holds them up.
#[derive(Clone)]
pub(crate) struct Services {
    pub(crate) created: Arc<Mutex<Vec<order::CreateOrderRequest>>>,
    pub(crate) time_left: Arc<Mutex<Option<Duration>>>,
    /// Orders of `prod-gated` wait for a permit; each that waits adds one to `arrived`.
    pub(crate) gate: Arc<Semaphore>,
    pub(crate) arrived: Arc<Semaphore>,
    keys: Arc<Mutex<HashMap<Key, First>>>,
    pub(crate) users: Arc<Mutex<Users>>,
}

/// How the user service is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Users {
    #[default]
    Well,
    Away,
    /// It takes a request and never answers.
    Silent,
    /// It knows every user as one who may not order.
    Inactive,
}

impl Services {
    pub(crate) fn new() -> Services {
        Services {
            created: Arc::default(),
            time_left: Arc::default(),
            gate: Arc::new(Semaphore::new(0)),
            arrived: Arc::new(Semaphore::new(0)),
            keys: Arc::default(),
            users: Arc::default(),
        }
    }

    pub(crate) fn routes(&self) -> Routes {
        Routes::new(order_service_server::OrderServiceServer::new(self.clone()))
            .add_service(user_service_server::UserServiceServer::new(self.clone()))
            .add_service(inventory_service_server::InventoryServiceServer::new(self.clone()))
    }
}

/// `user123`'s order.
pub(crate) fn completed(order_id: &str) -> order::Order {
    let moment = prost_types::Timestamp { seconds: 1_763_710_000, nanos: 0 };
    order::Order {
        order_id: order_id.to_owned(),
        user_id: "user123".to_owned(),
        product_id: "prod456".to_owned(),
        quantity: 2,
        amount: Some(Money::new(999_900, Currency::USD).into()),
        status: order::OrderStatus::Completed.into(),
        created_at: Some(moment),
        updated_at: Some(moment),
        trace_id: waypost_telemetry::trace_id().unwrap_or_default(),
        version: 3,
        ..order::Order::default()
    }
}

fn may_see(caller: Option<order::Caller>, owner: &str) -> Result<(), Status> {
    let caller = caller.ok_or_else(|| Status::internal("no caller"))?;
    if caller.is_admin || caller.user_id == owner {
        Ok(())
    } else {
        Err(Error::of(ErrorCode::OrderNotFound).into())
    }
}

#[tonic::async_trait]
impl order_service_server::OrderService for Services {
    async fn create_order(
        &self,
        request: Request<order::CreateOrderRequest>,
    ) -> Result<Response<order::CreateOrderResponse>, Status> {
        let request = request.into_inner();
        *self.time_left.lock().unwrap() = deadline::remaining();
        self.created.lock().unwrap().push(request.clone());
        let failed = |code: &str| order::Order {
            status: order::OrderStatus::Failed.into(),
            failure_code: code.to_owned(),
            ..completed("order-2")
        };
        let mut order = match request.product_id.as_str() {
            "prod-gone" => return Err(Error::of(ErrorCode::ProductNotFound).into()),
            "prod-dear" => return Err(Error::new(ErrorCode::AmountMismatch, "it costs 100.00 USD").into()),
            "prod-soldout" => failed("out_of_stock"),
            "prod-declined" => {
                order::Order { decline_code: "insufficient_funds".to_owned(), ..failed("payment_declined") }
            }
            product if product.starts_with("fails-") => order::Order {
                charge: order::Charge::None.into(),
                ..failed(&product.trim_start_matches("fails-").replace('-', "_"))
            },
            "prod-slow" => {
                order::Order { status: order::OrderStatus::Pending.into(), ..completed("order-3") }
            }
            // It is accepted, and the answer to the first call is lost.
            "prod-lost" if !request.is_repeat => return Err(Status::unavailable("the connection broke")),
            "prod-lost" => {
                order::Order { status: order::OrderStatus::Pending.into(), ..completed("order-5") }
            }
            "prod-never" => std::future::pending().await,
            "prod-broken" => {
                return Err(Status::internal("SELECT * FROM orders: disk I/O error at /var/lib"));
            }
            "prod-gated" => {
                self.arrived.add_permits(1);
                self.gate.acquire().await.unwrap().forget();
                completed("order-4")
            }
            _ => completed(&format!("order-{}", self.created.lock().unwrap().len())),
        };
        order.user_id.clone_from(&request.user_id);
        if let Some(order::Idempotency { key, principal, fingerprint }) = request.idempotency {
            let mut keys = self.keys.lock().unwrap();
            if let Some((first, order)) = keys.get(&(principal.clone(), key.clone())) {
                if *first != fingerprint {
                    return Err(Error::of(ErrorCode::IdempotencyKeyReused).into());
                }
                let order = Some(order.clone());
                return Ok(Response::new(order::CreateOrderResponse { order, replayed: true }));
            }
            keys.insert((principal, key), (fingerprint, order.clone()));
        }
        Ok(Response::new(order::CreateOrderResponse { order: Some(order), replayed: false }))
    }

    async fn get_order_by_key(
        &self,
        request: Request<order::GetOrderByKeyRequest>,
    ) -> Result<Response<order::Order>, Status> {
        let key = request.into_inner().idempotency.unwrap();
        let keys = self.keys.lock().unwrap();
        match keys.get(&(key.principal, key.key)) {
            Some((first, _)) if *first != key.fingerprint => {
                Err(Error::of(ErrorCode::IdempotencyKeyReused).into())
            }
            Some((_, order)) => Ok(Response::new(order.clone())),
            None => Err(Error::of(ErrorCode::OrderNotFound).into()),
        }
    }

    async fn get_order(
        &self,
        request: Request<order::GetOrderRequest>,
    ) -> Result<Response<order::Order>, Status> {
        let request = request.into_inner();
        may_see(request.caller, "user123")?;
        match request.order_id.as_str() {
            "order-1" => Ok(Response::new(completed("order-1"))),
            _ => Err(Error::of(ErrorCode::OrderNotFound).into()),
        }
    }

    async fn list_orders(
        &self,
        request: Request<order::ListOrdersRequest>,
    ) -> Result<Response<order::ListOrdersResponse>, Status> {
        let request = request.into_inner();
        may_see(request.caller, &request.user_id)?;
        match request.page_token.as_str() {
            "" => Ok(Response::new(order::ListOrdersResponse {
                orders: (0..request.page_size.max(1))
                    .map(|number| completed(&format!("order-{number}")))
                    .collect(),
                next_page_token: "next+page=".to_owned(),
            })),
            "next+page=" => Ok(Response::new(order::ListOrdersResponse::default())),
            _ => Err(Error::of(ErrorCode::InvalidPageToken).into()),
        }
    }

    async fn cancel_order(
        &self,
        request: Request<order::CancelOrderRequest>,
    ) -> Result<Response<order::Order>, Status> {
        let request = request.into_inner();
        may_see(request.caller, "user123")?;
        match request.order_id.as_str() {
            "order-1" => {
                let status = order::OrderStatus::Cancelled.into();
                Ok(Response::new(order::Order { status, ..completed("order-1") }))
            }
            "order-paid" => Err(Error::of(ErrorCode::OrderNotCancellable).into()),
            _ => Err(Error::of(ErrorCode::OrderNotFound).into()),
        }
    }
}

#[tonic::async_trait]
impl user_service_server::UserService for Services {
    async fn get_user(&self, request: Request<user::GetUserRequest>) -> Result<Response<user::User>, Status> {
        let user_id = request.into_inner().user_id;
        let users = *self.users.lock().unwrap();
        match users {
            Users::Away => return Err(Error::of(ErrorCode::Unavailable).into()),
            Users::Silent => std::future::pending().await,
            Users::Well | Users::Inactive => {}
        }
        if !user_id.starts_with("user") {
            return Err(Error::of(ErrorCode::UserNotFound).into());
        }
        Ok(Response::new(user::User {
            name: "Ada".to_owned(),
            email: "ada@example.com".to_owned(),
            is_admin: user_id == "user-admin",
            is_active: users == Users::Well && user_id != "user-inactive",
            payment_method: "pm_card_ok".to_owned(),
            tenant_id: "acme".to_owned(),
            user_id,
        }))
    }

    async fn authenticate(
        &self,
        request: Request<user::AuthenticateRequest>,
    ) -> Result<Response<user::User>, Status> {
        let user::AuthenticateRequest { user_id, password, .. } = request.into_inner();
        if password != "waypost-demo" || !user_id.starts_with("user") {
            return Err(Error::of(ErrorCode::BadCredentials).into());
        }
        self.get_user(Request::new(user::GetUserRequest { user_id })).await
    }
}

#[tonic::async_trait]
impl inventory_service_server::InventoryService for Services {
    async fn check_stock(
        &self,
        request: Request<inventory::CheckStockRequest>,
    ) -> Result<Response<inventory::Product>, Status> {
        let product_id = request.into_inner().product_id;
        if product_id != "prod456" {
            return Err(Error::of(ErrorCode::ProductNotFound).into());
        }
        Ok(Response::new(inventory::Product {
            product_id,
            name: "Trail backpack".to_owned(),
            unit_price: Some(Money::new(499_950, Currency::USD).into()),
            available: 1_000_000,
        }))
    }

    async fn reserve(
        &self,
        _: Request<inventory::ReserveRequest>,
    ) -> Result<Response<inventory::Reservation>, Status> {
        Err(Status::unimplemented("not the gateway's business"))
    }

    async fn commit(
        &self,
        _: Request<inventory::CommitRequest>,
    ) -> Result<Response<inventory::Reservation>, Status> {
        Err(Status::unimplemented("not the gateway's business"))
    }

    async fn release(
        &self,
        _: Request<inventory::ReleaseRequest>,
    ) -> Result<Response<inventory::ReleaseResponse>, Status> {
        Err(Status::unimplemented("not the gateway's business"))
    }
}
