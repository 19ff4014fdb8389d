//! The order service on a socket of its own, between a caller and the scripted services.

use crate::fakes::{FakeInventory, FakePayments};
use std::{
    future::Future,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tonic::{Request, Status, service::Routes};
use waypost_api::{
    Currency, Error, ErrorCode, Money, MoneyMessage,
    events::ORDER_EVENTS_TOPIC,
    inventory::v1::inventory_service_server::InventoryServiceServer,
    order::v1::{
        Caller, CancelOrderRequest, CreateOrderRequest, CreateOrderResponse, GetOrderRequest, Idempotency,
        Order, OrderStatus, order_service_client::OrderServiceClient,
    },
    payment::v1::payment_service_server::PaymentServiceServer,
};
use waypost_durable::broker::{Broker as _, EmbeddedBroker, EmbeddedBrokerOptions, TopicSpec};
use waypost_durable::{Clock, Files, Location, Storage, relay::Relay};
use waypost_order::{
    Config, Parts, Steps, grpc,
    store::{SqliteStore, Store},
};
use waypost_resilience::discovery::Discovery;
use waypost_resilience::grpc::{Channel, ChannelOptions};
use waypost_service::{Drain, DrainTrigger, GrpcLimits, Limits, Tasks, bind, grpc_app, serve};
use waypost_settings as config;
use waypost_telemetry::{
    FinishedSpan, Telemetry,
    testing::{TestTelemetry, wait_for},
};
use waypost_test_servers::free_port;

/// How long anything may take before a test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The name of the node that every order service of the tests runs on.
const NODE: &str = "node-1";

/// The services that the order service calls, with handles of their own.
pub(crate) struct Neighbours {
    pub(crate) inventory: Arc<FakeInventory>,
    pub(crate) payments: Arc<FakePayments>,
    pub(crate) telemetry: [TestTelemetry; 2],
    inventory_url: String,
    payment_url: String,
    drain: Drain,
    _trigger: DrainTrigger,
}

impl Neighbours {
    pub(crate) fn start() -> Neighbours {
        let (inventory, payments) = (Arc::<FakeInventory>::default(), Arc::<FakePayments>::default());
        let telemetry = ["inventory-service", "payment-service"].map(TestTelemetry::new);
        let (trigger, drain) = Drain::new();
        let routes = Routes::new(InventoryServiceServer::from_arc(Arc::clone(&inventory)));
        let inventory_url = listen(grpc_app(&telemetry[0], routes, &GrpcLimits::default()), &drain);
        let routes = Routes::new(PaymentServiceServer::from_arc(Arc::clone(&payments)));
        let payment_url = listen(grpc_app(&telemetry[1], routes, &GrpcLimits::default()), &drain);
        Neighbours { inventory, payments, telemetry, inventory_url, payment_url, drain, _trigger: trigger }
    }

    /// From now on payments are said to be where nobody listens yet.
    pub(crate) fn move_payments(&mut self) -> SocketAddr {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        self.payment_url = format!("http://{address}");
        address
    }

    /// The payment service, as if it had restarted.
    pub(crate) fn start_payments_at(&self, address: SocketAddr) {
        let routes = Routes::new(PaymentServiceServer::from_arc(Arc::clone(&self.payments)));
        listen_at(address, grpc_app(&self.telemetry[1], routes, &GrpcLimits::default()), &self.drain);
    }

    /// A configuration that is quick to give up and quick to look again.
    pub(crate) fn config(&self) -> Config {
        let millis = config::Duration::from_millis;
        Config {
            inventory_target: self.inventory_url.clone(),
            payment_target: self.payment_url.clone(),
            steps: Steps {
                attempts: 3,
                first_pause: millis(2),
                max_pause: millis(10),
                undo_attempts: 3,
                ..Steps::default()
            },
            sweep_interval: millis(20),
            stuck_retry: millis(50),
            ..Config::default()
        }
    }
}

fn listen(router: axum::Router, drain: &Drain) -> String {
    listen_at(SocketAddr::from(([127, 0, 0, 1], 0)), router, drain)
}

fn listen_at(address: SocketAddr, router: axum::Router, drain: &Drain) -> String {
    let listener = bind(address).unwrap();
    let url = listener.url();
    let drain = drain.clone();
    waypost_telemetry::spawn(async move { serve(listener, router, Limits::default(), drain).await });
    url
}

/// A running order service.
pub(crate) struct Shop {
    pub(crate) neighbours: Neighbours,
    pub(crate) service: Service,
}

impl Shop {
    /// With the embedded store and no script.
    pub(crate) async fn open() -> Shop {
        Shop::with(|_| {}).await
    }

    /// With a changed configuration.
    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Shop {
        let neighbours = Neighbours::start();
        let mut config = neighbours.config();
        change(&mut config);
        let service = Service::start(&config, &Files::Ephemeral).await;
        Shop { neighbours, service }
    }

    pub(crate) fn inventory(&self) -> &FakeInventory {
        &self.neighbours.inventory
    }

    pub(crate) fn payments(&self) -> &FakePayments {
        &self.neighbours.payments
    }

    /// Every handle that takes part.
    pub(crate) fn handles(&self) -> Vec<&Telemetry> {
        let [inventory, payment] = &self.neighbours.telemetry;
        let all: [&Telemetry; 4] = [&self.service.gateway, &self.service.telemetry, inventory, payment];
        all.into()
    }
}

/// The order service itself, and its caller.
pub(crate) struct Service {
    pub(crate) gateway: TestTelemetry,
    pub(crate) telemetry: TestTelemetry,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) broker: Arc<EmbeddedBroker>,
    pub(crate) tasks: Tasks,
    client: OrderServiceClient<Channel>,
    drain: Drain,
    trigger: DrainTrigger,
}

