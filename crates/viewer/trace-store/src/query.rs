//! What can be asked of a store.

use crate::evaluate::SpanCheck;
use std::ops::RangeInclusive;
use waypost_trace_model::{Kind, Span, SpanId, StatusCode, Text, TraceId};
use waypost_trace_statistics::AttributeScope;

/// Nanoseconds, both ends included: a time since 1970, or a duration.
pub type NanoRange = RangeInclusive<u64>;

/// Which traces are wanted.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    /// When the span that meets the first filter began.
    pub range: NanoRange,
    /// Each must be met by some span of the trace, one span may meet several. Empty: every trace.
    pub spans: Vec<SpanFilter>,
    /// From the earliest start to the latest end of the whole trace.
    pub trace_duration: NanoRange,
    /// What comes first.
    pub order: Order,
    /// The most matches in one answer.
    pub limit: usize,
    /// Where the answer before ended.
    pub after: Option<Cursor>,
}

impl Default for Query {
    fn default() -> Query {
        Query {
            range: 0..=u64::MAX,
            spans: Vec::new(),
            trace_duration: 0..=u64::MAX,
            order: Order::Newest,
            limit: 20,
            after: None,
        }
    }
}

/// What is asked of one span. Everything that is set must hold for the same span.
#[derive(Clone, Debug, PartialEq)]
pub struct SpanFilter {
    /// Its service, exactly.
    pub service: Option<Text>,
    /// Its name, exactly.
    pub operation: Option<Text>,
    /// Its kind.
    pub kind: Option<Kind>,
    /// How it went.
    pub status: Option<StatusCode>,
    /// How long it took.
    pub duration: NanoRange,
    /// Whether it has no parent id.
    pub is_root: Option<bool>,
    /// Attributes that it has.
    pub attributes: Vec<AttributeFilter>,
    /// Text, whatever case, within its name, its status message, or a key or value of its attributes, its resource, its
    /// events (their names too) or its links.
    pub text: Option<String>,
    /// A link of it points to a span of this trace. Asked for the links that lead back to a trace; the store answers it
    /// from an index of the traces that links name, as it does for trace ids.
    pub linked_trace: Option<TraceId>,
    /// Filters of which it meets none.
    pub excluded: Vec<SpanFilter>,
}

impl Default for SpanFilter {
    fn default() -> SpanFilter {
        SpanFilter {
            service: None,
            operation: None,
            kind: None,
            status: None,
            duration: 0..=u64::MAX,
            is_root: None,
            attributes: Vec::new(),
            text: None,
            linked_trace: None,
            excluded: Vec::new(),
        }
    }
}

impl SpanFilter {
    /// Whether the span meets everything that is asked: what the store answers by, for a span in memory.
    pub fn matches(&self, span: &Span) -> bool {
        SpanCheck::new(self).holds(span)
    }
}

/// What is asked of one attribute.
#[derive(Clone, Debug, PartialEq)]
pub struct AttributeFilter {
    /// Where it stands; anywhere when `None`.
    pub scope: Option<AttributeScope>,
    /// Its key, exactly.
    pub key: Text,
    /// What must hold.
    pub test: Test,
}

/// What must hold of a value. Text is compared with the value's display form, see `Value::display`.
#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    /// There is such an attribute.
    Exists,
    /// There is one, and its text is this.
    Equals(String),
    /// There is one, and its text is not this.
    Differs(String),
    /// Its text contains this, whatever case.
    Contains(String),
    /// It is a number, at least this.
    AtLeast(f64),
    /// It is a number, at most this.
    AtMost(f64),
}

/// What comes first. Ties are broken by trace id, so that pages never repeat or skip a trace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// The trace whose newest span that meets the first filter began last.
    #[default]
    Newest,
    /// The trace whose oldest such span began first.
    Oldest,
    /// The trace whose longest such span took longest.
    Longest,
    /// The trace whose shortest such span took least.
    Shortest,
}

/// Where a page ended: opaque text, valid for the same query at the same store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor(pub String);

/// A page of matches.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found {
    /// At most the limit; each trace once in all pages.
    pub matches: Vec<Match>,
    /// Where the next page begins; `None` when there is no more.
    pub next: Option<Cursor>,
    /// Set when the store stopped looking before it filled the page, to keep its time bounded: everything that began
    /// after (for [`Order::Oldest`], before) this was looked at. `next` goes on from there.
    pub scanned_to: Option<u64>,
}

/// A trace, and the span by which it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    /// The trace.
    pub trace_id: TraceId,
    /// The span that meets the first filter and gives the trace its place in the order.
    pub span_id: SpanId,
    /// When that span began, in nanoseconds since 1970.
    pub start: u64,
    /// How long it took, in nanoseconds.
    pub duration: u64,
    /// How it went.
    pub status: StatusCode,
}
