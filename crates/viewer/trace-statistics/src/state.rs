//! Services and operations, and the one place where a batch is taken into account.

use crate::{
    Bounds, NAME_BYTES, OTHER, OperationFigures, PeerKind, ServiceFigures,
    deployments::Deployments,
    graph::Graph,
    names::Names,
    series::{Call, MINUTE, Series},
};
use foldhash::fast::RandomState;
use std::{collections::HashMap, ops::Range, sync::Arc};
use waypost_trace_model::{Batch, Kind, Resource, Span, StatusCode, Text};

/// Operations of all services together; a bound of its own, as 500 services of 500 operations would be too many.
const OPERATIONS: usize = 10_000;

/// Everything that is known.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(crate) bounds: Bounds,
    pub(crate) services: Vec<Service>,
    pub(crate) operations: Vec<Operation>,
    pub(crate) graph: Graph,
    pub(crate) names: Names,
    numbers: HashMap<Text, usize, RandomState>,
    /// The last in which something arrived.
    pub(crate) minute: u64,
    /// When the first span arrived.
    pub(crate) first: Option<u64>,
}

/// One service.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    pub(crate) name: Text,
    /// Its number in the graph.
    peer: u32,
    pub(crate) figures: Figures,
    pub(crate) deployments: Deployments,
    /// Numbers of its operations by name and kind.
    operations: HashMap<Text, [Option<u32>; 6], RandomState>,
    count: usize,
}

/// What a service's figures are made of.
#[derive(Clone, Debug)]
pub(crate) enum Figures {
    /// No SERVER or CONSUMER span has come: root spans.
    Roots(Series),
    /// SERVER and CONSUMER spans.
    Entries(Series),
}

/// Spans of one name and kind.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) service: usize,
    pub(crate) name: Text,
    pub(crate) kind: Kind,
    pub(crate) series: Series,
}

impl Figures {
    pub(crate) fn is_of_entries(&self) -> bool {
        matches!(self, Figures::Entries(_))
    }

    pub(crate) fn series(&self) -> &Series {
        match self {
            Figures::Roots(series) | Figures::Entries(series) => series,
        }
    }

    pub(crate) fn series_mut(&mut self) -> &mut Series {
        match self {
            Figures::Roots(series) | Figures::Entries(series) => series,
        }
    }

    fn record(&mut self, span: &Span, now: u64, call: &Call) {
        let is_entry = matches!(span.kind, Kind::Server | Kind::Consumer);
        match self {
            Figures::Roots(_) if is_entry => {
                let mut series = Series::default();
                series.record(now, call);
                *self = Figures::Entries(series);
            }
            Figures::Entries(series) if is_entry => series.record(now, call),
            Figures::Roots(series) if span.parent_span_id.is_none() => series.record(now, call),
            Figures::Roots(_) | Figures::Entries(_) => {}
        }
    }
}

impl State {
    pub(crate) fn new(bounds: Bounds) -> State {
        State {
            services: Vec::new(),
            operations: Vec::new(),
            graph: Graph::new(&bounds),
            names: Names::new(&bounds),
            numbers: HashMap::default(),
            minute: 0,
            first: None,
            bounds,
        }
    }

    pub(crate) fn observe(&mut self, batch: &Batch, now: u64) {
        if now / MINUTE != self.minute {
            self.minute = now / MINUTE;
            self.roll(now);
        }
        self.graph.expire(now);
        self.first = Some(self.first.map_or(now, |first| first.min(now)));
        let mut last: Option<(&Arc<Resource>, usize)> = None;
        for span in &batch.spans {
            let number = match last {
                Some((resource, number)) if Arc::ptr_eq(resource, &span.resource) => number,
                _ => {
                    self.names.resource(&span.resource, now);
                    let number = self.service(&span.resource.service);
                    if let Some(service) = self.services.get_mut(number) {
                        service.deployments.observe(&span.resource, now);
                    }
                    number
                }
            };
            last = Some((&span.resource, number));
            self.span(span, number, now);
            self.names.span(span, now);
        }
    }

