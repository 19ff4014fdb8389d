//! `GET /names/...`: what a search box can be completed with.

use super::{Api, filter::SCOPES, parameters::Parameters};
use crate::problem::Problem;
use axum::{extract::State, response::Response};
use serde::Serialize;
use waypost_trace_model::{Kind, Text};
use waypost_trace_statistics::Suggestions;

/// Names in one answer.
const MAX: usize = 500;

/// Keys and values when no limit is given: what fits below a search box.
const BELOW_A_BOX: usize = 20;

#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "NameList"))]
pub(super) struct Names<T> {
    names: Vec<T>,
    is_partial: bool,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "OperationName"))]
pub(super) struct Operation {
    #[cfg_attr(test, ts(type = "string"))]
    name: Text,
    #[cfg_attr(test, ts(type = "Kind"))]
    kind: Kind,
}

impl<T> Names<T> {
    fn cut(mut names: Vec<T>, limit: usize) -> Names<T> {
        let is_partial = names.len() > limit;
        names.truncate(limit);
        Names { names, is_partial }
    }
}

impl From<Suggestions> for Names<Text> {
    fn from(suggestions: Suggestions) -> Names<Text> {
        Names { names: suggestions.names, is_partial: suggestions.is_partial }
    }
}

pub(super) async fn services(
    State(api): State<Api>,
    mut parameters: Parameters,
) -> Result<Response, Problem> {
    let part = parameters.text("part")?.unwrap_or_default().to_lowercase();
    let limit = parameters.count("limit", MAX, 1..=MAX)?;
    parameters.finish()?;
    let read = move |store: &dyn waypost_trace_store::TraceStore| {
        let mut names = store.statistics().services();
        names.retain(|name| name.to_lowercase().contains(&part));
        Ok(Names::cut(names, limit))
    };
    api.reads.answer(read).await
}

pub(super) async fn operations(
    State(api): State<Api>,
    mut parameters: Parameters,
) -> Result<Response, Problem> {
    let service = parameters.text("service")?;
    let part = parameters.text("part")?.unwrap_or_default().to_lowercase();
    let limit = parameters.count("limit", MAX, 1..=MAX)?;
    parameters.finish()?;
    let read = move |store: &dyn waypost_trace_store::TraceStore| {
        let statistics = store.statistics();
        let services = service.map_or_else(|| statistics.services(), |service| vec![Text::from(service)]);
        let mut names: Vec<(Text, Kind)> =
            services.iter().flat_map(|service| statistics.operations(service)).collect();
        names.sort_unstable();
        names.dedup();
        names.retain(|(name, _)| name.to_lowercase().contains(&part));
        let names = names.into_iter().map(|(name, kind)| Operation { name, kind });
        Ok(Names::cut(names.collect(), limit))
    };
    api.reads.answer(read).await
}

pub(super) async fn keys(State(api): State<Api>, mut parameters: Parameters) -> Result<Response, Problem> {
    let scope = parameters.choice("scope", &SCOPES)?;
    let part = parameters.text("part")?.unwrap_or_default();
    let limit = parameters.count("limit", BELOW_A_BOX, 1..=MAX)?;
    parameters.finish()?;
    let read = move |store: &dyn waypost_trace_store::TraceStore| {
        Ok(Names::from(store.statistics().keys(scope, &part, limit)))
    };
    api.reads.answer(read).await
}

pub(super) async fn values(State(api): State<Api>, mut parameters: Parameters) -> Result<Response, Problem> {
    let scope = parameters.choice("scope", &SCOPES)?;
    let key = parameters.required("key")?;
    let part = parameters.text("part")?.unwrap_or_default();
    let limit = parameters.count("limit", BELOW_A_BOX, 1..=MAX)?;
    parameters.finish()?;
    let read = move |store: &dyn waypost_trace_store::TraceStore| {
        Ok(Names::from(store.statistics().values(scope, &key, &part, limit)))
    };
    api.reads.answer(read).await
}
