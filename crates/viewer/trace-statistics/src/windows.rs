//! Questions of whoever watches: a subject's figures over a window as one, the same hour of earlier days, and what is busy
//! enough to be watched.

use crate::{
    Hour, PeerKind, Statistics, Step, Subject,
    series::{Bucket, DAY, HOUR, Series},
};
use std::ops::Range;
use waypost_trace_model::Kind;

/// Days of which the hours are kept.
const DAYS: u64 = 7;

impl Statistics {
    /// The figures of a subject over all buckets that a window touches, as one step that begins with the window; `None`
    /// when nothing of the subject ever came.
    pub fn window(&self, subject: &Subject, window: &Range<u64>) -> Option<Step> {
        let (mut sum, mut is_known) = (Bucket::default(), false);
        self.lock().each_series(subject, window, &mut |series| {
            is_known = true;
            sum.merge(&series.sum(window));
        });
        is_known.then_some(Step { start: window.start, sum })
    }

    /// The hour of the day of this moment on each of the seven days before, as far as there were calls, the latest first.
    /// Percentiles of a subject of several series are those of the one with the most calls.
    pub fn same_hours(&self, subject: &Subject, at: u64) -> Vec<Hour> {
        let starts = (1..=DAYS).filter_map(|day| (at / HOUR * HOUR).checked_sub(day * DAY));
        let mut hours: Vec<Hour> =
            starts.map(|start| Hour { start, calls: 0, errors: 0, p50: 0, p95: 0, p99: 0 }).collect();
        let mut most: Vec<u64> = vec![0; hours.len()];
        let mut add = |series: &Series| {
            for (sum, most) in hours.iter_mut().zip(&mut most) {
                let Some(hour) = series.hour(sum.start) else { continue };
                sum.calls += hour.calls;
                sum.errors += hour.errors;
                if hour.calls > *most {
                    *most = hour.calls;
                    (sum.p50, sum.p95, sum.p99) = (hour.p50, hour.p95, hour.p99);
                }
            }
        };
        self.lock().each_series(subject, &(0..at), &mut add);
        hours.retain(|hour| hour.calls > 0);
        hours
    }

    /// Operations that are entered from outside (SERVER and CONSUMER spans; of a service without such its root spans, as
    /// the service), and edges to what is no service, with at least so many calls in the window.
    pub fn busy(&self, window: &Range<u64>, min_calls: u64) -> Vec<Subject> {
        let state = self.lock();
        let mut found = Vec::new();
        for operation in &state.operations {
            let is_entry = matches!(operation.kind, Kind::Server | Kind::Consumer);
            let service = state.services.get(operation.service).map(|service| &service.name);
            if let Some(service) = service.filter(|_| is_entry && operation.series.calls(window) >= min_calls)
            {
                found.push(Subject::Operations {
                    service: service.clone(),
                    name: Some(operation.name.clone()),
                    kinds: vec![operation.kind],
                });
            }
        }
        let roots = state.services.iter().filter(|service| !service.figures.is_of_entries());
        let roots = roots.filter(|service| service.figures.series().calls(window) >= min_calls);
        found.extend(roots.map(|service| Subject::Service(service.name.clone())));
        let edges = state.graph.busy(window, min_calls).into_iter();
        let outside =
            edges.filter(|(from, to)| from.kind == PeerKind::Service && to.kind != PeerKind::Service);
        found.extend(outside.map(|(from, to)| Subject::Edge { from, to }));
        found.sort_unstable();
        found
    }
}
