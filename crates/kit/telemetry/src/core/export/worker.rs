//! The export thread of a handle: one small runtime of its own, on which all its loops take turns.
//!
//! A runtime of its own, so that neither a busy nor a blocked application runtime can hold exports up, and no
//! export can hold the application up. Telemetry is suppressed on the thread: what an exporter's own client does
//! is neither traced nor logged over OTLP.

use std::future::Future;
use std::pin::Pin;
use std::sync::mpsc;

use futures_util::future::join_all;
use opentelemetry::Context;

use super::ExportError;

/// A loop that runs until it is told to stop.
pub(crate) type Loop = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Starts the thread. `build` runs on it, within its runtime; what it reports comes back before this returns.
pub(crate) fn start(
    service_name: &str,
    build: impl FnOnce() -> Result<Vec<Loop>, ExportError> + Send + 'static,
) -> Result<(), ExportError> {
    let (report, built) = mpsc::channel();
    std::thread::Builder::new()
        .name(format!("export-{service_name}"))
        .spawn(move || {
            let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => {
                    let _ = report.send(Err(ExportError::Thread(error)));
                    return;
                }
            };
            runtime.block_on(async {
                let _suppressed = Context::enter_telemetry_suppressed_scope();
                match build() {
                    Ok(loops) => {
                        let _ = report.send(Ok(()));
                        join_all(loops).await;
                    }
                    Err(error) => {
                        let _ = report.send(Err(error));
                    }
                }
            });
        })
        .map_err(ExportError::Thread)?;
    built
        .recv()
        .unwrap_or_else(|_| Err(ExportError::Thread(std::io::Error::other("the export thread ended early"))))
}
