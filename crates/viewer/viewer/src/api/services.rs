//! `GET /services` and `GET /services/{service}/operations`: rate, errors and latencies.

use super::{
    Api, Path,
    figures::{self, Figure},
    parameters::Parameters,
};
use crate::problem::Problem;
use axum::{extract::State, response::Response};
use serde::Serialize;
use waypost_trace_model::{Kind, Text};

#[derive(Serialize)]
struct Services {
    services: Vec<ServiceLine>,
}

#[derive(Serialize)]
struct ServiceLine {
    service: Text,
    operations: u64,
    #[serde(flatten)]
    figure: Figure,
}

pub(super) async fn services(
    State(api): State<Api>,
    mut parameters: Parameters,
) -> Result<Response, Problem> {
    let window = figures::window(&mut parameters)?;
    parameters.finish()?;
    let read = move |store: &dyn waypost_trace_store::TraceStore| {
        let services = store.statistics().service_figures(window.clone()).into_iter();
        let services = services.map(|figures| ServiceLine {
            service: figures.service,
            operations: figures.operations,
            figure: Figure::new(&figures.red, &window),
        });
        Ok(Services { services: services.collect() })
    };
    api.reads.answer(read).await
}

#[derive(Serialize)]
struct Operations {
    operations: Vec<Operation>,
}

#[derive(Serialize)]
struct Operation {
    name: Text,
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
    let window = figures::window(&mut parameters)?;
    parameters.finish()?;
    let read = move |store: &dyn waypost_trace_store::TraceStore| {
        let operations = store.statistics().operation_figures(&service, window.clone()).into_iter();
        let operations = operations.map(|figures| Operation {
            name: figures.name,
            kind: figures.kind,
            figure: Figure::new(&figures.red, &window),
        });
        Ok(Operations { operations: operations.collect() })
    };
    api.reads.answer(read).await
}
