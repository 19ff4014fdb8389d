//! The spans of one trace as a tree, and its comparison with a tree written as text.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt::{self, Write as _};

use opentelemetry::trace::{SpanId, SpanKind, Status, TraceId};

use super::expected::{self, Expected};
use super::matching::{self, Order};
use crate::base::attributes::{ERROR_TYPE, OUTCOME};
use crate::base::finished::FinishedSpan;

/// The spans of one trace, each under its parent, siblings by start time.
///
/// The text form has one line a span, children indented by two spaces:
/// ```text
/// POST /api/orders SERVER api-gateway http.response.status_code=201
///   check-user INTERNAL api-gateway
///   charge CLIENT order-service ERROR error.type=UNAVAILABLE waypost.outcome=* -> POST /api/orders
///   ...
/// ```
/// - A line is `name KIND service`, then `ERROR` or `OK` (nothing: unset), then attributes, then links.
/// - Attributes named must be there with that value (`*`: any value; quote values with spaces); others do not
///   matter. Braces around them are allowed.
/// - `-> name` asks for a link to a span of that name (`-> *`: to any span, also one that was not recorded).
/// - Names and services may be `*` or end in `*`.
/// - All children must be named, in any order; a line `...` allows others besides.
/// - Blank lines and lines that begin with `#` do not count.
///
/// ```
/// use waypost_telemetry::testing::{SpanTree, TestTelemetry};
///
/// let telemetry = TestTelemetry::new("order-service");
/// telemetry.span("place").attr("order.id", "order-1").in_scope(|| {
///     waypost_telemetry::span("price").in_scope(|| ());
///     waypost_telemetry::span("charge").in_scope(|| ());
/// });
/// let tree = telemetry.tree();
/// assert!(tree.is_connected() && !tree.is_empty() && tree.len() == 3);
/// tree.assert_matches_in_order(
///     "place INTERNAL order-service
///        price INTERNAL order-service
///        charge INTERNAL order-service",
/// );
/// assert!(tree.difference("place INTERNAL order-service").is_some(), "its children are not named");
/// assert!(tree.render_with(&["order.id"]).starts_with("place INTERNAL order-service order.id=order-1"));
/// assert_eq!(SpanTree::all(&telemetry.finished_spans()).len(), 1);
/// ```
#[derive(Clone, Debug)]
pub struct SpanTree {
    pub(super) tops: Vec<Node>,
}

#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) span: FinishedSpan,
    /// Names of the spans that its links point at, if they were recorded.
    pub(super) links: Vec<Option<String>>,
    pub(super) children: Vec<Node>,
}

impl SpanTree {
    /// The tree of one trace out of spans of any traces and services. Links into other traces find their names in
    /// `spans`.
    pub fn of(spans: &[FinishedSpan], trace_id: &str) -> Self {
        let names: HashMap<(TraceId, SpanId), &str> =
            spans.iter().map(|span| ((span.trace_id(), span.span_id()), span.name())).collect();
        let Ok(trace) = TraceId::from_hex(trace_id) else { return Self { tops: Vec::new() } };
        let mut own: Vec<_> = spans.iter().filter(|span| span.trace_id() == trace).collect();
        own.sort_by_key(|span| span.start());

        let known: HashSet<SpanId> = own.iter().map(|span| span.span_id()).collect();
        let mut below: HashMap<Option<SpanId>, Vec<&FinishedSpan>> = HashMap::new();
        for span in own {
            below.entry(span.parent_id().filter(|parent| known.contains(parent))).or_default().push(span);
        }
        Self { tops: take_below(None, &mut below, &names) }
    }

    /// The tree of the only trace in `spans`.
    ///
    /// # Panics
    ///
    /// If there is no span, or spans of several traces.
    pub fn only(spans: &[FinishedSpan]) -> Self {
        let mut trees = Self::all(spans);
        match (trees.pop(), trees.is_empty()) {
            (Some(tree), true) => tree,
            (None, _) => panic!("no span has ended"),
            (Some(last), false) => {
                let all: String = trees.iter().chain([&last]).map(Self::render).collect();
                panic!("spans of {} traces where one was expected:\n{all}", trees.len() + 1)
            }
        }
    }

    /// The trees of all traces in `spans`, in no particular order.
    pub fn all(spans: &[FinishedSpan]) -> Vec<Self> {
        let traces: BTreeSet<_> = spans.iter().map(|span| span.trace_id().to_bytes()).collect();
        traces.into_iter().map(|trace| Self::of(spans, &TraceId::from_bytes(trace).to_string())).collect()
    }

