//! The services behind the gateway.
//!
//! Reads are repeated when the service could not be reached, within the budget of the request and the retry
//! budget of the target. Writes are not: the client repeats them, with its key. Every call carries what is left of
//! the request's deadline (the channel adds it). Reads and cancellations of orders have connections of their own, so
//! that orders which wait for their end hold up nothing else.

use crate::{Error, config::Config};
use std::future::Future;
use tonic::{Response, Status};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use waypost_api::{
    ErrorCode,
    inventory::v1::{CheckStockRequest, Product, inventory_service_client::InventoryServiceClient},
    order::v1::{
        CancelOrderRequest, CreateOrderRequest, CreateOrderResponse, GetOrderByKeyRequest, GetOrderRequest,
        ListOrdersRequest, ListOrdersResponse, Order, order_service_client::OrderServiceClient,
    },
    user::v1::{AuthenticateRequest, GetUserRequest, User, user_service_client::UserServiceClient},
};
use waypost_resilience::{
    grpc::{Channel, ChannelOptions},
    retry,
};
use waypost_service::Check;
use waypost_telemetry::Telemetry;

/// Clients of the three services.
#[derive(Debug)]
pub(crate) struct Upstream {
    orders: Target<OrderServiceClient<Channel>>,
    /// For all that is not a new order.
    known_orders: OrderServiceClient<Channel>,
    users: Target<UserServiceClient<Channel>>,
    stock: Target<InventoryServiceClient<Channel>>,
    retry: retry::Policy,
}

/// A client and its share of retries: a service that fails must not be asked twice as often because of it.
#[derive(Debug)]
struct Target<C> {
    client: C,
    retries: retry::Budget,
}

impl<C> Target<C> {
    fn new(telemetry: &Telemetry, target: &str, client: C) -> Target<C> {
        Target { client, retries: retry::Budget::new(telemetry, target) }
    }
}

fn connect(telemetry: &Telemetry, target: &str, config: &Config) -> Result<Channel, Error> {
    // A client that gives a request less time than we would says nothing of the service by running out of it.
    let options =
        ChannelOptions { counts_timeouts_from: config.budget.get() / 2, ..ChannelOptions::default() };
    Channel::connect_lazy(telemetry, target, options).map_err(|source| Error::Target { source })
}

type Answer<T> = Result<T, waypost_api::Error>;

impl Upstream {
    /// Connects lazily: the services may start later than the gateway.
    pub(crate) fn new(config: &Config, telemetry: &Telemetry) -> Result<Upstream, Error> {
        let orders = connect(telemetry, &config.order_service, config)?;
        let users = connect(telemetry, &config.user_service, config)?;
        let stock = connect(telemetry, &config.inventory_service, config)?;
        Ok(Upstream {
            known_orders: OrderServiceClient::new(orders.apart()),
            orders: Target::new(telemetry, &config.order_service, OrderServiceClient::new(orders)),
            users: Target::new(telemetry, &config.user_service, UserServiceClient::new(users)),
            stock: Target::new(telemetry, &config.inventory_service, InventoryServiceClient::new(stock)),
            retry: retry::Policy::new().idempotent(),
        })
    }

    pub(crate) async fn user(&self, request: GetUserRequest) -> Answer<User> {
        self.read(&self.users.retries, |attempt| {
            let (mut client, request) = (self.users.client.clone(), attempt.request(request.clone()));
            async move { client.get_user(request).await }
        })
        .await
    }

    /// Not repeated: a password check costs the user service more than any other call.
    pub(crate) async fn authenticate(&self, request: AuthenticateRequest) -> Answer<User> {
        Ok(self.users.client.clone().authenticate(request).await?.into_inner())
    }

    pub(crate) async fn product(&self, request: CheckStockRequest) -> Answer<Product> {
        self.read(&self.stock.retries, |attempt| {
            let (mut client, request) = (self.stock.client.clone(), attempt.request(request.clone()));
            async move { client.check_stock(request).await }
        })
        .await
    }

    pub(crate) async fn order(&self, request: GetOrderRequest) -> Answer<Order> {
        self.read(&self.orders.retries, |attempt| {
            let (mut client, request) = (self.known_orders.clone(), attempt.request(request.clone()));
            async move { client.get_order(request).await }
        })
        .await
    }

    /// The settled order that a key stands for; `None` when the key is new.
    pub(crate) async fn order_by_key(&self, request: GetOrderByKeyRequest) -> Answer<Option<Order>> {
        let found = self.read(&self.orders.retries, |attempt| {
            let (mut client, request) = (self.orders.client.clone(), attempt.request(request.clone()));
            async move { client.get_order_by_key(request).await }
        });
        match found.await {
            Ok(order) => Ok(Some(order)),
            Err(error) if error.code == ErrorCode::OrderNotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(crate) async fn orders(&self, request: ListOrdersRequest) -> Answer<ListOrdersResponse> {
        self.read(&self.orders.retries, |attempt| {
            let (mut client, request) = (self.known_orders.clone(), attempt.request(request.clone()));
            async move { client.list_orders(request).await }
        })
        .await
    }

    pub(crate) async fn create_order(&self, request: CreateOrderRequest) -> Answer<CreateOrderResponse> {
        Ok(self.orders.client.clone().create_order(request).await?.into_inner())
    }

    pub(crate) async fn cancel_order(&self, request: CancelOrderRequest) -> Answer<Order> {
        Ok(self.known_orders.clone().cancel_order(request).await?.into_inner())
    }

    async fn read<T, F, Fut>(&self, retries: &retry::Budget, call: F) -> Answer<T>
    where
        F: FnMut(retry::Attempt) -> Fut,
        Fut: Future<Output = Result<Response<T>, Status>>,
    {
        Ok(self.retry.call(retries, call).await?.into_inner())
    }
}

/// Whether each service says of itself that it is ready. Asked over a channel without telemetry: a probe every two
/// seconds is no trace that anybody wants.
pub(crate) fn checks(config: &Config) -> Result<Vec<Check>, Error> {
    let targets = [
        ("order-service", &config.order_service),
        ("user-service", &config.user_service),
        ("inventory-service", &config.inventory_service),
    ];
    targets.into_iter().map(|(name, target)| check(name, target)).collect()
}

fn check(name: &'static str, target: &str) -> Result<Check, Error> {
    let endpoint = tonic::transport::Endpoint::from_shared(target.to_owned())
        .map_err(|source| Error::Probe { target: target.to_owned(), source })?;
    let client = HealthClient::new(endpoint.connect_lazy());
    Ok(Check::new(name, move || {
        let mut client = client.clone();
        async move {
            let answer = client.check(HealthCheckRequest::default()).await;
            match answer.map(|answer| answer.into_inner().status()) {
                Ok(ServingStatus::Serving) => Ok(()),
                Ok(status) => Err(format!("answers {}", status.as_str_name())),
                Err(status) => Err(format!("{:?}", status.code())),
            }
        }
    }))
}
