//! Fields of some rows of a block as columns: each different value is made into text once.

use crate::{
    ReadError,
    block::{
        attributes::{Directory, Owner},
        bytes::{Damaged, Reader},
        parts::id,
        reader::{BlockReader, Values},
        rows::{self, Times},
        value::{self, Type},
    },
    survey::{self, Column, ColumnBuilder, Columns, Field, Fields, looks_at},
};
use foldhash::{HashSet, HashSetExt};
use std::sync::{Mutex, MutexGuard, PoisonError};
use waypost_trace_model::{StatusCode, Text};
use waypost_trace_statistics::AttributeScope;

/// What is read of the blocks of one survey.
pub(crate) struct Wanted<'a> {
    fields: &'a Fields,
    /// Fields that were told as varied where all are asked for: they are not read again.
    varied: Mutex<HashSet<Field>>,
}

impl<'a> Wanted<'a> {
    pub(crate) fn new(fields: &'a Fields) -> Wanted<'a> {
        Wanted { fields, varied: Mutex::new(HashSet::new()) }
    }

    fn varied(&self) -> MutexGuard<'_, HashSet<Field>> {
        self.varied.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn columns(&self, reader: &BlockReader<'_>, rows: &[u32]) -> Result<Vec<Column>, ReadError> {
        let Fields::Of(fields) = self.fields else { return self.all(reader, rows) };
        fields.iter().map(|field| column(reader, rows, field, false)).collect()
    }

    fn all(&self, reader: &BlockReader<'_>, rows: &[u32]) -> Result<Vec<Column>, ReadError> {
        let mut fields = all(reader)?;
        {
            let varied = self.varied();
            fields.retain(|field| !varied.contains(field));
        }
        let columns: Vec<Column> =
            fields.iter().map(|field| column(reader, rows, field, true)).collect::<Result<_, _>>()?;
        self.varied()
            .extend(columns.iter().filter(|column| column.is_varied).map(|column| column.field.clone()));
        Ok(columns)
    }
}

/// What is asked of these rows, which go up; those of `marked`, which go up too, are marked.
pub(crate) fn read(
    reader: &BlockReader<'_>,
    rows: &[u32],
    marked: &[u32],
    wanted: &Wanted<'_>,
) -> Result<Columns, ReadError> {
    let (marked, fields) = (is_in(rows, marked), wanted.columns(reader, rows)?);
    if *wanted.fields == Fields::All {
        return Ok(Columns { marked, fields, ..Columns::default() });
    }
    let times = Times::read(reader)?;
    let statuses = reader.numbers(id::STATUS)?;
    let is_failed = |row: &u32| StatusCode::from_number(statuses.get(*row as usize)) == StatusCode::Error;
    Ok(Columns {
        starts: rows.iter().map(|row| times.start(*row)).collect(),
        durations: rows.iter().map(|row| times.duration(*row)).collect(),
        failed: rows.iter().map(is_failed).collect(),
        traces: rows::traces(reader, rows)?,
        marked,
        fields,
    })
}

/// For each of `rows` whether it is in `some`; both go up.
fn is_in(rows: &[u32], some: &[u32]) -> Vec<bool> {
    let mut left = some.iter().peekable();
    let is_in = |row: &u32| {
        while left.next_if(|other| *other < row).is_some() {}
        left.peek().is_some_and(|other| *other == row)
    };
    rows.iter().map(is_in).collect()
}

fn all(reader: &BlockReader<'_>) -> Result<Vec<Field>, ReadError> {
    let mut fields = vec![Field::Service, Field::Operation, Field::Kind, Field::StatusMessage];
    let mut seen: HashSet<Field> = HashSet::new();
    let directory = reader.directory()?;
    let of_spans = directory
        .columns
        .iter()
        .filter(|column| column.owner == Owner::Span && column.kind != Type::Whole)
        .map(|column| Field::Attribute(Some(AttributeScope::Span), column.key.clone()));
    let origins = reader.origins()?;
    let of_resources = origins
        .resources
        .iter()
        .flat_map(|resource| &resource.attributes)
        .map(|attribute| Field::Attribute(Some(AttributeScope::Resource), attribute.key.clone()));
    for field in of_spans.chain(of_resources) {
        if seen.insert(field.clone()) {
            fields.push(field);
        }
    }
    Ok(fields)
}

fn column(reader: &BlockReader<'_>, rows: &[u32], field: &Field, is_all: bool) -> Result<Column, ReadError> {
    let mut builder = ColumnBuilder::new(field.clone(), rows.len());
    match field {
        Field::Service | Field::Operation => names(reader, rows, field, &mut builder)?,
        Field::Kind => {
            let kinds = reader.numbers(id::KIND)?;
            numbered(rows, &mut builder, |row| kinds.get(row), survey::kind_name);
        }
        Field::Status => {
            let statuses = reader.numbers(id::STATUS)?;
            let name = |number| survey::status_name(StatusCode::from_number(number));
            numbered(rows, &mut builder, |row| statuses.get(row), name);
        }
        Field::StatusMessage => {
            let messages = reader.strings(id::STATUS_MESSAGE)?;
            for (row, span) in rows.iter().zip(0..) {
                let row = *row as usize;
                let text = || {
                    let text = super::bytes::as_text(messages.get(row))?;
                    Ok(Some(text).filter(|text| !text.is_empty()))
                };
                reader.check(builder.set(span, messages.entry_of(row) as u64, text))?;
            }
        }
        Field::Attribute(scope, key) => {
            if looks_at(*scope, AttributeScope::Span) {
                of_spans(reader, rows, key, &mut builder, is_all)?;
            }
            if looks_at(*scope, AttributeScope::Resource) && !(is_all && builder.is_varied()) {
                of_resources(reader, rows, key, &mut builder)?;
            }
        }
    }
    Ok(if is_all && builder.is_varied() { builder.varied() } else { builder.finish() })
}

fn names(
    reader: &BlockReader<'_>,
    rows: &[u32],
    field: &Field,
    builder: &mut ColumnBuilder,
) -> Result<(), ReadError> {
    let groups = reader.groups()?;
    let mut left = groups.iter().zip(0_u64..).peekable();
    for (row, span) in rows.iter().zip(0..) {
        while left.next_if(|(group, _)| group.end <= *row).is_some() {}
        let Some((group, number)) = left.peek() else { continue };
        let name = if *field == Field::Service { &group.service } else { &group.operation };
        reader.check(builder.set(span, *number, || Ok(Some(name.clone()))))?;
    }
    Ok(())
}

fn numbered(
    rows: &[u32],
    builder: &mut ColumnBuilder,
    number: impl Fn(usize) -> u64,
    name: impl Fn(u64) -> &'static str,
) {
    for (row, span) in rows.iter().zip(0..) {
        let number = number(*row as usize);
        let value = || Ok(Some(Text::from(name(number))));
        let _: Result<(), std::convert::Infallible> = builder.set(span, number, value);
    }
}

/// The first value of a key in the list of each span: columns of one key differ in type, or are of a key that stands more
/// than once.
fn of_spans(
    reader: &BlockReader<'_>,
    rows: &[u32],
    key: &Text,
    builder: &mut ColumnBuilder,
    is_all: bool,
) -> Result<(), ReadError> {
    let directory = reader.directory()?;
    let shapes = reader.numbers(id::SHAPE)?;
    let has_key =
        |kind: Type, name: &Text| kind == Type::Whole && !is_all || kind != Type::Whole && name == key;
    for (column, place) in directory.columns.iter().zip(0..) {
        if column.owner != Owner::Span || !has_key(column.kind, &column.key) {
            continue;
        }
        let has_first = first_of_key(&directory, place, key);
        if !has_first.contains(&Some(true)) {
            continue;
        }
        let values = reader.values(place, column)?;
        builder.next_origin();
        let mut set = |span: usize, number: usize| {
            let value = || text(&values, column.kind, number, key);
            reader.check(builder.set(span, values.key(number), value))?;
            Ok::<bool, ReadError>(is_all && builder.is_varied())
        };
        if has_first.iter().all(|is_first| *is_first == Some(true)) {
            // Every record has one, so that a value's place is that of its record.
            for (row, span) in rows.iter().zip(0..) {
                if set(span, *row as usize)? {
                    return Ok(());
                }
            }
            continue;
        }
        let mut left = rows.iter().zip(0_usize..).peekable();
        let mut number = 0_usize;
        for record in 0..shapes.len() {
            let Some((row, span)) = left.peek().copied() else { break };
            let shape = usize::try_from(shapes.get(record)).unwrap_or(usize::MAX);
            let is_wanted = *row as usize == record;
            if is_wanted {
                left.next();
            }
            let Some(is_first) = has_first.get(shape).copied().flatten() else { continue };
            if is_wanted && is_first && set(span, number)? {
                return Ok(());
            }
            number += 1;
        }
    }
    Ok(())
}

/// For each shape whether it has this column, and if it does, whether that is the first of its key.
fn first_of_key(directory: &Directory, place: u32, key: &Text) -> Vec<Option<bool>> {
    let is_of_key = |place: &u32| {
        let column = directory.columns.get(*place as usize);
        column.is_some_and(|column| column.key == *key && column.kind != Type::Whole)
    };
    let of_shape = |shape: &[u32]| {
        let first = shape.iter().find(|place| is_of_key(place));
        shape.contains(&place).then_some(first.is_none_or(|first| *first == place))
    };
    directory.shapes_of(Owner::Span).iter().map(|shape| of_shape(shape)).collect()
}

fn text(values: &Values, kind: Type, number: usize, key: &str) -> Result<Option<Text>, Damaged> {
    if kind != Type::Whole {
        return values.get(kind, number).map(|value| Some(Text::from(&*value.display())));
    }
    let Values::Strings(lists) = values else { return Ok(None) };
    let attributes = value::get_attributes(&mut Reader::new(lists.get(number)))?;
    Ok(survey::display(&attributes, key).map(|text| Text::from(&*text)))
}

fn of_resources(
    reader: &BlockReader<'_>,
    rows: &[u32],
    key: &str,
    builder: &mut ColumnBuilder,
) -> Result<(), ReadError> {
    let origins = reader.origins()?;
    let numbers = reader.numbers(id::RESOURCE)?;
    builder.next_origin();
    for (row, span) in rows.iter().zip(0..) {
        let number = numbers.get(*row as usize);
        let value = || {
            let place = usize::try_from(number).ok();
            let resource = place.and_then(|place| origins.resources.get(place));
            let resource = resource.ok_or(Damaged("a row has no resource"))?;
            Ok(survey::display(&resource.attributes, key).map(|text| Text::from(&*text)))
        };
        reader.check(builder.set(span, number, value))?;
    }
    Ok(())
}