    /// Whether there is one top, so that every other span's parent is there. The top may have a parent outside.
    pub fn is_connected(&self) -> bool {
        self.tops.len() == 1
    }

    /// Number of spans.
    pub fn len(&self) -> usize {
        fn count(nodes: &[Node]) -> usize {
            nodes.iter().map(|node| 1 + count(&node.children)).sum()
        }
        count(&self.tops)
    }

    /// Whether there is no span.
    pub fn is_empty(&self) -> bool {
        self.tops.is_empty()
    }

    /// The tree as text, with `error.type` and the outcome as the only attributes.
    pub fn render(&self) -> String {
        self.render_with(&[])
    }

    /// The tree as text, with these attributes where they are set.
    pub fn render_with(&self, attributes: &[&str]) -> String {
        let mut text = String::new();
        push_nodes(&mut text, &self.tops, 0, "", attributes);
        text
    }

    /// Compares with a tree written as text. See [the text form](Self).
    ///
    /// # Panics
    ///
    /// With the difference, if there is one. If `expected` is not a tree.
    #[track_caller]
    pub fn assert_matches(&self, expected: &str) {
        if let Some(difference) = self.difference_in(expected, Order::Any) {
            panic!("{difference}");
        }
    }

    /// As [`Self::assert_matches`], with siblings in order of their start.
    ///
    /// # Panics
    ///
    /// As [`Self::assert_matches`].
    #[track_caller]
    pub fn assert_matches_in_order(&self, expected: &str) {
        if let Some(difference) = self.difference_in(expected, Order::Start) {
            panic!("{difference}");
        }
    }

    /// The difference to a tree written as text; `None` if they match.
    ///
    /// # Panics
    ///
    /// If `expected` is not a tree.
    pub fn difference(&self, expected: &str) -> Option<String> {
        self.difference_in(expected, Order::Any)
    }

    fn difference_in(&self, expected: &str, order: Order) -> Option<String> {
        let expected: Expected = match expected::parse(expected) {
            Ok(expected) => expected,
            Err(mistake) => panic!("the expected tree cannot be read: {mistake}"),
        };
        matching::difference(&expected, &self.tops, order)
    }
}

impl fmt::Display for SpanTree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render())
    }
}

fn take_below(
    parent: Option<SpanId>,
    below: &mut HashMap<Option<SpanId>, Vec<&FinishedSpan>>,
    names: &HashMap<(TraceId, SpanId), &str>,
) -> Vec<Node> {
    let spans = below.remove(&parent).unwrap_or_default();
    spans
        .into_iter()
        .map(|span| Node {
            span: span.clone(),
            links: span
                .links()
                .iter()
                .map(|link| {
                    let ids = (link.span_context().trace_id(), link.span_context().span_id());
                    names.get(&ids).map(ToString::to_string)
                })
                .collect(),
            children: take_below(Some(span.span_id()), below, names),
        })
        .collect()
}

fn push_nodes(text: &mut String, nodes: &[Node], depth: usize, mark: &str, attributes: &[&str]) {
    for node in nodes {
        push_node(text, node, depth, mark, attributes);
    }
}

/// A node with everything below it, each line behind `mark`.
pub(super) fn push_node(text: &mut String, node: &Node, depth: usize, mark: &str, attributes: &[&str]) {
    let _ = writeln!(text, "{mark}{:indent$}{}", "", line(node, attributes), indent = depth * 2);
    push_nodes(text, &node.children, depth + 1, mark, attributes);
}

/// A node as a line of the text form.
pub(super) fn line(node: &Node, attributes: &[&str]) -> String {
    let span = &node.span;
    let mut line = format!("{} {} {}", span.name(), kind_name(&span.kind()), span.service_name());
    match span.status() {
        Status::Unset => {}
        Status::Ok => line.push_str(" OK"),
        Status::Error { .. } => line.push_str(" ERROR"),
    }
    let shown: HashSet<&str> = attributes.iter().copied().chain([ERROR_TYPE, OUTCOME]).collect();
    for attribute in span.attributes().iter().filter(|attribute| shown.contains(attribute.key.as_str())) {
        let _ = write!(line, " {}={}", attribute.key, expected::quoted(&attribute.value.as_str()));
    }
    for link in &node.links {
        let _ = write!(line, " -> {}", link.as_deref().unwrap_or("*"));
    }
    line
}

pub(super) fn kind_name(kind: &SpanKind) -> &'static str {
    match kind {
        SpanKind::Client => "CLIENT",
        SpanKind::Server => "SERVER",
        SpanKind::Producer => "PRODUCER",
        SpanKind::Consumer => "CONSUMER",
        SpanKind::Internal => "INTERNAL",
    }
}
