//! Serves `POST /test` until Ctrl-C. `LISTEN` is the address, `127.0.0.1:5000` unless set; `OTEL_*` as everywhere.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpListener;
use waypost_telemetry::Settings;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut settings = Settings::new("w3c-trace-context");
    settings.overlay_env(&|name| std::env::var(name).ok())?;
    let telemetry = waypost_telemetry::init(settings)?;

    let address = std::env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:5000".to_owned());
    let listener = TcpListener::bind(&address).await?;
    #[expect(clippy::print_stdout, reason = "the address is what whoever started it waits for")]
    {
        println!("http://{}/test", listener.local_addr()?);
    }
    let app = w3c_trace_context::app(&telemetry).into_make_service_with_connect_info::<SocketAddr>();
    #[expect(clippy::disallowed_methods, reason = "an example needs none of the limits of a public server")]
    axum::serve(listener, app)
        .with_graceful_shutdown(async {
            // Without a signal handler there is nothing to wait for: serve until killed.
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
        })
        .await?;
    telemetry.shutdown(Duration::from_secs(5)).await;
    Ok(())
}
