//! `GET /services` and `GET /services/{service}/operations`: rate, errors and latencies.

use super::{
    Api, Path,
    figures::{self, Figure, Measured},
    parameters::Parameters,
};
use crate::problem::Problem;
use axum::{extract::State, response::Response};
use serde::Serialize;
use waypost_trace_model::{Kind, Text};

#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "ServiceList"))]
pub(super) struct Services {
    services: Vec<ServiceLine>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "ServiceFigures"))]
pub(super) struct ServiceLine {
    #[cfg_attr(test, ts(type = "string"))]
    service: Text,
    operations: u64,
    #[serde(flatten)]
    figure: Figure,
}

pub(super) async fn services(
    State(api): State<Api>,
    mut parameters: Parameters,
) -> Result<Response, Problem> {
    let (window, now) = (figures::window(&mut parameters)?, parameters.now());
    parameters.finish()?;
    let read = move |store: &dyn waypost_trace_store::TraceStore| {
        let measured = Measured::of(&window, store.statistics(), now);
        let services = store.statistics().service_figures(window).into_iter();
        let services = services.map(|figures| ServiceLine {
            service: figures.service,
            operations: figures.operations,
            figure: Figure::new(&figures.red, measured),
        });
        Ok(Services { services: services.collect() })
    };
    api.reads.answer(read).await
}

#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "OperationList"))]
pub(super) struct Operations {
    operations: Vec<Operation>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "OperationFigures"))]
pub(super) struct Operation {
    #[cfg_attr(test, ts(type = "string"))]
    name: Text,
    #[cfg_attr(test, ts(type = "Kind"))]
    kind: Kind,
    #[serde(flatten)]
    figure: Figure,
}

pub(super) async fn operations(
    State(api): State<Api>,
    path: Path,
    mut parameters: Parameters,
) -> Result<Response, Problem> {
    let service = path.text("service").to_owned();
    let (window, now) = (figures::window(&mut parameters)?, parameters.now());
    parameters.finish()?;
    let read = move |store: &dyn waypost_trace_store::TraceStore| {
        let measured = Measured::of(&window, store.statistics(), now);
        let operations = store.statistics().operation_figures(&service, window).into_iter();
        let operations = operations.map(|figures| Operation {
            name: figures.name,
            kind: figures.kind,
            figure: Figure::new(&figures.red, measured),
        });
        Ok(Operations { operations: operations.collect() })
    };
    api.reads.answer(read).await
}
