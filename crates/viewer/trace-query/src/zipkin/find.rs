//! Zipkin's search: conditions on the spans of one service in a trace, each of which another span may meet.
//!
//! Names, durations and times are decided by the store. Terms about tags and annotations narrow the store's search and
//! are then checked on what the answer says, because only that has them in Zipkin's form: a word is a tag's key or an
//! annotation, and the remote service is a guess from several attributes.

use super::{text, write};
use crate::{
    answer::Written,
    error::Error,
    load::{self, Room},
    search::{MAX_TRACES, Pages, stopped},
};
use serde_json::Value as Json;
use std::{collections::BTreeMap, ops::RangeInclusive};
use waypost_trace_model::{StatusCode, Text};
use waypost_trace_store::{AttributeFilter, Query, SpanFilter, Test, TraceStore};

/// Traces that are loaded to be checked at once.
const CHECKED_AT_ONCE: usize = 50;

/// What was asked for.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) service: Option<String>,
    pub(super) name: Option<String>,
    /// When the span of that service and name began, in nanoseconds.
    pub(super) range: RangeInclusive<u64>,
    /// How long some span of the service took, in nanoseconds.
    pub(super) duration: Option<RangeInclusive<u64>>,
    pub(super) terms: Terms,
    pub(super) limit: usize,
}

/// Conditions that are checked on spans in Zipkin's form.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Terms {
    /// Keys of tags with their values; without a value, keys of tags or annotations.
    pub(super) words: BTreeMap<String, Option<String>>,
    pub(super) remote: Option<String>,
}

impl Terms {
    /// Whether nothing is left to be met.
    fn are_met(&self) -> bool {
        self.words.is_empty() && self.remote.is_none()
    }

    /// Takes away what a span of the service meets. Names are compared whatever their case, as Zipkin has them all in
    /// lower case.
    fn cross_off(&mut self, span: &Json, service: Option<&str>) {
        let is_name = |endpoint: &str, wanted: &str| {
            let name = span.get(endpoint).and_then(|endpoint| text(endpoint, "serviceName"));
            name.is_some_and(|name| name.to_lowercase() == wanted.to_lowercase())
        };
        if self.are_met() || service.is_some_and(|service| !is_name("localEndpoint", service)) {
            return;
        }
        self.remote.take_if(|remote| is_name("remoteEndpoint", remote));
        let annotations = span.get("annotations").and_then(Json::as_array).map_or(&[][..], Vec::as_slice);
        self.words.retain(|key, value| {
            let is_tag = span
                .get("tags")
                .and_then(|tags| text(tags, key))
                .is_some_and(|tag| value.as_deref().is_none_or(|value| value == tag));
            let mut said = annotations.iter().filter_map(|annotation| text(annotation, "value"));
            let is_annotation = value.is_none() && said.any(|said| is_event(said, key));
            !is_tag && !is_annotation
        });
    }
}

/// Whether an annotation is an event of this name: the name alone, or with the event's attributes after it.
fn is_event(annotation: &str, name: &str) -> bool {
    let quoted = Json::from(name).to_string();
    annotation == name || annotation.strip_prefix(&*quoted).is_some_and(|rest| rest.starts_with(": {"))
}

/// A list of traces, newest first.
pub(super) fn run(store: &dyn TraceStore, asked: &Asked) -> Result<Written, Error> {
    let limit = asked.limit.min(MAX_TRACES);
    let is_checked = !asked.terms.are_met();
    let mut pages = Pages::new(query(asked));
    let mut room = Room::new();
    let mut traces = Vec::new();
    let mut notes = Vec::new();
    let mut left_out = None;
    while traces.len() < limit && left_out.is_none() {
        let wanted = limit - traces.len();
        let Some(page) = pages.next(store, if is_checked { CHECKED_AT_ONCE } else { wanted })? else { break };
        let ids: Vec<_> = page.iter().map(|found| found.trace_id).collect();
        left_out = load::traces(store, &ids, &mut room, |loaded| {
            let mut terms = asked.terms.clone();
            let written = write(&loaded, |span| terms.cross_off(span, asked.service.as_deref()))?;
            if terms.are_met() && traces.len() < limit {
                notes.extend(loaded.cut);
                traces.push(written);
            }
            Ok(())
        })?;
    }
    if traces.len() < limit {
        notes.extend(pages.stopped_at().map(stopped));
    } else if asked.limit > MAX_TRACES && !pages.is_done() {
        notes.push(format!("only the newest {limit} traces are given, which is the most in one answer"));
    }
    notes.extend(left_out);
    Ok(Written::list("[", &traces, "]", notes))
}

/// A query of the store that finds at least the traces that are wanted.
fn query(asked: &Asked) -> Query {
    let of_service =
        || SpanFilter { service: asked.service.clone().map(Text::from), ..SpanFilter::default() };
    let mut spans = vec![SpanFilter { operation: asked.name.clone().map(Text::from), ..of_service() }];
    spans.extend(asked.duration.clone().map(|duration| SpanFilter { duration, ..of_service() }));
    spans.extend(asked.terms.remote.clone().map(|remote| SpanFilter { text: Some(remote), ..of_service() }));
    for (key, value) in &asked.terms.words {
        spans.push(match (key.as_str(), value.as_deref()) {
            // These tags are not attributes: they are made of what else the span says.
            ("error", value) if value != Some("false") => {
                SpanFilter { status: Some(StatusCode::Error), ..of_service() }
            }
            (key, _) if key.starts_with("otel.") => of_service(),
            (key, Some(value)) => {
                let test = Test::Equals(value.to_owned());
                let attribute = AttributeFilter { scope: None, key: Text::from(key), test };
                SpanFilter { attributes: vec![attribute], ..of_service() }
            }
            (word, None) => SpanFilter { text: Some(word.to_owned()), ..of_service() },
        });
    }
    Query { range: asked.range.clone(), spans, ..Query::default() }
}
