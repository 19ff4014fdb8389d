//! What happened to one order, told from its spans: the console story, the span tree and the slowest step.
//!
//! For `waypost up`, and for anyone who wants a trace as text. Everything here is a pure function of the spans:
//! no clock, no printing, nothing the services print. What is left out: collecting the spans (`up`).

mod collected;
mod durations;
mod slowest;
mod steps;
mod tree;

use std::collections::{HashMap, HashSet};

pub(crate) use durations::took;
pub(crate) use slowest::slowest;
pub(crate) use steps::story;
pub(crate) use tree::tree;

/// What a span did, as OpenTelemetry names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Server,
    Client,
    Internal,
    Producer,
    Consumer,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Server => "SERVER",
            Kind::Client => "CLIENT",
            Kind::Internal => "INTERNAL",
            Kind::Producer => "PRODUCER",
            Kind::Consumer => "CONSUMER",
        }
    }
}

/// One finished span, reduced to what a story needs.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    pub(crate) trace_id: String,
    pub(crate) id: String,
    pub(crate) parent_id: Option<String>,
    /// Trace and span ids that this span links to.
    pub(crate) links: Vec<(String, String)>,
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) service: String,
    /// Nanoseconds since the epoch.
    pub(crate) start: u64,
    /// Nanoseconds since the epoch, not before `start`.
    pub(crate) end: u64,
    pub(crate) has_failed: bool,
    pub(crate) attributes: Vec<(String, String)>,
}

impl Span {
    pub(crate) fn attribute(&self, key: &str) -> Option<&str> {
        self.attributes.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    pub(crate) fn duration(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// The class of the error, also when it was an answer (out of stock) and no fault.
    pub(crate) fn error(&self) -> Option<&str> {
        self.attribute("error.type").or(if self.has_failed { Some("error") } else { None })
    }
}

/// The spans of one trace as a tree.
///
/// Invariant: every span hangs below exactly one root; children are in order of their start.
#[derive(Debug)]
pub(crate) struct Trace {
    spans: Vec<Span>,
    roots: Vec<usize>,
    children: Vec<Vec<usize>>,
    orphans: usize,
}

impl Trace {
    /// The spans of `trace_id`, and those of traces that link to it (a consumer may link instead of continue).
    pub(crate) fn of(spans: &[Span], trace_id: &str) -> Trace {
        let links_here = |span: &&Span| span.links.iter().any(|(trace, _)| trace == trace_id);
        let linked: HashSet<&str> =
            spans.iter().filter(links_here).map(|span| span.trace_id.as_str()).collect();
        let belongs = |span: &&Span| span.trace_id == trace_id || linked.contains(span.trace_id.as_str());
        let mut spans: Vec<Span> = spans.iter().filter(belongs).cloned().collect();
        // A parent comes before a child that starts in the same nanosecond.
        spans.sort_by(|a, b| (a.start, b.end).cmp(&(b.start, a.end)));

        let mut place = HashMap::new();
        for (index, span) in spans.iter().enumerate() {
            place.insert(span.id.clone(), index);
        }
        let mut trace =
            Trace { children: vec![Vec::new(); spans.len()], spans, roots: Vec::new(), orphans: 0 };
        for index in 0..trace.spans.len() {
            let span = &trace.spans[index];
            let link = span.links.iter().find(|(trace, _)| trace == trace_id).map(|(_, span)| span);
            let above = span.parent_id.as_ref().or(link);
            let parent = above.and_then(|id| place.get(id)).filter(|parent| **parent != index);
            if let Some(parent) = parent {
                trace.children[*parent].push(index);
            } else {
                trace.orphans += usize::from(span.parent_id.is_some());
                trace.roots.push(index);
            }
        }
        trace
    }

    /// How many spans there are.
    pub(crate) fn len(&self) -> usize {
        self.spans.len()
    }

    /// How many services took part.
    pub(crate) fn services(&self) -> usize {
        self.spans.iter().map(|span| span.service.as_str()).collect::<HashSet<_>>().len()
    }

    /// The request that began it all: the earliest root.
    pub(crate) fn root(&self) -> Option<&Span> {
        self.roots.first().map(|root| &self.spans[*root])
    }

    /// Nanoseconds from the first start to the last end.
    pub(crate) fn duration(&self) -> u64 {
        let start = self.spans.iter().map(|span| span.start).min().unwrap_or_default();
        let end = self.spans.iter().map(|span| span.end).max().unwrap_or_default();
        end.saturating_sub(start)
    }

    /// True when there is one root and no span's parent is missing.
    pub(crate) fn is_connected(&self) -> bool {
        self.roots.len() == 1 && self.orphans == 0
    }

    /// True when somebody was told how the order went.
    pub(crate) fn reaches_notification(&self) -> bool {
        self.spans.iter().any(|span| span.kind == Kind::Consumer)
    }

    /// The first value of an attribute in order of start, anywhere in the trace.
    pub(crate) fn attribute(&self, key: &str) -> Option<&str> {
        self.spans.iter().find_map(|span| span.attribute(key))
    }
}

#[cfg(test)]
mod fixture;
