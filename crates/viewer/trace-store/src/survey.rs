//! Many spans at once, column by column: for figures over everything that meets a filter, where whole spans would take
//! too long.
//!
//! Invariant: every store visits each span that is kept and meets the query once; only the order differs.

use crate::{NanoRange, Query, SpanFilter, evaluate::SpanCheck};
use foldhash::{HashMap, HashMapExt, HashSet, HashSetExt};
use std::borrow::Cow;
use waypost_trace_model::{Attribute, Kind, Resource, Span, StatusCode, Text, TraceId};
use waypost_trace_statistics::AttributeScope;

/// Spans whose columns one survey reads; what is older is left out, and said so.
pub(crate) const MAX_SPANS: u64 = 4_000_000;

/// Different values of a column of one visit, beyond which it is told as varied where all fields are asked for.
const VARIED: usize = 256;

/// No value.
const NONE: u32 = u32::MAX;

/// Which spans are visited, and what of them.
#[derive(Clone, Debug)]
pub struct Survey {
    /// Range, filters and duration of the trace count; order, limit and cursor do not.
    pub query: Query,
    /// Spans that meet this filter too are marked.
    pub marked: Option<SpanFilter>,
    /// What is read of each span beside its times, status and trace.
    pub fields: Fields,
}

/// What is read of each span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fields {
    /// These.
    Of(Vec<Field>),
    /// Service, operation, kind, status message, and every attribute of spans and resources; and nothing beside them. What was
    /// told as varied once may be left out from then on.
    All,
}

/// Something that a span has at most one value of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// Its service.
    Service,
    /// Its name.
    Operation,
    /// Its kind.
    Kind,
    /// Its status.
    Status,
    /// The message of its status; none when it is empty.
    StatusMessage,
    /// The first attribute of this key, of the span or of its resource. Without a scope the span's goes before.
    Attribute(Option<AttributeScope>, Text),
}

impl Field {
    /// What a span has of it, in its display form.
    pub fn value<'a>(&self, span: &'a Span) -> Option<Cow<'a, str>> {
        match self {
            Field::Service => Some(Cow::Borrowed(span.service())),
            Field::Operation => Some(Cow::Borrowed(&span.name)),
            Field::Kind => Some(Cow::Borrowed(span.kind.name())),
            Field::Status => Some(Cow::Borrowed(status_name(span.status.code))),
            Field::StatusMessage => {
                Some(Cow::Borrowed(&*span.status.message)).filter(|text| !text.is_empty())
            }
            Field::Attribute(scope, key) => {
                let of_span = if looks_at(*scope, AttributeScope::Span) {
                    display(&span.attributes, key)
                } else {
                    None
                };
                of_span.or_else(|| of_resource(*scope, &span.resource, key))
            }
        }
    }
}

/// Some spans. All lists but `fields` have one entry for each; where all fields are asked for, only `marked` has.
#[derive(Clone, Debug, Default)]
pub struct Columns {
    /// When each began, in nanoseconds since 1970.
    pub starts: Vec<u64>,
    /// How long each took, in nanoseconds.
    pub durations: Vec<u64>,
    /// Whether it failed.
    pub failed: Vec<bool>,
    /// Its trace.
    pub traces: Vec<TraceId>,
    /// Whether it meets the second filter.
    pub marked: Vec<bool>,
    /// What was asked for; an attribute that none of these spans has may be left out.
    pub fields: Vec<Column>,
}

/// The values of a field.
#[derive(Clone, Debug)]
pub struct Column {
    /// The field.
    pub field: Field,
    /// True when there are too many different values to be told; then there are none here.
    pub is_varied: bool,
    /// Values in their display form; one may be there more than once.
    pub values: Vec<Text>,
    /// For each span the place of its value.
    places: Vec<u32>,
}

/// How far a survey came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Surveyed {
    /// Set when the store stopped to keep its time bounded: everything that began after this was visited.
    pub scanned_to: Option<u64>,
}

impl Column {
    /// For each span the place of its value in `values`, if it has one.
    pub fn places(&self) -> impl Iterator<Item = Option<usize>> {
        self.places.iter().map(|place| (*place != NONE).then_some(*place as usize))
    }
}

impl Columns {
    /// Whether no spans are in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.marked.is_empty()
    }

    /// Columns of whole spans.
    pub(crate) fn of_spans(spans: &[&Span], marked: Option<&SpanCheck<'_>>, fields: &Fields) -> Columns {
        let marked = spans.iter().map(|span| marked.is_some_and(|check| check.holds(span))).collect();
        let fields = match fields {
            Fields::Of(fields) => fields.iter().map(|field| column(field, spans, false)).collect(),
            Fields::All => {
                let fields = all_fields(spans).iter().map(|field| column(field, spans, true)).collect();
                return Columns { marked, fields, ..Columns::default() };
            }
        };
        let each = |span: &&Span| span.duration();
        Columns {
            starts: spans.iter().map(|span| span.start).collect(),
            durations: spans.iter().map(each).collect(),
            failed: spans.iter().map(|span| span.status.code == StatusCode::Error).collect(),
            traces: spans.iter().map(|span| span.trace_id).collect(),
            marked,
            fields,
        }
    }
}

/// Keys below this are looked up by their place in a list.
const DENSE: usize = 512;

/// A key that was not met yet.
const UNKNOWN: u32 = NONE - 1;

