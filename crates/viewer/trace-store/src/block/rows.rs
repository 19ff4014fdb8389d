//! Rows of a block as spans, nodes or lines: each reads only the columns that it is made of.

use crate::{
    ReadError,
    assemble::Line,
    block::{
        attributes::{Directory, Owner},
        bytes::{Damaged, Reader, as_text, unzigzag, walk},
        numbers::Numbers,
        parts::id,
        reader::{BlockReader, Group, Values, span_id},
        value::{self, Type},
    },
};
use std::{ops::Range, sync::Arc};
use waypost_trace_model::{
    Attribute, Event, Kind, Limits, Link, LogRecord, Node, Span, SpanId, Status, StatusCode, TraceId, otlp,
};

/// Rows of one trace, going up.
pub(crate) fn of_trace(reader: &BlockReader<'_>, trace: TraceId) -> Result<Vec<u32>, ReadError> {
    let Some(number) = reader.traces()?.iter().position(|other| *other == trace) else {
        return Ok(Vec::new());
    };
    let number = number as u64;
    let rows = reader.numbers(id::TRACE_OF_ROW)?;
    Ok((0..).take(rows.len()).filter(|row| rows.get(*row as usize) == number).collect())
}

/// The traces of spans.
pub(crate) fn traces(reader: &BlockReader<'_>, rows: &[u32]) -> Result<Vec<TraceId>, ReadError> {
    let (traces, trace_of_row) = (reader.traces()?, reader.numbers(id::TRACE_OF_ROW)?);
    let trace = |row: &u32| {
        let number = usize::try_from(trace_of_row.get(*row as usize)).ok();
        number.and_then(|number| traces.get(number)).copied().ok_or(Damaged("a row has no trace"))
    };
    reader.check(rows.iter().map(trace).collect())
}

/// The ids of spans.
pub(crate) fn ids(reader: &BlockReader<'_>, rows: &[u32]) -> Result<Vec<SpanId>, ReadError> {
    let ids = reader.numbers(id::SPAN_ID)?;
    reader.check(rows.iter().map(|row| span_id(ids.get(*row as usize))).collect())
}

/// Starts and ends of spans.
pub(crate) struct Times {
    starts: Arc<Numbers>,
    steps: Arc<Numbers>,
}

impl Times {
    pub(crate) fn read(reader: &BlockReader<'_>) -> Result<Times, ReadError> {
        Ok(Times { starts: reader.numbers(id::START)?, steps: reader.numbers(id::DURATION)? })
    }

    pub(crate) fn start(&self, row: u32) -> u64 {
        self.starts.get(row as usize)
    }

    pub(crate) fn end(&self, row: u32) -> u64 {
        walk(self.start(row), self.steps.get(row as usize))
    }

    pub(crate) fn duration(&self, row: u32) -> u64 {
        self.end(row).saturating_sub(self.start(row))
    }
}

/// The groups of rows that go up.
fn groups_of<'g>(groups: &'g [Group], rows: &[u32]) -> Vec<&'g Group> {
    let mut left = groups.iter().peekable();
    let mut found = Vec::with_capacity(rows.len());
    for row in rows {
        while left.next_if(|group| group.end <= *row).is_some() {}
        found.extend(left.peek());
    }
    found
}

/// Rows as lines; rows must go up.
pub(crate) fn lines(reader: &BlockReader<'_>, rows: &[u32]) -> Result<Vec<Line>, ReadError> {
    let groups = reader.groups()?;
    let times = Times::read(reader)?;
    let (kinds, statuses) = (reader.numbers(id::KIND)?, reader.numbers(id::STATUS)?);
    let parents = reader.parents()?;
    let ids = ids(reader, rows)?;
    let line = |((row, span_id), group): ((&u32, SpanId), &Group)| Line {
        span_id,
        parent: parents.get(*row as usize).copied().flatten(),
        service: group.service.clone(),
        name: group.operation.clone(),
        kind: Kind::from_number(kinds.get(*row as usize)),
        status: StatusCode::from_number(statuses.get(*row as usize)),
        start: times.start(*row),
        end: times.end(*row),
    };
    let lines: Vec<Line> = rows.iter().zip(ids).zip(groups_of(&groups, rows)).map(line).collect();
    if lines.len() == rows.len() { Ok(lines) } else { Err(reader.damaged(&Damaged("a row has no group"))) }
}

