//! Jaeger's two HTTP APIs over one store: the JSON of its UI, and api_v3.

mod conditions;
mod envelope;
mod ids;
mod legacy;
mod legacy_parameters;
mod metrics;
mod tags;
mod ui;
mod v3;
mod v3_parameters;
mod warnings;

use crate::reads::Reads;
use axum::Router;

pub(crate) fn router(reads: Reads) -> Router {
    legacy::routes().merge(v3::routes()).with_state(reads)
}
