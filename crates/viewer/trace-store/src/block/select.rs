//! Finds the rows of a block that meet a filter, column by column: names first, then numbers, then attributes
//! and text, each only for what is left.

use crate::{
    NanoRange, ReadError,
    block::{
        Head, Zone,
        attributes::Owner,
        bloom,
        bytes::Reader,
        numbers::Numbers,
        parts::id,
        reader::{BlockReader, Group, Values},
        rows::Times,
        value::{self, Type},
    },
    evaluate::{AttributeCheck, Check, Needle, SpanCheck},
};
use std::str;
use waypost_trace_model::{Attribute, StatusCode, Value};
use waypost_trace_statistics::AttributeScope;

const ALL: NanoRange = 0..=u64::MAX;

fn overlap(range: &NanoRange, min: u64, max: u64) -> bool {
    *range.start() <= max && *range.end() >= min
}

/// Whether spans within these bounds may meet the filter, and begin within the range.
fn zone_may_match(zone: &Zone, check: &SpanCheck<'_>, range: &NanoRange) -> bool {
    overlap(range, zone.min_start, zone.max_start)
        && overlap(&check.filter.duration, zone.min_duration, zone.max_duration)
        && (check.filter.status != Some(StatusCode::Error) || zone.has_error)
}

/// Whether the block may have a row that meets the filter, as far as memory tells.
pub(crate) fn head_may_match(head: &Head, check: &SpanCheck<'_>, range: &NanoRange) -> bool {
    let (service, operation) = (check.filter.service.as_deref(), check.filter.operation.as_deref());
    head.spans > 0
        && zone_may_match(&head.zone, check, range)
        && (service.is_none() && operation.is_none()
            || head.names.may_hold(bloom::of_names(service, operation)))
}