    fn span(&mut self, span: &Span, number: usize, now: u64) {
        let peer = self.services.get(number).map_or(u32::MAX, |service| service.peer);
        if !self.graph.seen.insert(span, peer) {
            // It came again, in another request.
            return;
        }
        let is_error = span.status.code == StatusCode::Error;
        let call = Call { trace: span.trace_id, duration: span.duration(), is_error };
        let operation = self.operation(number, &span.name, span.kind);
        if let Some(operation) = self.operations.get_mut(operation) {
            operation.series.record(now, &call);
        }
        if let Some(service) = self.services.get_mut(number) {
            service.figures.record(span, now, &call);
            self.graph.observe(span, service.peer, call, now);
        }
    }

    /// The number of a service; beyond the bound that of [`OTHER`].
    pub(crate) fn service(&mut self, name: &str) -> usize {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let is_beyond = self.services.len() >= self.bounds.services || name.len() > NAME_BYTES;
        if is_beyond && name != OTHER {
            return self.service(OTHER);
        }
        let number = self.services.len();
        let peer = self.graph.peer(PeerKind::Service, name);
        let name = Text::from(name);
        self.numbers.insert(name.clone(), number);
        let figures = Figures::Roots(Series::default());
        let (deployments, operations) = (Deployments::default(), HashMap::default());
        self.services.push(Service { name, peer, figures, deployments, operations, count: 0 });
        number
    }

    /// The number of an operation; beyond the bounds that of the service's [`OTHER`] of the same kind.
    pub(crate) fn operation(&mut self, number: usize, name: &str, kind: Kind) -> usize {
        let Some(service) = self.services.get_mut(number) else { return usize::MAX };
        let known = service.operations.get(name).and_then(|kinds| kinds[kind as usize]);
        if let Some(known) = known {
            return known as usize;
        }
        let is_beyond = service.count >= self.bounds.operations
            || self.operations.len() >= OPERATIONS
            || name.len() > NAME_BYTES;
        if is_beyond && name != OTHER {
            return self.operation(number, OTHER, kind);
        }
        let name = Text::from(name);
        let added = self.operations.len();
        service.count += 1;
        service.operations.entry(name.clone()).or_default()[kind as usize] = u32::try_from(added).ok();
        self.operations.push(Operation { service: number, name, kind, series: Series::default() });
        added
    }

    /// When the first span arrived of those that are still counted.
    pub(crate) fn first_arrival(&self) -> Option<u64> {
        self.first
    }

    pub(crate) fn services(&self) -> Vec<Text> {
        let mut names: Vec<Text> = self.services.iter().map(|service| service.name.clone()).collect();
        names.sort_unstable();
        names
    }

    pub(crate) fn operations(&self, service: &str) -> Vec<(Text, Kind)> {
        let of_service = self.operations_of(service);
        let mut names: Vec<_> =
            of_service.map(|operation| (operation.name.clone(), operation.kind)).collect();
        names.sort_unstable();
        names
    }

    pub(crate) fn service_figures(&self, window: &Range<u64>) -> Vec<ServiceFigures> {
        let figures = self.services.iter().map(|service| ServiceFigures {
            service: service.name.clone(),
            operations: service.count as u64,
            red: service.figures.series().sum(window).red(),
        });
        let mut figures: Vec<_> = figures.collect();
        figures.sort_by(|left, right| left.service.cmp(&right.service));
        figures
    }

    pub(crate) fn operation_figures(&self, service: &str, window: &Range<u64>) -> Vec<OperationFigures> {
        let figures = self.operations_of(service).map(|operation| OperationFigures {
            name: operation.name.clone(),
            kind: operation.kind,
            red: operation.series.sum(window).red(),
        });
        let mut figures: Vec<_> = figures.collect();
        figures.sort_by(|left, right| (&left.name, left.kind).cmp(&(&right.name, right.kind)));
        figures
    }

    /// What a service's own figures are made of.
    pub(crate) fn service_series(&self, service: &str) -> Option<&Series> {
        Some(self.service_named(service)?.figures.series())
    }

    pub(crate) fn service_named(&self, service: &str) -> Option<&Service> {
        self.services.get(*self.numbers.get(service)?)
    }

    pub(crate) fn operations_of(&self, service: &str) -> impl Iterator<Item = &Operation> {
        let number = self.numbers.get(service).copied();
        self.operations.iter().filter(move |operation| Some(operation.service) == number)
    }

    fn roll(&mut self, now: u64) {
        self.services.iter_mut().for_each(|service| service.figures.series_mut().roll(now));
        self.operations.iter_mut().for_each(|operation| operation.series.roll(now));
        self.graph.roll(now);
    }
}
