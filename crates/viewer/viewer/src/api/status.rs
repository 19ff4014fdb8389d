//! `GET /status`: what is received, kept, refused and dropped.

use super::{Api, NoParameters, values::Decimal};
use crate::problem::Problem;
use axum::{extract::State, response::Response};
use serde::Serialize;
use std::{collections::BTreeMap, net::SocketAddr};
use waypost_trace_model::{RefusalReason, Text};
use waypost_trace_store::{EvictionReason, Ledger, ServiceLedger, Usage, now};

#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "ViewerStatus"))]
pub(super) struct Status {
    version: &'static str,
    now: Decimal,
    started: Decimal,
    endpoints: Endpoints,
    usage: UsageDetails,
    total: Total,
    services: Vec<Account>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub(super) struct Endpoints {
    otlp_grpc: SocketAddr,
    otlp_http: SocketAddr,
    zipkin: SocketAddr,
    ui: SocketAddr,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "Usage"))]
pub(super) struct UsageDetails {
    spans: u64,
    logs: u64,
    bytes: u64,
    budget: u64,
    keeps_for: u64,
    oldest: Option<Decimal>,
    newest: Option<Decimal>,
    files: u64,
    holds_for: Option<u64>,
    trouble: Option<String>,
}

/// Of all services together.
#[derive(Default, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "LedgerTotal"))]
pub(super) struct Total {
    received: u64,
    stored: u64,
    #[cfg_attr(test, ts(type = "Partial<Record<RefusalReason, number>>"))]
    refused: BTreeMap<RefusalReason, u64>,
    #[cfg_attr(test, ts(type = "Partial<Record<EvictionReason, number>>"))]
    evicted: BTreeMap<EvictionReason, u64>,
    logs: Logs,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "LedgerAccount"))]
pub(super) struct Account {
    #[cfg_attr(test, ts(type = "string"))]
    service: Text,
    received: u64,
    stored: u64,
    #[cfg_attr(test, ts(type = "Partial<Record<RefusalReason, number>>"))]
    refused: BTreeMap<RefusalReason, u64>,
    #[cfg_attr(test, ts(type = "Partial<Record<EvictionReason, number>>"))]
    evicted: BTreeMap<EvictionReason, u64>,
    logs: Logs,
}

#[derive(Default, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "LogCounts"))]
pub(super) struct Logs {
    received: u64,
    stored: u64,
    refused: u64,
    evicted: u64,
}

pub(super) async fn status(State(api): State<Api>, _: NoParameters) -> Result<Response, Problem> {
    let shared = api.clone();
    let read = move |store: &dyn waypost_trace_store::TraceStore| {
        let (ledger, usage, now) = (store.ledger(), store.usage(), now());
        let bound = shared.bound;
        let holds_for = shared.throughput.holds_for(&ledger, &usage, now);
        Ok(Status {
            version: env!("CARGO_PKG_VERSION"),
            now: Decimal(now),
            started: Decimal(shared.started),
            endpoints: Endpoints {
                otlp_grpc: bound.otlp_grpc,
                otlp_http: bound.otlp_http,
                zipkin: bound.zipkin,
                ui: bound.ui,
            },
            usage: usage_details(usage, holds_for),
            total: total(&ledger),
            services: ledger.services.into_iter().map(account).collect(),
        })
    };
    api.reads.answer(read).await
}

fn usage_details(usage: Usage, holds_for: Option<u64>) -> UsageDetails {
    UsageDetails {
        spans: usage.spans,
        logs: usage.logs,
        bytes: usage.bytes,
        budget: usage.budget,
        keeps_for: usage.keeps_for,
        oldest: usage.oldest.map(Decimal),
        newest: usage.newest.map(Decimal),
        files: usage.files,
        holds_for,
        trouble: usage.trouble,
    }
}

fn total(ledger: &Ledger) -> Total {
    let mut total = Total::default();
    for service in &ledger.services {
        total.received += service.received;
        total.stored += service.stored;
        for (reason, spans) in &service.refused {
            *total.refused.entry(*reason).or_default() += spans;
        }
        for (reason, spans) in &service.evicted {
            *total.evicted.entry(*reason).or_default() += spans;
        }
        total.logs.received += service.logs_received;
        total.logs.stored += service.logs_stored;
        total.logs.refused += service.logs_refused;
        total.logs.evicted += service.logs_evicted;
    }
    total
}

fn account(service: ServiceLedger) -> Account {
    Account {
        service: service.service,
        received: service.received,
        stored: service.stored,
        refused: service.refused,
        evicted: service.evicted,
        logs: Logs {
            received: service.logs_received,
            stored: service.logs_stored,
            refused: service.logs_refused,
            evicted: service.logs_evicted,
        },
    }
}