/// Fills a column.
#[derive(Debug)]
pub(crate) struct ColumnBuilder {
    column: Column,
    /// The places of values by key: of small ones, and of all others.
    small: Vec<u32>,
    large: HashMap<u64, u32>,
}

impl ColumnBuilder {
    /// Of so many spans, which have no value yet.
    pub(crate) fn new(field: Field, count: usize) -> ColumnBuilder {
        let column = Column { field, is_varied: false, values: Vec::new(), places: vec![NONE; count] };
        ColumnBuilder { column, small: vec![UNKNOWN; DENSE], large: HashMap::new() }
    }

    /// Sets the value of a span that has none. `key` stands for the value among those of the same origin; `value` makes
    /// it when it is new.
    pub(crate) fn set<E>(
        &mut self,
        span: usize,
        key: u64,
        value: impl FnOnce() -> Result<Option<Text>, E>,
    ) -> Result<(), E> {
        if self.column.places.get(span).is_none_or(|place| *place != NONE) {
            return Ok(());
        }
        let place = match self.known(key) {
            UNKNOWN => {
                let place = value()?.map_or(NONE, |value| self.add(value));
                match usize::try_from(key).ok().and_then(|key| self.small.get_mut(key)) {
                    Some(known) => *known = place,
                    None => _ = self.large.insert(key, place),
                }
                place
            }
            known => known,
        };
        if let Some(known) = self.column.places.get_mut(span) {
            *known = place;
        }
        Ok(())
    }

    /// Values of another origin follow: keys begin anew.
    pub(crate) fn next_origin(&mut self) {
        self.small.fill(UNKNOWN);
        self.large.clear();
    }

    fn known(&self, key: u64) -> u32 {
        let small = usize::try_from(key).ok().and_then(|key| self.small.get(key)).copied();
        small.or_else(|| self.large.get(&key).copied()).unwrap_or(UNKNOWN)
    }

    fn add(&mut self, value: Text) -> u32 {
        self.column.values.push(value);
        u32::try_from(self.column.values.len() - 1).unwrap_or(NONE)
    }

    /// Whether nothing more is to be told of it, where all fields are asked for.
    pub(crate) fn is_varied(&self) -> bool {
        self.column.values.len() > VARIED
    }

    /// Leaves the values out.
    pub(crate) fn varied(mut self) -> Column {
        self.column.values = Vec::new();
        self.column.places.fill(NONE);
        Column { is_varied: true, ..self.column }
    }

    pub(crate) fn finish(self) -> Column {
        self.column
    }
}

fn column(field: &Field, spans: &[&Span], is_one_of_all: bool) -> Column {
    let mut builder = ColumnBuilder::new(field.clone(), spans.len());
    let mut keys: HashMap<Cow<'_, str>, u64> = HashMap::new();
    for (span, place) in spans.iter().zip(0..) {
        let Some(value) = field.value(span) else { continue };
        let next = keys.len() as u64;
        let text = Text::from(&*value);
        let key = *keys.entry(value).or_insert(next);
        let _: Result<(), std::convert::Infallible> = builder.set(place, key, || Ok(Some(text)));
        if is_one_of_all && builder.is_varied() {
            return builder.varied();
        }
    }
    builder.finish()
}

fn all_fields(spans: &[&Span]) -> Vec<Field> {
    let mut fields = vec![Field::Service, Field::Operation, Field::Kind, Field::StatusMessage];
    let mut seen: HashSet<(AttributeScope, &Text)> = HashSet::new();
    for span in spans {
        let of_span = span.attributes.iter().map(|attribute| (AttributeScope::Span, &attribute.key));
        let of_resource =
            span.resource.attributes.iter().map(|attribute| (AttributeScope::Resource, &attribute.key));
        for (scope, key) in of_span.chain(of_resource) {
            if seen.insert((scope, key)) {
                fields.push(Field::Attribute(Some(scope), key.clone()));
            }
        }
    }
    fields
}

/// Whether a field of this scope is looked for among these attributes.
pub(crate) fn looks_at(wanted: Option<AttributeScope>, scope: AttributeScope) -> bool {
    wanted.is_none_or(|wanted| wanted == scope)
}

/// The value that spans of a resource have of it.
pub(crate) fn of_resource<'a>(
    scope: Option<AttributeScope>,
    resource: &'a Resource,
    key: &str,
) -> Option<Cow<'a, str>> {
    if looks_at(scope, AttributeScope::Resource) { display(&resource.attributes, key) } else { None }
}

pub(crate) fn display<'a>(attributes: &'a [Attribute], key: &str) -> Option<Cow<'a, str>> {
    attributes.iter().find(|attribute| *attribute.key == *key).map(|attribute| attribute.value.display())
}

/// As filters write it.
pub(crate) fn status_name(status: StatusCode) -> &'static str {
    match status {
        StatusCode::Unset => "unset",
        StatusCode::Ok => "ok",
        StatusCode::Error => "error",
    }
}

/// As the kinds' names.
pub(crate) fn kind_name(number: u64) -> &'static str {
    Kind::from_number(number).name()
}

/// Whether whole traces must be looked at.
pub(crate) fn needs_traces(query: &Query) -> bool {
    const ALL: NanoRange = 0..=u64::MAX;
    query.spans.len() > 1 || query.trace_duration != ALL
}
