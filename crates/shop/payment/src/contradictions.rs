//! Payments of which the provider says what our books exclude: another amount, a charge that came back to life.
//!
//! Nothing is booked then and the payment is looked into again and again; a person has to find out who is right. So
//! their number is a metric, and `/readyz?verbose` shows it. A payment counts from the answer that contradicts to the
//! next one that does not. The mark is the payment's row, so a restart changes nothing.

use crate::store::Store;
use std::sync::Arc;
use waypost_service::Check;
use waypost_telemetry::Telemetry;

/// Shown, and does not count: the other payments go on.
pub(crate) fn check(store: Arc<dyn Store>, telemetry: &Telemetry) -> Check {
    let gauge = telemetry
        .meter()
        .u64_gauge("waypost.payment.contradictions")
        .with_description("Payments of which the provider says what our books exclude.")
        .with_unit("{payment}")
        .build();
    Check::advisory("provider-contradictions", move || {
        let (store, gauge) = (Arc::clone(&store), gauge.clone());
        async move {
            let count = store.contradictions().await.map_err(|error| error.to_string())?;
            gauge.record(count, &[]);
            match count {
                0 => Ok(()),
                count => Err(format!("{count} payments are not what the provider says; see the log")),
            }
        }
    })
}