/// Which events (or links) belong to which of the rows.
fn ranges(counts: &Numbers, rows: &[u32]) -> Vec<Range<usize>> {
    let (mut next_row, mut start) = (0, 0_usize);
    let count = |row: usize| usize::try_from(counts.get(row)).unwrap_or(usize::MAX);
    let range = |row: &u32| {
        for earlier in next_row..*row as usize {
            start = start.saturating_add(count(earlier));
        }
        next_row = *row as usize;
        start..start.saturating_add(count(next_row))
    };
    rows.iter().map(range).collect()
}

/// Rows as nodes; rows must go up and be of this trace.
pub(crate) fn nodes(reader: &BlockReader<'_>, rows: &[u32], trace: TraceId) -> Result<Vec<Node>, ReadError> {
    let lines = lines(reader, rows)?;
    let counts = attribute_counts(reader, rows)?;
    let (events, links) = (reader.numbers(id::EVENTS)?, reader.numbers(id::LINKS)?);
    let dropped = [id::DROPPED_ATTRIBUTES, id::DROPPED_EVENTS, id::DROPPED_LINKS];
    let dropped = dropped.map(|id| reader.numbers(id));
    let [attributes_dropped, events_dropped, links_dropped] = dropped;
    let dropped = [attributes_dropped?, events_dropped?, links_dropped?];
    let (event_dropped, link_dropped) =
        (reader.numbers(id::EVENT_DROPPED)?, reader.numbers(id::LINK_DROPPED)?);
    let (link_traces, link_spans) = (reader.strings(id::LINK_TRACE)?, reader.numbers(id::LINK_SPAN)?);
    let parts = ranges(&events, rows).into_iter().zip(ranges(&links, rows));
    let mut nodes = Vec::with_capacity(rows.len());
    for (((line, row), attributes), (events, links)) in lines.into_iter().zip(rows).zip(counts).zip(parts) {
        let row = *row as usize;
        let mut lost: u64 = dropped.iter().map(|column| column.get(row)).sum();
        let inside = |range: &Range<usize>, column: &Numbers| {
            range.start.min(column.len())..range.end.min(column.len())
        };
        lost += inside(&events, &event_dropped).map(|place| event_dropped.get(place)).sum::<u64>();
        lost += inside(&links, &link_dropped).map(|place| link_dropped.get(place)).sum::<u64>();
        let parent = line.parent.map(super::encode::number_of);
        let follows_from_parent = inside(&links, &link_spans).any(|place| {
            Some(link_spans.get(place)) == parent && link_traces.get(place) == trace.as_bytes()[..]
        });
        nodes.push(Node {
            span_id: line.span_id,
            parent_span_id: line.parent,
            service: line.service,
            name: line.name,
            kind: line.kind,
            status: line.status,
            start: line.start,
            end: line.end,
            attributes,
            events: crate::assemble::count(events.len()),
            links: crate::assemble::count(links.len()),
            follows_from_parent,
            logs: 0,
            dropped: u32::try_from(lost).unwrap_or(u32::MAX),
        });
    }
    Ok(nodes)
}

fn attribute_counts(reader: &BlockReader<'_>, rows: &[u32]) -> Result<Vec<u32>, ReadError> {
    let (directory, shapes) = (reader.directory()?, reader.numbers(id::SHAPE)?);
    let is_whole =
        directory.columns.iter().any(|column| column.owner == Owner::Span && column.kind == Type::Whole);
    if is_whole {
        let lists = lists(reader, Owner::Span, id::SHAPE, rows.iter().map(|row| *row as usize))?;
        return Ok(lists.iter().map(|list| crate::assemble::count(list.len())).collect());
    }
    let count =
        |row: &u32| crate::assemble::count(directory.shape(Owner::Span, shapes.get(*row as usize)).len());
    Ok(rows.iter().map(count).collect())
}

