//! Instruments that the conventions ask of every client of a database.

use opentelemetry::metrics::{Histogram, Meter};

use super::{DATABASE_SECONDS, durations};

/// How long operations take.
pub(crate) fn operation_durations(meter: &Meter) -> Histogram<f64> {
    let description = "Duration of database client operations.";
    durations(meter, "db.client.operation.duration", description, &DATABASE_SECONDS)
}

/// How long the connections of a pool take.
#[derive(Debug)]
pub(crate) struct ConnectionDurations {
    /// To be made.
    pub(crate) created: Histogram<f64>,
    /// To be had.
    pub(crate) waited: Histogram<f64>,
    /// Until they are given back.
    pub(crate) used: Histogram<f64>,
}

impl ConnectionDurations {
    pub(crate) fn new(meter: &Meter) -> Self {
        let duration = |name, description| durations(meter, name, description, &DATABASE_SECONDS);
        Self {
            created: duration(
                "db.client.connection.create_time",
                "The time it took to create a new connection.",
            ),
            waited: duration(
                "db.client.connection.wait_time",
                "The time it took to obtain an open connection from the pool.",
            ),
            used: duration(
                "db.client.connection.use_time",
                "The time between borrowing a connection and returning it to the pool.",
            ),
        }
    }
}
