//! From spans and log records to the parts of a block.
//!
//! Rows are sorted by service, operation and start, so that what a search asks for lies together, and
//! neighbours resemble each other: traces are numbered by their start and parents by their row, so both go up
//! in small steps from row to row.

use crate::{
    block::{
        Head, Zone,
        attributes::{AttributesBuilder, Owner, hash_attributes},
        bloom::{self, Bloom},
        bytes::{put_bytes, put_varint, step, zigzag},
        numbers::{self, Hint},
        parts::{PartsBuilder, id},
        strings::StringsBuilder,
        value,
    },
    book::owned,
};
use foldhash::{HashMap, HashMapExt, HashSet};
use std::{borrow::Cow, collections::BTreeMap, io, sync::Arc};
use waypost_trace_model::{LogRecord, Resource, Scope, Span, SpanId, Text, TraceId, otlp};

/// Bits for each trace in the filter that is kept in memory.
const TRACE_BITS: usize = 16;

/// Bits for each service and operation.
const NAME_BITS: usize = 16;

/// Bits for each attribute in the filter that is kept in the file.
const ATTRIBUTE_BITS: usize = 10;

/// Log records of one chunk.
const CHUNK: usize = 256;

/// A block, ready to be written.
#[derive(Debug)]
pub(crate) struct Encoded {
    pub(crate) head: Head,
    /// Packed parts by id.
    pub(crate) parts: Vec<(u32, Vec<u8>)>,
    /// Of attributes, and of the traces that links name.
    pub(crate) filter: Bloom,
}

/// Makes a block.
pub(crate) fn encode(spans: &[&Span], logs: &[&LogRecord]) -> io::Result<Encoded> {
    let mut parts = PartsBuilder::new()?;
    let mut hashes = HashSet::default();
    let order = Order::of(spans);
    let rows: Vec<&Span> = order.rows.iter().filter_map(|row| spans.get(*row as usize).copied()).collect();
    let traces = put_traces(&mut parts, &rows)?;
    put_groups(&mut parts, &rows, &order)?;
    put_core(&mut parts, &rows, &traces)?;
    let mut attributes = AttributesBuilder::new();
    put_origins(&mut parts, &rows, &mut hashes)?;
    let shapes: Vec<u64> = rows.iter().map(|span| attributes.push(Owner::Span, &span.attributes)).collect();
    put_numbers(&mut parts, id::SHAPE, Hint::Values, shapes)?;
    put_events(&mut parts, &rows, &mut attributes)?;
    put_links(&mut parts, &rows, &mut attributes)?;
    hashes.extend(rows.iter().flat_map(|span| &span.links).map(|link| bloom::of_trace(link.trace_id)));
    attributes.finish(&mut parts, &mut hashes)?;
    put_logs(&mut parts, logs)?;

    let hashes: Vec<u64> = hashes.into_iter().collect();
    let filter = Bloom::new(&hashes, ATTRIBUTE_BITS);
    let of_logs: HashSet<TraceId> = logs.iter().filter_map(|log| log.trace_id).collect();
    let traces: Vec<u64> = traces.keys().copied().chain(of_logs).map(bloom::of_trace).collect();
    let head = Head {
        spans: rows.len() as u64,
        logs: logs.len() as u64,
        log_times: logs.iter().map(|log| log.when()).min().zip(logs.iter().map(|log| log.when()).max()),
        zone: Zone::of(&rows),
        services: services(&rows, logs),
        names: Bloom::new(&order.name_hashes(), NAME_BITS),
        traces: Bloom::new(&traces, TRACE_BITS),
        filter_lines: filter.as_bytes().len() / bloom::LINE,
    };
    Ok(Encoded { head, parts: parts.finish()?, filter })
}

/// The spans' order, and the pairs of service and operation in it.
struct Order<'a> {
    rows: Vec<u32>,
    pairs: Vec<(&'a str, &'a str)>,
    counts: Vec<usize>,
}

