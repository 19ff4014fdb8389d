//! Which instance has most of what is wrong, counted over the spans of a window.

use std::{cell::Cell, ops::Range};
use waypost_trace_alerts::{Bad, Instances};
use waypost_trace_analysis::{BadInstance, Instances as Counts};
use waypost_trace_model::{Kind, Text};
use waypost_trace_statistics::{Peer, PeerKind, Subject};
use waypost_trace_store::{
    AttributeFilter, Columns, Field, Fields, Query, SpanFilter, Survey, Test, TraceStore,
};

/// What tells instances apart, in the order in which they are asked: many instances may share a host.
const KEYS: [&str; 3] = ["service.instance.id", "k8s.pod.name", "host.name"];

/// Questions to the store in one evaluation. When much begins at once, what comes after is told without an instance.
const MAX_ASKED: usize = 5;

/// Spans of a store, for one evaluation.
pub(super) struct Spans<'a> {
    store: &'a dyn TraceStore,
    asked: Cell<usize>,
}

impl<'a> Spans<'a> {
    pub(super) fn of(store: &'a dyn TraceStore) -> Self {
        Self { store, asked: Cell::new(0) }
    }
}

impl Instances for Spans<'_> {
    fn worst(&self, subject: &Subject, bad: Bad, window: &Range<u64>) -> Option<BadInstance> {
        if self.asked.replace(self.asked.get() + 1) >= MAX_ASKED {
            return None;
        }
        let range = window.start..=window.end;
        let query = Query { range, spans: vec![filter(subject)?], ..Query::default() };
        let fields = KEYS.iter().map(|key| Field::Attribute(None, Text::from(*key))).collect();
        let survey = Survey { query, marked: None, fields: Fields::Of(fields) };
        let mut counts: [Counts; KEYS.len()] = Default::default();
        let surveyed = self.store.survey(&survey, &mut |columns| count(&mut counts, columns, bad));
        if let Err(error) = surveyed {
            tracing::warn!(%error, "the instances of an alert cannot be counted");
            return None;
        }
        counts.iter().find_map(Counts::worst)
    }
}

fn count(counts: &mut [Counts; KEYS.len()], columns: &Columns, bad: Bad) {
    for column in &columns.fields {
        let key = match &column.field {
            Field::Attribute(_, key) => KEYS.iter().position(|known| *known == &**key),
            _ => None,
        };
        let Some(counts) = key.and_then(|key| counts.get_mut(key)) else { continue };
        let mut sums = vec![(0, 0); column.values.len()];
        for ((failed, duration), place) in columns.failed.iter().zip(&columns.durations).zip(column.places())
        {
            let Some((calls, bad_calls)) = place.and_then(|place| sums.get_mut(place)) else { continue };
            let is_slow = bad.slower_than.is_some_and(|limit| *duration > limit);
            *calls += 1;
            *bad_calls += u64::from(is_slow || (bad.failed && *failed));
        }
        for (value, (calls, bad_calls)) in column.values.iter().zip(sums) {
            counts.add(value, calls, bad_calls);
        }
    }
}

/// The spans of a subject; `None` where the spans of its figures cannot be told from others: of a call from one service to another
/// it would have to be known who called.
fn filter(subject: &Subject) -> Option<SpanFilter> {
    match subject {
        Subject::Service(service) => {
            // As its figures: what comes in.
            let of_kind = |kind| SpanFilter { kind: Some(kind), ..SpanFilter::default() };
            Some(SpanFilter {
                service: Some(service.clone()),
                excluded: [Kind::Client, Kind::Producer, Kind::Internal].map(of_kind).into(),
                ..SpanFilter::default()
            })
        }
        Subject::Operations { service, name, kinds } => Some(SpanFilter {
            service: Some(service.clone()),
            operation: name.clone(),
            kind: kinds.first().copied(),
            ..SpanFilter::default()
        }),
        Subject::Edge { from, to } => edge(from, to),
    }
}

/// Calls of a service to what sends no spans; the instances are the caller's.
fn edge(from: &Peer, to: &Peer) -> Option<SpanFilter> {
    let attribute = match to.kind {
        PeerKind::Service | PeerKind::Caller => return None,
        PeerKind::Database | PeerKind::Cache => {
            to.name.split_once('/').map(|(_, name)| ("db.namespace", name))
        }
        PeerKind::Messaging => to.name.split_once('/').map(|(_, name)| ("messaging.destination.name", name)),
        PeerKind::External => Some(("server.address", &*to.name)),
    };
    let attribute = attribute.map(|(key, value)| AttributeFilter {
        scope: None,
        key: Text::from(key),
        test: Test::Equals(value.to_owned()),
    });
    let kind = if to.kind == PeerKind::Messaging { Kind::Producer } else { Kind::Client };
    Some(SpanFilter {
        service: Some(from.name.clone()),
        kind: Some(kind),
        attributes: attribute.into_iter().collect(),
        ..SpanFilter::default()
    })
}
