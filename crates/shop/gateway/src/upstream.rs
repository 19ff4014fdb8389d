//! The services behind the gateway.
//!
//! Calls are repeated when the service could not be reached or the connection broke, within the budget of the request and
//! the retry budget of the target: where the service has replicas, at another one. Only what is not the same twice is not
//! repeated: an order without a key, and a check of a password. Every call carries what is left of
//! the request's deadline (the channel adds it). Reads and cancellations of orders have connections of their own, so
//! that orders which wait for their end hold up nothing else.

use crate::{Error, Parts, config::Config};
use std::future::Future;
use tonic::{Response, Status};
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
    checks: [(&'static str, Channel); 3],
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

fn connect(parts: &Parts, role: &'static str, target: &str, config: &Config) -> Result<Channel, Error> {
    let tls = parts.identity.as_ref().map(|identity| identity.outgoing(role));
    // A client that gives a request less time than we would says nothing of the service by running out of it.
    let options =
        ChannelOptions { counts_timeouts_from: config.budget.get() / 2, tls, ..ChannelOptions::default() };
    Channel::discover_lazy(&parts.discovery, &parts.telemetry, target, options)
        .map_err(|source| Error::Target { source })
}

type Answer<T> = Result<T, waypost_api::Error>;

impl Upstream {
    /// Connects lazily: the services may start later than the gateway.
    pub(crate) fn new(config: &Config, parts: &Parts) -> Result<Upstream, Error> {
        let telemetry = &parts.telemetry;
        let orders = connect(parts, "order", &config.order_service, config)?;
        let users = connect(parts, "user", &config.user_service, config)?;
        let stock = connect(parts, "inventory", &config.inventory_service, config)?;
        let channels = [("order-service", &orders), ("user-service", &users), ("inventory-service", &stock)];
        Ok(Upstream {
            checks: channels.map(|(name, channel)| (name, channel.clone())),
            known_orders: OrderServiceClient::new(orders.apart()),
            orders: Target::new(telemetry, &config.order_service, OrderServiceClient::new(orders)),
            users: Target::new(telemetry, &config.user_service, UserServiceClient::new(users)),
            stock: Target::new(telemetry, &config.inventory_service, InventoryServiceClient::new(stock)),
            retry: retry::Policy::new().idempotent(),
        })
    }

    pub(crate) async fn user(&self, request: GetUserRequest) -> Answer<User> {
        self.repeated(&self.users.retries, |attempt| {
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
        self.repeated(&self.stock.retries, |attempt| {
            let (mut client, request) = (self.stock.client.clone(), attempt.request(request.clone()));
            async move { client.check_stock(request).await }
        })
        .await
    }

    pub(crate) async fn order(&self, request: GetOrderRequest) -> Answer<Order> {
        self.repeated(&self.orders.retries, |attempt| {
            let (mut client, request) = (self.known_orders.clone(), attempt.request(request.clone()));
            async move { client.get_order(request).await }
        })
        .await
    }

    /// The settled order that a key stands for; `None` when the key is new.
    pub(crate) async fn order_by_key(&self, request: GetOrderByKeyRequest) -> Answer<Option<Order>> {
        let found = self.repeated(&self.orders.retries, |attempt| {
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
        self.repeated(&self.orders.retries, |attempt| {
            let (mut client, request) = (self.known_orders.clone(), attempt.request(request.clone()));
            async move { client.list_orders(request).await }
        })
        .await
    }

    /// Repeated only with a key, by which the order service knows the order again.
    pub(crate) async fn create_order(&self, request: CreateOrderRequest) -> Answer<CreateOrderResponse> {
        if request.idempotency.is_none() {
            return Ok(self.orders.client.clone().create_order(request).await?.into_inner());
        }
        self.repeated(&self.orders.retries, |attempt| {
            // A client that repeats its request is told that its key is in use. Here the first call may have been accepted.
            let request = CreateOrderRequest { is_repeat: attempt.previous() > 0, ..request.clone() };
            let (mut client, request) = (self.orders.client.clone(), attempt.request(request));
            async move { client.create_order(request).await }
        })
        .await
    }

    /// Repeated: an order is cancelled once, however often it is asked for.
    pub(crate) async fn cancel_order(&self, request: CancelOrderRequest) -> Answer<Order> {
        self.repeated(&self.orders.retries, |attempt| {
            let (mut client, request) = (self.known_orders.clone(), attempt.request(request.clone()));
            async move { client.cancel_order(request).await }
        })
        .await
    }

    /// Whether each service, or at least one of its replicas, says of itself that it is ready.
    pub(crate) fn checks(&self) -> Vec<Check> {
        let check = |(name, channel): &(&'static str, Channel)| {
            let channel = channel.clone();
            Check::new(name, move || {
                let channel = channel.clone();
                async move { channel.serving().await }
            })
        };
        self.checks.iter().map(check).collect()
    }

    async fn repeated<T, F, Fut>(&self, retries: &retry::Budget, call: F) -> Answer<T>
    where
        F: FnMut(retry::Attempt) -> Fut,
        Fut: Future<Output = Result<Response<T>, Status>>,
    {
        Ok(self.retry.call(retries, call).await?.into_inner())
    }
}