impl<'a> Order<'a> {
    fn of(spans: &[&'a Span]) -> Order<'a> {
        let mut places: HashMap<(&str, &str), u32> = HashMap::new();
        let mut pairs: Vec<(&str, &str)> = Vec::new();
        let mut place_of: Vec<u32> = Vec::with_capacity(spans.len());
        for span in spans {
            let pair = (&**span.service(), &*span.name);
            place_of.push(*places.entry(pair).or_insert_with(|| {
                pairs.push(pair);
                u32::try_from(pairs.len() - 1).unwrap_or(u32::MAX)
            }));
        }
        let mut sorted: Vec<u32> = (0..u32::try_from(pairs.len()).unwrap_or(u32::MAX)).collect();
        sorted.sort_unstable_by_key(|place| pairs.get(*place as usize));
        let mut rank = vec![0_u32; pairs.len()];
        for (order, place) in sorted.iter().enumerate() {
            rank[*place as usize] = u32::try_from(order).unwrap_or(u32::MAX);
        }
        let mut counts = vec![0; pairs.len()];
        let mut keyed: Vec<(u32, u64, u32)> = Vec::with_capacity(spans.len());
        for ((place, span), row) in place_of.iter().zip(spans).zip(0..) {
            let rank = rank[*place as usize];
            counts[rank as usize] += 1;
            keyed.push((rank, span.start, row));
        }
        keyed.sort_unstable();
        let rows = keyed.into_iter().map(|(_, _, row)| row).collect();
        Order { rows, pairs: sorted.iter().map(|place| pairs[*place as usize]).collect(), counts }
    }

    fn name_hashes(&self) -> Vec<u64> {
        let of = |(service, operation): &(&str, &str)| {
            let (service, operation) = (Some(*service), Some(*operation));
            [
                bloom::of_names(service, None),
                bloom::of_names(None, operation),
                bloom::of_names(service, operation),
            ]
        };
        let hashes: HashSet<u64> = self.pairs.iter().flat_map(of).collect();
        hashes.into_iter().collect()
    }
}

/// Numbers the traces by their earliest start.
fn put_traces(parts: &mut PartsBuilder, rows: &[&Span]) -> io::Result<HashMap<TraceId, u32>> {
    let mut starts: HashMap<TraceId, u64> = HashMap::new();
    for span in rows {
        starts.entry(span.trace_id).and_modify(|start| *start = span.start.min(*start)).or_insert(span.start);
    }
    let mut sorted: Vec<(u64, TraceId)> = starts.iter().map(|(trace, start)| (*start, *trace)).collect();
    sorted.sort_unstable();
    let mut raw = Vec::with_capacity(sorted.len() * 16);
    for (_, trace) in &sorted {
        raw.extend_from_slice(trace.as_bytes());
    }
    parts.add_alone(id::TRACES, &raw)?;
    let numbers: HashMap<TraceId, u32> = sorted.into_iter().map(|(_, trace)| trace).zip(0..).collect();
    let of_rows = rows.iter().map(|span| u64::from(numbers.get(&span.trace_id).copied().unwrap_or_default()));
    put_numbers(parts, id::TRACE_OF_ROW, Hint::Steps, of_rows)?;
    Ok(numbers)
}

/// Names, and for each run of rows with the same names its bounds.
fn put_groups(parts: &mut PartsBuilder, rows: &[&Span], order: &Order<'_>) -> io::Result<()> {
    let mut raw = Vec::new();
    put_varint(&mut raw, order.pairs.len() as u64);
    let mut start = 0;
    for ((service, operation), count) in order.pairs.iter().zip(&order.counts) {
        put_bytes(&mut raw, service.as_bytes());
        put_bytes(&mut raw, operation.as_bytes());
        put_varint(&mut raw, *count as u64);
        Zone::of(rows.get(start..start + count).unwrap_or_default()).put(&mut raw);
        start += count;
    }
    parts.add_alone(id::GROUPS, &raw)
}

fn put_numbers(
    parts: &mut PartsBuilder,
    id: u32,
    hint: Hint,
    numbers: impl IntoIterator<Item = u64>,
) -> io::Result<()> {
    let numbers: Vec<u64> = numbers.into_iter().collect();
    let mut raw = Vec::new();
    numbers::put(&mut raw, &numbers, hint);
    parts.add(id, raw)
}

fn put_texts<'a>(parts: &mut PartsBuilder, id: u32, texts: impl Iterator<Item = &'a [u8]>) -> io::Result<()> {
    let mut strings = StringsBuilder::default();
    texts.for_each(|text| strings.push(Cow::Borrowed(text)));
    let mut raw = Vec::new();
    strings.finish(&mut raw);
    parts.add(id, raw)
}

/// The columns that every span has.
fn put_core(parts: &mut PartsBuilder, rows: &[&Span], traces: &HashMap<TraceId, u32>) -> io::Result<()> {
    let mut column = |id: u32, hint: Hint, of: &dyn Fn(&Span) -> u64| {
        put_numbers(parts, id, hint, rows.iter().map(|span| of(span)))
    };
    column(id::SPAN_ID, Hint::Random, &|span| number_of(span.span_id))?;
    column(id::START, Hint::Steps, &|span| span.start)?;
    column(id::DURATION, Hint::Values, &|span| step(span.start, span.end))?;
    column(id::KIND, Hint::Values, &|span| span.kind as u64)?;
    column(id::STATUS, Hint::Values, &|span| span.status.code as u64)?;
    column(id::FLAGS, Hint::Values, &|span| span.flags.into())?;
    column(id::DROPPED_ATTRIBUTES, Hint::Values, &|span| span.dropped_attributes.into())?;
    column(id::EVENTS, Hint::Values, &|span| span.events.len() as u64)?;
    column(id::DROPPED_EVENTS, Hint::Values, &|span| span.dropped_events.into())?;
    column(id::LINKS, Hint::Values, &|span| span.links.len() as u64)?;
    column(id::DROPPED_LINKS, Hint::Values, &|span| span.dropped_links.into())?;
    put_texts(parts, id::STATUS_MESSAGE, rows.iter().map(|span| &span.status.message.as_bytes()[..]))?;
    put_texts(parts, id::TRACE_STATE, rows.iter().map(|span| &span.trace_state.as_bytes()[..]))?;
    put_parents(parts, rows, traces)
}

/// A parent in the same block is named by the step to its row from the row of the parent before; another by
/// its id.
fn put_parents(parts: &mut PartsBuilder, rows: &[&Span], traces: &HashMap<TraceId, u32>) -> io::Result<()> {
    let number = |span: &Span| traces.get(&span.trace_id).copied().unwrap_or_default();
    let row_of: HashMap<(u32, SpanId), u32> =
        rows.iter().zip(0..).map(|(span, row)| ((number(span), span.span_id), row)).collect();
    let (mut near, mut far) = (Vec::with_capacity(rows.len()), Vec::new());
    let mut before = 0_i64;
    for span in rows {
        near.push(match span.parent_span_id {
            None => 0,
            Some(parent) => {
                if let Some(row) = row_of.get(&(number(span), parent)) {
                    let way = i64::from(*row) - before;
                    before = i64::from(*row);
                    zigzag(way) + 2
                } else {
                    far.push(number_of(parent));
                    1
                }
            }
        });
    }
    put_numbers(parts, id::PARENT, Hint::Values, near)?;
    put_numbers(parts, id::FAR_PARENT, Hint::Random, far)
}

pub(crate) fn number_of(id: SpanId) -> u64 {
    u64::from_be_bytes(*id.as_bytes())
}

/// Resources and scopes, each different one once.
fn put_origins(parts: &mut PartsBuilder, rows: &[&Span], hashes: &mut HashSet<u64>) -> io::Result<()> {
    let (mut resources, mut scopes) = (Different::default(), Different::default());
    let of_rows: Vec<u64> = rows.iter().map(|span| resources.number(&span.resource, put_resource)).collect();
    put_numbers(parts, id::RESOURCE, Hint::Values, of_rows)?;
    let of_rows: Vec<u64> = rows.iter().map(|span| scopes.number(&span.scope, put_scope)).collect();
    put_numbers(parts, id::SCOPE, Hint::Values, of_rows)?;
    for resource in resources.by_address.values().map(|(resource, _)| resource) {
        hash_attributes(&resource.attributes, hashes);
    }
    let mut raw = Vec::new();
    for list in [&resources.all, &scopes.all] {
        put_varint(&mut raw, list.len() as u64);
        for bytes in list {
            put_bytes(&mut raw, bytes);
        }
    }
    parts.add_alone(id::ORIGINS, &raw)
}

/// Numbers what differs; what is shared is compared by its address first.
struct Different<T> {
    by_address: HashMap<usize, (Arc<T>, u64)>,
    by_bytes: HashMap<Vec<u8>, u64>,
    all: Vec<Vec<u8>>,
}

impl<T> Default for Different<T> {
    fn default() -> Different<T> {
        Different { by_address: HashMap::new(), by_bytes: HashMap::new(), all: Vec::new() }
    }
}

impl<T> Different<T> {
    fn number(&mut self, value: &Arc<T>, put: impl Fn(&T) -> Vec<u8>) -> u64 {
        let address = Arc::as_ptr(value).addr();
        if let Some((_, number)) = self.by_address.get(&address) {
            return *number;
        }
        let bytes = put(value);
        let number = *self.by_bytes.entry(bytes).or_insert_with_key(|bytes| {
            self.all.push(bytes.clone());
            self.all.len() as u64 - 1
        });
        self.by_address.insert(address, (value.clone(), number));
        number
    }
}

fn put_resource(resource: &Resource) -> Vec<u8> {
    let mut bytes = Vec::new();
    put_bytes(&mut bytes, resource.schema_url.as_bytes());
    put_varint(&mut bytes, resource.dropped_attributes.into());
    value::put_attributes(&mut bytes, &resource.attributes);
    bytes
}

fn put_scope(scope: &Scope) -> Vec<u8> {
    let mut bytes = Vec::new();
    put_bytes(&mut bytes, scope.name.as_bytes());
    put_bytes(&mut bytes, scope.version.as_bytes());
    put_bytes(&mut bytes, scope.schema_url.as_bytes());
    put_varint(&mut bytes, scope.dropped_attributes.into());
    value::put_attributes(&mut bytes, &scope.attributes);
    bytes
}

fn put_events<'a>(
    parts: &mut PartsBuilder,
    rows: &[&'a Span],
    attributes: &mut AttributesBuilder<'a>,
) -> io::Result<()> {
    let events = || rows.iter().flat_map(|span| span.events.iter().map(|event| (span.start, event)));
    put_numbers(parts, id::EVENT_TIME, Hint::Values, events().map(|(start, event)| step(start, event.time)))?;
    put_texts(parts, id::EVENT_NAME, events().map(|(_, event)| &event.name.as_bytes()[..]))?;
    let dropped = events().map(|(_, event)| u64::from(event.dropped_attributes));
    put_numbers(parts, id::EVENT_DROPPED, Hint::Values, dropped)?;
    let shapes = events().map(|(_, event)| attributes.push(Owner::Event, &event.attributes));
    put_numbers(parts, id::EVENT_SHAPE, Hint::Values, shapes)
}

fn put_links<'a>(
    parts: &mut PartsBuilder,
    rows: &[&'a Span],
    attributes: &mut AttributesBuilder<'a>,
) -> io::Result<()> {
    let links = || rows.iter().flat_map(|span| &span.links);
    put_texts(parts, id::LINK_TRACE, links().map(|link| &link.trace_id.as_bytes()[..]))?;
    put_numbers(parts, id::LINK_SPAN, Hint::Random, links().map(|link| number_of(link.span_id)))?;
    put_texts(parts, id::LINK_STATE, links().map(|link| &link.trace_state.as_bytes()[..]))?;
    put_numbers(parts, id::LINK_FLAGS, Hint::Values, links().map(|link| link.flags.into()))?;
    let dropped = links().map(|link| u64::from(link.dropped_attributes));
    put_numbers(parts, id::LINK_DROPPED, Hint::Values, dropped)?;
    let shapes = links().map(|link| attributes.push(Owner::Link, &link.attributes));
    put_numbers(parts, id::LINK_SHAPE, Hint::Values, shapes)
}

/// Log records by trace and time, in chunks; the index names the first and the last trace of each. Records
/// without a trace come first.
fn put_logs(parts: &mut PartsBuilder, logs: &[&LogRecord]) -> io::Result<()> {
    if logs.is_empty() {
        return Ok(());
    }
    let mut sorted = logs.to_vec();
    sorted.sort_by_key(|log| (log.trace_id, log.when()));
    let mut index = Vec::new();
    for (chunk, number) in sorted.chunks(CHUNK).zip(id::LOGS..id::END) {
        let trace =
            |log: Option<&&LogRecord>| log.and_then(|log| log.trace_id).map_or([0; 16], |id| *id.as_bytes());
        index.extend_from_slice(&trace(chunk.first()));
        index.extend_from_slice(&trace(chunk.last()));
        let chunk: Vec<LogRecord> = chunk.iter().copied().cloned().collect();
        parts.add_alone(number, &otlp::logs_to_protobuf(&chunk))?;
    }
    parts.add_alone(id::LOG_INDEX, &index)
}

fn services(rows: &[&Span], logs: &[&LogRecord]) -> Vec<(Text, u64, u64)> {
    let mut counts: BTreeMap<&Text, (u64, u64)> = BTreeMap::new();
    for span in rows {
        counts.entry(span.service()).or_default().0 += 1;
    }
    for log in logs {
        counts.entry(&log.resource.service).or_default().1 += 1;
    }
    counts.into_iter().map(|(service, (spans, logs))| (owned(service), spans, logs)).collect()
}