/// The lists of attributes at these places, which must go up.
fn lists(
    reader: &BlockReader<'_>,
    owner: Owner,
    shapes: u32,
    places: impl Iterator<Item = usize>,
) -> Result<Vec<Vec<Attribute>>, ReadError> {
    let (directory, shapes) = (reader.directory()?, reader.numbers(shapes)?);
    let mut columns: Vec<Option<Values>> = vec![None; directory.columns.len()];
    let mut next: Vec<u32> = vec![0; directory.columns.len()];
    let mut next_place = 0;
    let mut lists = Vec::new();
    for place in places {
        for earlier in next_place..place {
            for column in directory.shape(owner, shapes.get(earlier)) {
                next[*column as usize] += 1;
            }
        }
        next_place = place;
        let shape = directory.shape(owner, shapes.get(place));
        lists.push(list(reader, &directory, shape, &mut columns, &next)?);
    }
    Ok(lists)
}

fn list(
    reader: &BlockReader<'_>,
    directory: &Directory,
    shape: &[u32],
    columns: &mut [Option<Values>],
    next: &[u32],
) -> Result<Vec<Attribute>, ReadError> {
    let mut list = Vec::with_capacity(shape.len());
    for place in shape {
        let (Some(column), Some(values), Some(next)) = (
            directory.columns.get(*place as usize),
            columns.get_mut(*place as usize),
            next.get(*place as usize),
        ) else {
            return Err(reader.damaged(&Damaged("a column is not there")));
        };
        let values = match values {
            Some(values) => values,
            None => values.insert(reader.values(*place, column)?),
        };
        if let (Type::Whole, Values::Strings(strings)) = (column.kind, &*values) {
            return reader.check(value::get_attributes(&mut Reader::new(strings.get(*next as usize))));
        }
        let value = reader.check(values.get(column.kind, *next as usize))?;
        list.push(Attribute { key: column.key.clone(), value });
    }
    Ok(list)
}

/// Rows as whole spans; rows must go up.
pub(crate) fn spans(reader: &BlockReader<'_>, rows: &[u32]) -> Result<Vec<Span>, ReadError> {
    let lines = lines(reader, rows)?;
    let traces = reader.traces()?;
    let trace_of_row = reader.numbers(id::TRACE_OF_ROW)?;
    let (messages, states) = (reader.strings(id::STATUS_MESSAGE)?, reader.strings(id::TRACE_STATE)?);
    let origins = reader.origins()?;
    let (resources, scopes) = (reader.numbers(id::RESOURCE)?, reader.numbers(id::SCOPE)?);
    let flags = reader.numbers(id::FLAGS)?;
    let dropped_attributes = reader.numbers(id::DROPPED_ATTRIBUTES)?;
    let (dropped_events, dropped_links) =
        (reader.numbers(id::DROPPED_EVENTS)?, reader.numbers(id::DROPPED_LINKS)?);
    let attributes = lists(reader, Owner::Span, id::SHAPE, rows.iter().map(|row| *row as usize))?;
    let mut events = events(reader, rows, &lines)?.into_iter();
    let mut links = links(reader, rows)?.into_iter();
    let span = |((line, row), attributes): ((Line, &u32), Vec<Attribute>)| {
        let row = *row as usize;
        let trace_id = place(&traces, trace_of_row.get(row))?;
        Ok(Span {
            trace_id: *trace_id,
            span_id: line.span_id,
            parent_span_id: line.parent,
            trace_state: as_text(states.get(row))?,
            flags: narrow(flags.get(row)),
            name: line.name,
            kind: line.kind,
            start: line.start,
            end: line.end,
            status: Status { code: line.status, message: as_text(messages.get(row))? },
            attributes,
            dropped_attributes: narrow(dropped_attributes.get(row)),
            events: events.next().unwrap_or_default(),
            dropped_events: narrow(dropped_events.get(row)),
            links: links.next().unwrap_or_default(),
            dropped_links: narrow(dropped_links.get(row)),
            resource: place(&origins.resources, resources.get(row))?.clone(),
            scope: place(&origins.scopes, scopes.get(row))?.clone(),
        })
    };
    reader.check(lines.into_iter().zip(rows).zip(attributes).map(span).collect())
}

fn place<T>(list: &[T], place: u64) -> Result<&T, Damaged> {
    usize::try_from(place)
        .ok()
        .and_then(|place| list.get(place))
        .ok_or(Damaged("a row names what is not there"))
}

