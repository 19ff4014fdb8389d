//! `GET /map`: who calls whom, services and what they depend on.

use super::{
    Api,
    figures::{self, Figure, Measured},
    parameters::Parameters,
};
use crate::problem::Problem;
use axum::{extract::State, response::Response};
use serde::Serialize;
use std::collections::BTreeMap;
use waypost_trace_model::Text;
use waypost_trace_statistics::{Peer, PeerKind};

#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "ServiceMap"))]
pub(super) struct Map {
    nodes: Vec<Node>,
    edges: Vec<Edge>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "MapNode"))]
pub(super) struct Node {
    id: String,
    #[cfg_attr(test, ts(type = "PeerKind"))]
    kind: PeerKind,
    #[cfg_attr(test, ts(type = "string"))]
    name: Text,
    #[serde(flatten)]
    figure: NodeFigure,
}

/// Of a service, as its own spans say; what sends no spans has the same members with `null`.
#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(untagged)]
pub(super) enum NodeFigure {
    Known(Figure),
    Unknown { calls: (), errors: (), rate: (), p50: (), p95: (), p99: (), examples: () },
}

impl NodeFigure {
    const UNKNOWN: NodeFigure =
        NodeFigure::Unknown { calls: (), errors: (), rate: (), p50: (), p95: (), p99: (), examples: () };
}

#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "MapEdge"))]
pub(super) struct Edge {
    from: String,
    to: String,
    #[serde(flatten)]
    figure: Figure,
}

pub(super) async fn map(State(api): State<Api>, mut parameters: Parameters) -> Result<Response, Problem> {
    let (window, now) = (figures::window(&mut parameters)?, parameters.now());
    parameters.finish()?;
    let read = move |store: &dyn waypost_trace_store::TraceStore| {
        let statistics = store.statistics();
        let measured = Measured::of(&window, statistics, now);
        let figures = statistics.service_figures(window.clone());
        let edges = statistics.edges(window);
        // By peer, so that a service that is called and has figures is there once.
        let mut nodes: BTreeMap<Peer, Option<Figure>> = BTreeMap::new();
        for service in figures {
            let peer = Peer { kind: PeerKind::Service, name: service.service };
            nodes.insert(peer, Some(Figure::new(&service.red, measured)));
        }
        for peer in edges.iter().flat_map(|edge| [&edge.from, &edge.to]) {
            nodes.entry(peer.clone()).or_default();
        }
        let nodes = nodes.into_iter().map(|(peer, figure)| Node {
            id: peer.id(),
            kind: peer.kind,
            name: peer.name,
            figure: figure.map_or(NodeFigure::UNKNOWN, NodeFigure::Known),
        });
        let edges = edges.iter().map(|edge| Edge {
            from: edge.from.id(),
            to: edge.to.id(),
            figure: Figure::new(&edge.red, measured),
        });
        Ok(Map { nodes: nodes.collect(), edges: edges.collect() })
    };
    api.reads.answer(read).await
}
