//! Stock over gRPC on port 8083, kept in SQLite: in memory, or in the file that `DATABASE` names.

use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use sqlx::{Row as _, SqlitePool};
use three_services::shop::stock_server::{Stock, StockServer};
use three_services::shop::{DESCRIPTORS, ReleaseRequest, ReleaseResponse, ReserveRequest, ReserveResponse};
use three_services::{ORDER_ID, asked_to_stop, listen, setting};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};
use waypost_telemetry::grpc::Methods;
use waypost_telemetry::set;
use waypost_telemetry::sqlx::Traced;

const SCHEMA: [&str; 3] = [
    "CREATE TABLE IF NOT EXISTS products (id TEXT PRIMARY KEY, cents INTEGER NOT NULL, left INTEGER NOT NULL CHECK (left >= 0))",
    "CREATE TABLE IF NOT EXISTS reserved (order_id TEXT PRIMARY KEY, product_id TEXT NOT NULL, quantity INTEGER NOT NULL)",
    "INSERT INTO products VALUES ('lamp', 4995, 10), ('chair', 12900, 2) ON CONFLICT DO NOTHING",
];

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let telemetry = waypost_telemetry::start("stock-service")?;
    let options: SqliteConnectOptions = setting("DATABASE", "sqlite::memory:").parse()?;
    // One connection: a database in memory belongs to its connection.
    let pool =
        SqlitePoolOptions::new().max_connections(1).connect_with(options.create_if_missing(true)).await?;
    for statement in SCHEMA {
        sqlx::query(statement).execute(&pool).await?;
    }
    // Every statement and transaction from here on is a span.
    let shelf = Shelf { pool: telemetry.sqlx().wrap(pool) };
    let listener = listen("stock", "127.0.0.1:8083").await?;
    Server::builder()
        .layer(telemetry.grpc_server().methods(Methods::of_descriptor_set(DESCRIPTORS)?))
        .add_service(StockServer::new(shelf))
        .serve_with_incoming_shutdown(TcpIncoming::from(listener), asked_to_stop())
        .await?;
    Ok(())
}

struct Shelf {
    pool: Traced<SqlitePool>,
}

#[tonic::async_trait]
impl Stock for Shelf {
    async fn reserve(&self, request: Request<ReserveRequest>) -> Result<Response<ReserveResponse>, Status> {
        let ReserveRequest { order_id, product_id, quantity } = request.into_inner();
        set(ORDER_ID, order_id.clone());
        let mut unit = self.pool.begin().await.map_err(broken)?;
        let product = sqlx::query("SELECT cents, left FROM products WHERE id = ?")
            .bind(&product_id)
            .fetch_optional(&mut *unit)
            .await
            .map_err(broken)?
            .ok_or_else(|| Status::not_found("there is no such product"))?;
        let (cents, left): (i64, i64) = (product.get(0), product.get(1));
        let is_new = sqlx::query("INSERT INTO reserved VALUES (?, ?, ?) ON CONFLICT DO NOTHING")
            .bind(&order_id)
            .bind(&product_id)
            .bind(quantity)
            .execute(&mut *unit)
            .await
            .map_err(broken)?;
        if is_new.rows_affected() == 1 {
            if left < i64::from(quantity) {
                // The unit is rolled back where it is dropped.
                return Err(Status::failed_precondition("there are not enough of them"));
            }
            sqlx::query("UPDATE products SET left = left - ? WHERE id = ?")
                .bind(quantity)
                .bind(&product_id)
                .execute(&mut *unit)
                .await
                .map_err(broken)?;
        }
        unit.commit().await.map_err(broken)?;
        Ok(Response::new(ReserveResponse { price_cents: cents.unsigned_abs() }))
    }

    async fn release(&self, request: Request<ReleaseRequest>) -> Result<Response<ReleaseResponse>, Status> {
        let order_id = request.into_inner().order_id;
        set(ORDER_ID, order_id.clone());
        let mut unit = self.pool.begin().await.map_err(broken)?;
        let reserved = sqlx::query("DELETE FROM reserved WHERE order_id = ? RETURNING product_id, quantity")
            .bind(&order_id)
            .fetch_optional(&mut *unit)
            .await
            .map_err(broken)?;
        if let Some(reserved) = reserved {
            sqlx::query("UPDATE products SET left = left + ? WHERE id = ?")
                .bind(reserved.get::<i64, _>(1))
                .bind(reserved.get::<String, _>(0))
                .execute(&mut *unit)
                .await
                .map_err(broken)?;
        }
        unit.commit().await.map_err(broken)?;
        Ok(Response::new(ReleaseResponse {}))
    }
}

/// The caller is told no more than that it failed; what failed stands at the span of the statement.
fn broken(_error: sqlx::Error) -> Status {
    Status::internal("the stock could not be read or written")
}
