//! What needs an operator: told as metrics, and by `/readyz?verbose` beside the checks that count.
//!
//! One look serves both: it is taken on the schedule of the health checks.

use crate::store::{Store, operator::OperatorStore};
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};
use waypost_durable::outbox::Outbox;
use waypost_service::Check;
use waypost_telemetry::Telemetry;

/// An event that is this old although a relay runs is stuck.
const MAX_OUTBOX_AGE: Duration = Duration::from_mins(1);

/// Checks that are shown and do not count: a parked order is no reason to give a process no work.
pub(crate) fn checks(store: &dyn Store, telemetry: &Telemetry) -> [Check; 2] {
    [parked(store.operator(), telemetry), outbox(store.outbox())]
}

fn parked(store: Arc<dyn OperatorStore>, telemetry: &Telemetry) -> Check {
    let gauge = telemetry
        .meter()
        .u64_gauge("waypost.saga.stuck")
        .with_description("Sagas that are parked now, because what must succeed keeps failing.")
        .with_unit("{saga}")
        .build();
    Check::advisory("parked-orders", move || {
        let (store, gauge) = (Arc::clone(&store), gauge.clone());
        async move {
            let count = store.count_parked().await.map_err(|error| error.to_string())?;
            gauge.record(count, &[]);
            match count {
                0 => Ok(()),
                count => Err(format!("{count} parked; see `waypost orders stuck`")),
            }
        }
    })
}

fn outbox(outbox: Arc<dyn Outbox>) -> Check {
    Check::advisory("oldest-event", move || {
        let outbox = Arc::clone(&outbox);
        async move {
            let oldest = outbox.pending(1).await.map_err(|error| error.to_string())?;
            let now = SystemTime::now();
            let age = oldest.first().and_then(|event| now.duration_since(event.appended_at).ok());
            match age {
                Some(age) if age > MAX_OUTBOX_AGE => {
                    Err(format!("the broker does not have an event of {} s ago", age.as_secs()))
                }
                _ => Ok(()),
            }
        }
    })
}
