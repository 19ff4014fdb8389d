//! Gateway and order service in one process, on one thread, with the kit's layers or without.
//!
//! The row is written on that thread too: a pool would add hand-overs that are the same for every variant.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail};
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::post;
use rusqlite::Connection;
use tokio::net::TcpListener;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Response, Status};
use waypost_telemetry::grpc::TracedChannel;
use waypost_telemetry::sql::Database;
use waypost_telemetry::{Settings, Telemetry, span};

use super::Reading;
use crate::account::Account;
use crate::{clock, process};
use orders::orders_client::OrdersClient;
use orders::orders_server::{Orders, OrdersServer};

#[allow(clippy::pedantic, unreachable_pub, reason = "generated code")]
pub(crate) mod orders {
    tonic::include_proto!("peers.v1");
}

const INSERT: &str = "INSERT INTO orders (id, amount) VALUES (?1, ?2)";
const DEADLINE: Duration = Duration::from_secs(30);

/// The handles of both services; none if they run without layers.
#[derive(Clone)]
struct Kit {
    gateway: Telemetry,
    orders: Telemetry,
}

/// Serves until the input ends. Writes the gateway's address first and answers `reading`.
pub(crate) fn run(variant: &str) -> anyhow::Result<()> {
    clock::pin(clock::MEASURED);
    let kit = match variant {
        "plain" => None,
        "layers" => Some(Kit { gateway: start("gateway", true)?, orders: start("orders", true)? }),
        "layers-without-metrics" => {
            Some(Kit { gateway: start("gateway", false)?, orders: start("orders", false)? })
        }
        other => bail!("no service is called {other}"),
    };
    let folder = tempfile::tempdir()?;
    let store = Store::open(&folder.path().join("orders.db"), kit.as_ref())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let target = format!("http://{}", listener.local_addr()?);
        let serving = serve_orders(listener, store, kit.as_ref());
        let gateway = TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", serde_json::to_string(&gateway.local_addr()?)?);
        let accounts = kit.clone();
        process::answer_lines(move |_| Ok(serde_json::to_string(&reading(accounts.as_ref()))?));
        tokio::select! {
            served = serving => served,
            served = serve_gateway(gateway, &target, kit.as_ref()) => served,
        }
    })
}

fn start(name: &str, with_metrics: bool) -> anyhow::Result<Telemetry> {
    let mut settings = Settings::new(name);
    settings.overlay_env(&|name| std::env::var(name).ok())?;
    settings.metrics.enabled = with_metrics;
    Ok(waypost_telemetry::init(settings)?)
}

/// Everything is sent before the clock is read, so that a slice pays for its own spans.
fn reading(kit: Option<&Kit>) -> Reading {
    let account = kit.map(|kit| {
        let [mut sum, other] = [&kit.gateway, &kit.orders].map(|telemetry| {
            telemetry.flush_blocking(DEADLINE);
            Account::of(&telemetry.ledger())
        });
        sum.add(&other);
        sum
    });
    Reading { cpu: clock::process_cpu(), account }
}

#[derive(Clone)]
enum Client {
    Plain(OrdersClient<Channel>),
    Traced(OrdersClient<TracedChannel>),
}

async fn serve_gateway(listener: TcpListener, target: &str, kit: Option<&Kit>) -> anyhow::Result<()> {
    let routes = Router::new().route("/orders/{id}", post(place));
    let app = if let Some(kit) = kit {
        let client = Client::Traced(OrdersClient::new(kit.gateway.grpc_channel(target)?));
        routes.with_state(client).layer(kit.gateway.http_server())
    } else {
        let channel = Endpoint::from_shared(target.to_owned())?.connect_lazy();
        routes.with_state(Client::Plain(OrdersClient::new(channel)))
    };
    #[expect(
        clippy::disallowed_methods,
        reason = "a measurement needs none of the limits of a public server"
    )]
    axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await?;
    Ok(())
}

async fn place(State(client): State<Client>, Path(id): Path<String>) -> Result<String, StatusCode> {
    let order = orders::Order { id, amount: 4_999 };
    let placed = match client {
        Client::Plain(mut client) => client.place(order).await,
        Client::Traced(mut client) => {
            span("place-order")
                .attr("order.id", order.id.clone())
                .attr("order.amount", order.amount)
                .run(client.place(order))
                .await
        }
    };
    let placed = placed.map_err(|_| StatusCode::BAD_GATEWAY)?;
    Ok(placed.into_inner().number.to_string())
}

async fn serve_orders(listener: TcpListener, store: Store, kit: Option<&Kit>) -> anyhow::Result<()> {
    let service = OrdersServer::new(store);
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    match kit {
        Some(kit) => {
            let layer = kit.orders.grpc_server();
            Server::builder().layer(layer).add_service(service).serve_with_incoming(incoming).await?;
        }
        None => Server::builder().add_service(service).serve_with_incoming(incoming).await?,
    }
    Ok(())
}

struct Store {
    connection: Arc<Mutex<Connection>>,
    traced: Option<Database>,
}

impl Store {
    fn open(path: &std::path::Path, kit: Option<&Kit>) -> anyhow::Result<Self> {
        let connection = Connection::open(path).context("the database")?;
        connection.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;
             CREATE TABLE orders (number INTEGER PRIMARY KEY, id TEXT NOT NULL, amount INTEGER NOT NULL);",
        )?;
        let traced = kit.map(|kit| kit.orders.sql("sqlite", "orders"));
        Ok(Self { connection: Arc::new(Mutex::new(connection)), traced })
    }

    fn insert(&self, order: &orders::Order) -> Result<i64, rusqlite::Error> {
        let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        connection.prepare_cached(INSERT)?.insert((&order.id, order.amount))
    }
}

#[tonic::async_trait]
impl Orders for Store {
    async fn place(&self, order: Request<orders::Order>) -> Result<Response<orders::Placed>, Status> {
        let operation = self.traced.as_ref().map(|database| database.start("insert-order"));
        let number = self.insert(&order.into_inner()).map_err(|_| Status::internal("the database failed"))?;
        if let Some(mut operation) = operation {
            operation.statement(INSERT);
            operation.succeed();
        }
        Ok(Response::new(orders::Placed { number }))
    }
}
