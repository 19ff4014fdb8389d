//! Starts the service on `127.0.0.1:8080`; spans, metrics and log records go where the `OTEL_*` variables say.

use existing_service::{Shop, app, client, prepare};
use sqlx::SqlitePool;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let telemetry = waypost_telemetry::start("existing-service")?; // kit

    let orders = telemetry.sqlx().wrap(SqlitePool::connect("sqlite::memory:").await?); // kit
    prepare(&orders).await?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
    let stock = format!("http://{}", listener.local_addr()?);
    let shop = Shop { orders, client: client(), stock };
    tracing::info!("try: curl -X POST http://127.0.0.1:8080/orders/7");
    #[expect(
        clippy::disallowed_methods,
        reason = "the ban is this workspace's, the service stands for others"
    )]
    axum::serve(listener, app(shop, &telemetry)).with_graceful_shutdown(stopped()).await?;
    Ok(())
}

async fn stopped() {
    // Without a signal handler the service runs until it is killed.
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