impl Service {
    /// Over the embedded store, with its relay.
    pub(crate) async fn start(config: &Config, data: &Files) -> Service {
        let telemetry = TestTelemetry::new("order-service");
        let store: Arc<dyn Store> = Arc::new(reopen(data, &telemetry).await);
        store.end_leases(NODE.to_owned()).await.unwrap();
        let service = Service::over(config, telemetry, Arc::clone(&store));
        service.broker.ensure_topics(vec![TopicSpec::new(ORDER_EVENTS_TOPIC)]).await.unwrap();
        let relay = Relay::new(store.outbox(), service.broker(), &service.telemetry);
        let drain = service.drain.clone();
        service.tasks.spawn(async move { relay.run(drain.started()).await });
        service
    }

    /// Over any store, without a relay.
    pub(crate) fn over(config: &Config, telemetry: TestTelemetry, store: Arc<dyn Store>) -> Service {
        Service::by_clock(config, telemetry, store, Clock::system())
    }

    /// Over any store, by a clock of the test's own.
    pub(crate) fn by_clock(
        config: &Config,
        telemetry: TestTelemetry,
        store: Arc<dyn Store>,
        clock: Clock,
    ) -> Service {
        let (trigger, drain) = Drain::new();
        let broker = EmbeddedBroker::open(EmbeddedBrokerOptions::new(Location::Ephemeral)).unwrap();
        let (tasks, broker) = (Tasks::new(), Arc::new(broker));
        let parts = Parts {
            telemetry: telemetry.handle().clone(),
            tasks: tasks.clone(),
            storage: Storage::ephemeral(),
            node: NODE.to_owned(),
            broker: Arc::clone(&broker) as _,
            discovery: Discovery::default(),
            identity: None,
        };
        let assembled = waypost_order::orders(config, &parts, Arc::clone(&store), clock).unwrap();
        for worker in assembled.workers {
            tasks.spawn((worker.run)(drain.clone()));
        }
        let url = listen(grpc::router(&telemetry, assembled.logic, &config.grpc), &drain);
        let gateway = TestTelemetry::new("api-gateway");
        let channel = Channel::connect_lazy(&gateway, &url, ChannelOptions::default()).unwrap();
        let client = OrderServiceClient::new(channel);
        Service { gateway, telemetry, store, broker, tasks, client, drain, trigger }
    }

    fn broker(&self) -> Arc<dyn waypost_durable::broker::Broker> {
        Arc::clone(&self.broker) as _
    }

    pub(crate) fn client(&self) -> OrderServiceClient<Channel> {
        self.client.clone()
    }

    /// Stops without waiting for anything that has to wait.
    pub(crate) async fn stop(self) {
        self.trigger.start();
        assert_eq!(self.tasks.finished(PATIENCE).await, 0);
    }