fn narrow(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// The ranges as one list of places.
fn places(ranges: &[Range<usize>], max: usize) -> Vec<usize> {
    ranges.iter().flat_map(|range| range.start.min(max)..range.end.min(max)).collect()
}

fn events(reader: &BlockReader<'_>, rows: &[u32], lines: &[Line]) -> Result<Vec<Vec<Event>>, ReadError> {
    let ranges = ranges(&*reader.numbers(id::EVENTS)?, rows);
    let names = reader.strings(id::EVENT_NAME)?;
    let (times, dropped) = (reader.numbers(id::EVENT_TIME)?, reader.numbers(id::EVENT_DROPPED)?);
    let places = places(&ranges, names.len());
    let mut lists = lists(reader, Owner::Event, id::EVENT_SHAPE, places.iter().copied())?.into_iter();
    let mut of_span = |(range, line): (Range<usize>, &Line)| {
        let event = |place| {
            Ok(Event {
                time: line.start.wrapping_add(unzigzag(times.get(place)).cast_unsigned()),
                name: as_text(names.get(place))?,
                attributes: lists.next().ok_or(Damaged("an event is not there"))?,
                dropped_attributes: narrow(dropped.get(place)),
            })
        };
        range.map(event).collect::<Result<Vec<_>, Damaged>>()
    };
    reader.check(ranges.into_iter().zip(lines).map(&mut of_span).collect())
}

fn links(reader: &BlockReader<'_>, rows: &[u32]) -> Result<Vec<Vec<Link>>, ReadError> {
    let ranges = ranges(&*reader.numbers(id::LINKS)?, rows);
    let (traces, states) = (reader.strings(id::LINK_TRACE)?, reader.strings(id::LINK_STATE)?);
    let (spans, flags) = (reader.numbers(id::LINK_SPAN)?, reader.numbers(id::LINK_FLAGS)?);
    let dropped = reader.numbers(id::LINK_DROPPED)?;
    let places = places(&ranges, traces.len());
    let mut lists = lists(reader, Owner::Link, id::LINK_SHAPE, places.iter().copied())?.into_iter();
    let mut of_span = |range: Range<usize>| {
        let link = |place| {
            Ok(Link {
                trace_id: TraceId::from_bytes(&traces.get(place)).ok_or(Damaged("a link has no trace"))?,
                span_id: span_id(spans.get(place))?,
                trace_state: as_text(states.get(place))?,
                flags: narrow(flags.get(place)),
                attributes: lists.next().ok_or(Damaged("a link is not there"))?,
                dropped_attributes: narrow(dropped.get(place)),
            })
        };
        range.map(link).collect::<Result<Vec<_>, Damaged>>()
    };
    reader.check(ranges.into_iter().map(&mut of_span).collect())
}

/// The numbers of the chunks of log records; of a trace those that may have some of it.
pub(crate) fn log_chunks(reader: &BlockReader<'_>, trace: Option<TraceId>) -> Result<Vec<u32>, ReadError> {
    let Some(index) = reader.raw(id::LOG_INDEX)? else { return Ok(Vec::new()) };
    let may_hold = |bounds: &[u8]| {
        trace.is_none_or(|trace| {
            let wanted = &trace.as_bytes()[..];
            bounds.get(..16).is_some_and(|first| first <= wanted)
                && bounds.get(16..).is_some_and(|last| last >= wanted)
        })
    };
    let chunks = index.chunks_exact(32).zip(0..id::END - id::LOGS);
    Ok(chunks.filter(|(bounds, _)| may_hold(bounds)).map(|(_, number)| number).collect())
}

/// A chunk of log records.
pub(crate) fn log_chunk(reader: &BlockReader<'_>, part: u32) -> Result<Vec<LogRecord>, ReadError> {
    let raw = reader.raw(part)?.ok_or_else(|| reader.damaged(&Damaged("log records are not there")))?;
    // They passed the limits when they came.
    let chunk = otlp::logs_from_protobuf(&raw, &Limits::none());
    let chunk = chunk.map_err(|_| reader.damaged(&Damaged("log records cannot be read")))?;
    Ok(chunk.logs)
}

/// Log records of a trace.
pub(crate) fn logs(reader: &BlockReader<'_>, trace: TraceId) -> Result<Vec<LogRecord>, ReadError> {
    let mut logs = Vec::new();
    for number in log_chunks(reader, Some(trace))? {
        let chunk = log_chunk(reader, id::LOGS + number)?;
        logs.extend(chunk.into_iter().filter(|log| log.trace_id == Some(trace)));
    }
    Ok(logs)
}