/// Whether it may, as far as the filter of attributes in the file tells.
pub(crate) fn filter_may_match(reader: &BlockReader<'_>, check: &SpanCheck<'_>) -> Result<bool, ReadError> {
    if let Some(trace) = check.filter.linked_trace
        && !reader.may_hold(bloom::of_trace(trace))?
    {
        return Ok(false);
    }
    for attribute in &check.attributes {
        let key = bloom::of_key(&attribute.filter.key);
        let hash = match attribute.check {
            Check::Equals(text) => bloom::of_attribute(key, text.as_bytes()),
            _ => key,
        };
        if !reader.may_hold(hash)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The rows that meet the filter and begin within the range, going up.
pub(crate) fn select(
    reader: &BlockReader<'_>,
    check: &SpanCheck<'_>,
    range: &NanoRange,
) -> Result<Vec<u32>, ReadError> {
    let filter = check.filter;
    let groups = reader.groups()?;
    let is_named = |group: &&Group| {
        filter.service.as_ref().is_none_or(|service| *service == group.service)
            && filter.operation.as_ref().is_none_or(|operation| *operation == group.operation)
            && zone_may_match(&group.zone, check, range)
    };
    let mut rows: Vec<u32> =
        groups.iter().filter(is_named).flat_map(|group| group.first..group.end).collect();
    if *range != ALL && !rows.is_empty() {
        let starts = reader.numbers(id::START)?;
        rows.retain(|row| range.contains(&starts.get(*row as usize)));
    }
    if filter.duration != ALL && !rows.is_empty() {
        let times = Times::read(reader)?;
        rows.retain(|row| filter.duration.contains(&times.duration(*row)));
    }
    if let Some(kind) = filter.kind {
        retain_number(reader, &mut rows, id::KIND, |number| number == kind as u64)?;
    }
    if let Some(status) = filter.status {
        retain_number(reader, &mut rows, id::STATUS, |number| number == status as u64)?;
    }
    if let Some(is_root) = filter.is_root {
        retain_number(reader, &mut rows, id::PARENT, |number| (number == 0) == is_root)?;
    }
    if let Some(trace) = filter.linked_trace
        && !rows.is_empty()
    {
        let counts = reader.numbers(id::LINKS)?;
        let of_links = reader.strings(id::LINK_TRACE)?.test(|bytes| bytes == trace.as_bytes());
        let mut mask = vec![false; counts.len()];
        add_parts(&mut mask, &of_links, &counts);
        rows.retain(|row| mask.get(*row as usize).copied().unwrap_or_default());
    }
    for attribute in &check.attributes {
        if rows.is_empty() {
            break;
        }
        let mask = mask(reader, &Probe::Attribute(attribute))?;
        rows.retain(|row| mask.get(*row as usize).copied().unwrap_or_default());
    }
    if let Some(text) = &check.text
        && !rows.is_empty()
    {
        let mut mask = mask(reader, &Probe::Text(text))?;
        add_names(reader, text, &groups, &mut mask)?;
        rows.retain(|row| mask.get(*row as usize).copied().unwrap_or_default());
    }
    for excluded in &check.excluded {
        if !rows.is_empty() && filter_may_match(reader, excluded)? {
            let left_out = select(reader, excluded, range)?;
            rows.retain(|row| left_out.binary_search(row).is_err());
        }
    }
    Ok(rows)
}

fn retain_number(
    reader: &BlockReader<'_>,
    rows: &mut Vec<u32>,
    id: u32,
    passes: impl Fn(u64) -> bool,
) -> Result<(), ReadError> {
    if !rows.is_empty() {
        let numbers = reader.numbers(id)?;
        rows.retain(|row| passes(numbers.get(*row as usize)));
    }
    Ok(())
}

/// What attributes are searched for.
enum Probe<'a> {
    Attribute(&'a AttributeCheck<'a>),
    Text(&'a Needle),
}

impl Probe<'_> {
    fn looks_at(&self, scope: AttributeScope) -> bool {
        match self {
            Probe::Attribute(attribute) => attribute.looks_at(scope),
            Probe::Text(_) => true,
        }
    }

    /// What the key alone decides about every value; `None`: the value decides.
    fn by_key(&self, key: &str) -> Option<bool> {
        match self {
            Probe::Attribute(attribute) if *attribute.filter.key != *key => Some(false),
            Probe::Attribute(attribute) => matches!(attribute.check, Check::Exists).then_some(true),
            Probe::Text(needle) => needle.is_in(key).then_some(true),
        }
    }

    fn holds_text(&self, text: &str) -> bool {
        match self {
            Probe::Attribute(attribute) => attribute.check.holds_text(text),
            Probe::Text(needle) => needle.is_in(text),
        }
    }

    fn holds(&self, value: &Value) -> bool {
        match self {
            Probe::Attribute(attribute) => attribute.check.holds(value),
            Probe::Text(needle) => needle.is_in(&value.display()),
        }
    }

    fn holds_in(&self, attributes: &[Attribute]) -> bool {
        match self {
            Probe::Attribute(attribute) => attribute.holds_in(attributes),
            Probe::Text(needle) => needle.is_in_attributes(attributes),
        }
    }
}

/// For each row whether its attributes, or those of its resource, events or links pass.
fn mask(reader: &BlockReader<'_>, probe: &Probe<'_>) -> Result<Vec<bool>, ReadError> {
    let shapes = reader.numbers(id::SHAPE)?;
    let mut mask = vec![false; shapes.len()];
    if probe.looks_at(AttributeScope::Span) {
        add_owned(reader, probe, Owner::Span, &shapes, &mut mask)?;
    }
    if probe.looks_at(AttributeScope::Resource) {
        let origins = reader.origins()?;
        let passes: Vec<bool> =
            origins.resources.iter().map(|resource| probe.holds_in(&resource.attributes)).collect();
        if passes.contains(&true) {
            let passes =
                |number: u64| usize::try_from(number).is_ok_and(|number| passes.get(number) == Some(&true));
            let of_rows = reader.numbers(id::RESOURCE)?.test(passes);
            mask.iter_mut().zip(of_rows).for_each(|(row, passes)| *row |= passes);
        }
    }
    let parts = [
        (AttributeScope::Event, Owner::Event, id::EVENT_SHAPE, id::EVENTS),
        (AttributeScope::Link, Owner::Link, id::LINK_SHAPE, id::LINKS),
    ];
    for (scope, owner, shapes, counts) in parts {
        if !probe.looks_at(scope) {
            continue;
        }
        let shapes = reader.numbers(shapes)?;
        let mut of_parts = vec![false; shapes.len()];
        add_owned(reader, probe, owner, &shapes, &mut of_parts)?;
        add_parts(&mut mask, &of_parts, &*reader.numbers(counts)?);
    }
    Ok(mask)
}

/// Marks the rows whose events or links are marked.
fn add_parts(mask: &mut [bool], of_parts: &[bool], counts: &Numbers) {
    if !of_parts.contains(&true) {
        return;
    }
    let mut start = 0_usize;
    for (row, passes) in mask.iter_mut().enumerate() {
        let end =
            start.saturating_add(usize::try_from(counts.get(row)).unwrap_or(usize::MAX)).min(of_parts.len());
        *passes |= of_parts.get(start..end).unwrap_or_default().contains(&true);
        start = end;
    }
}

/// Marks the records whose own attributes pass.
fn add_owned(
    reader: &BlockReader<'_>,
    probe: &Probe<'_>,
    owner: Owner,
    shapes: &Numbers,
    mask: &mut [bool],
) -> Result<(), ReadError> {
    let directory = reader.directory()?;
    for (column, place) in directory.columns.iter().zip(0..) {
        if column.owner != owner {
            continue;
        }
        let by_key = if column.kind == Type::Whole { None } else { probe.by_key(&column.key) };
        if by_key == Some(false) {
            continue;
        }
        let has_column = directory.shapes_with(place);
        let has_column = |record: usize| {
            usize::try_from(shapes.get(record)).is_ok_and(|shape| has_column.get(shape) == Some(&true))
        };
        if by_key == Some(true) {
            mask.iter_mut().enumerate().for_each(|(record, passes)| *passes |= has_column(record));
            continue;
        }
        let passes = test(probe, column.kind, &reader.values(place, column)?);
        if !passes.contains(&true) {
            continue;
        }
        let mut next = passes.into_iter();
        for (record, marked) in mask.iter_mut().enumerate() {
            if has_column(record) {
                *marked |= next.next().unwrap_or_default();
            }
        }
    }
    Ok(())
}

/// For each value of a column whether it passes.
fn test(probe: &Probe<'_>, kind: Type, values: &Values) -> Vec<bool> {
    match (values, kind) {
        (Values::Numbers(numbers), kind) => {
            numbers.test(|number| probe.holds(&value::from_number(kind, number)))
        }
        (Values::Strings(strings), Type::Text) => {
            strings.test(|bytes| str::from_utf8(bytes).is_ok_and(|text| probe.holds_text(text)))
        }
        (Values::Strings(strings), Type::Whole) => strings.test(|bytes| {
            let mut reader = Reader::new(bytes::Bytes::copy_from_slice(bytes));
            value::get_attributes(&mut reader).is_ok_and(|attributes| probe.holds_in(&attributes))
        }),
        (Values::Strings(strings), kind) => strings.test(|bytes| {
            let value = value::from_bytes(kind, bytes::Bytes::copy_from_slice(bytes));
            value.is_ok_and(|value| probe.holds(&value))
        }),
    }
}

/// Marks the rows that have the text in their name, their status message, or the name of an event.
fn add_names(
    reader: &BlockReader<'_>,
    text: &Needle,
    groups: &[Group],
    mask: &mut [bool],
) -> Result<(), ReadError> {
    for group in groups.iter().filter(|group| text.is_in(&group.operation)) {
        if let Some(rows) = mask.get_mut(group.first as usize..group.end as usize) {
            rows.fill(true);
        }
    }
    let is_in = |bytes: &[u8]| str::from_utf8(bytes).is_ok_and(|name| text.is_in(name));
    let of_rows = reader.strings(id::STATUS_MESSAGE)?.test(is_in);
    mask.iter_mut().zip(of_rows).for_each(|(row, passes)| *row |= passes);
    let of_events = reader.strings(id::EVENT_NAME)?.test(is_in);
    add_parts(mask, &of_events, &*reader.numbers(id::EVENTS)?);
    Ok(())
}