    /// Runs a call as the gateway would, inside a span of its own.
    pub(crate) async fn called<T>(&self, call: impl Future<Output = T>) -> T {
        let span = self.gateway.span("POST /api/orders");
        waypost_telemetry::with_context(self.gateway.context(), span.observe(call)).await
    }

    pub(crate) async fn create(&self, request: CreateOrderRequest) -> Result<CreateOrderResponse, Error> {
        let mut client = self.client();
        let created = self.called(async move { client.create_order(request).await }).await;
        created.map(tonic::Response::into_inner).map_err(Error::from)
    }

    /// Creates the usual order and returns it as it stands when the answer comes.
    pub(crate) async fn order(&self) -> Order {
        self.create(order_for("user123")).await.unwrap().order.unwrap()
    }

    pub(crate) async fn get(&self, order_id: &str, user: &str) -> Result<Order, Error> {
        let request = GetOrderRequest { caller: Some(caller(user)), order_id: order_id.to_owned() };
        self.client().get_order(request).await.map(tonic::Response::into_inner).map_err(Error::from)
    }

    pub(crate) async fn cancel(&self, order_id: &str, user: &str) -> Result<Order, Error> {
        let request = CancelOrderRequest { caller: Some(caller(user)), order_id: order_id.to_owned() };
        self.client().cancel_order(request).await.map(tonic::Response::into_inner).map_err(Error::from)
    }

    /// Waits until so many spans of this name have ended here.
    pub(crate) async fn ended(&self, name: &str, count: usize) {
        let has_ended =
            |spans: &[FinishedSpan]| spans.iter().filter(|span| span.name() == name).count() >= count;
        wait_for(&[&self.telemetry], PATIENCE, has_ended).await.unwrap_or_else(|late| panic!("{late}"));
    }

    /// Waits until an order has this status.
    pub(crate) async fn reaches(&self, order_id: &str, status: OrderStatus) -> Order {
        let waiting = async {
            loop {
                let order = self.get(order_id, "user-admin").await.unwrap();
                if order.status() == status {
                    return order;
                }
            }
        };
        let reached = tokio::time::timeout(PATIENCE, waiting).await;
        reached.unwrap_or_else(|_| panic!("{order_id} must become {status:?}"))
    }
}

/// Opens the store; a former process may take a moment to let go of the file.
async fn reopen(data: &Files, telemetry: &Telemetry) -> SqliteStore {
    let opening = async {
        loop {
            match SqliteStore::open(data, telemetry) {
                Err(waypost_order::Error::Store(waypost_durable::Error::InUse { .. })) => {
                    tokio::task::yield_now().await;
                }
                opened => return opened.unwrap(),
            }
        }
    };
    tokio::time::timeout(PATIENCE, opening).await.expect("the file must become free")
}

/// Operators are called `user-admin`.
pub(crate) fn caller(user: &str) -> Caller {
    Caller { user_id: user.to_owned(), is_admin: user == "user-admin" }
}

/// The order of the seeds: two of prod456 for 99.99.
pub(crate) fn order_for(user: &str) -> CreateOrderRequest {
    CreateOrderRequest {
        caller: Some(caller(user)),
        user_id: user.to_owned(),
        product_id: "prod456".to_owned(),
        quantity: 2,
        amount: Some(usd(999_900)),
        payment_method: "pm_card_ok".to_owned(),
        idempotency: None,
        is_repeat: false,
    }
}

pub(crate) fn usd(ten_thousandths: i64) -> MoneyMessage {
    Money::new(ten_thousandths, Currency::USD).into()
}

/// The same with an idempotency key; the fingerprint stands for the payload.
pub(crate) fn with_key(key: &str, fingerprint: u8) -> CreateOrderRequest {
    let idempotency = Idempotency {
        key: key.to_owned(),
        principal: "user123".to_owned(),
        fingerprint: vec![fingerprint; 32],
    };
    CreateOrderRequest { idempotency: Some(idempotency), ..order_for("user123") }
}

/// The request with a deadline of its caller.
pub(crate) fn within(time: Duration, request: CreateOrderRequest) -> Request<CreateOrderRequest> {
    let mut request = Request::new(request);
    request.set_timeout(time);
    request
}

pub(crate) fn code<T: std::fmt::Debug>(result: Result<T, impl Into<Error>>) -> ErrorCode {
    result.unwrap_err().into().code
}

/// What a failed call was about.
pub(crate) fn error_of(status: &Status) -> ErrorCode {
    Error::from_status(status).code
}
