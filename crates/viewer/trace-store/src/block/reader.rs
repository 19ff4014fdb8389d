//! Reads the parts of a block as columns, through the cache.

use crate::{
    ReadError,
    block::{
        Zone,
        attributes::{Column, Directory},
        bytes::{Damaged, Reader},
        cache::Cache,
        numbers::Numbers,
        parts::{self, SmallColumns, id},
        strings::Strings,
        value::{self, Type},
    },
};
use bytes::Bytes;
use std::{any::Any, sync::Arc};
use waypost_trace_model::{Resource, Scope, SpanId, Text, TraceId, Value};

/// Where the parts of blocks are.
pub(crate) trait Source {
    /// A packed part of this block.
    fn part(&self, id: u32) -> Result<Option<Vec<u8>>, ReadError>;

    /// Whether an attribute with this hash may be in this block.
    fn may_hold(&self, hash: u64) -> Result<bool, ReadError>;

    /// File and block for the cache.
    fn key(&self) -> (u64, u32);

    /// Says which block it is, for errors.
    fn name(&self) -> String;
}

/// An error of a block.
pub(crate) fn damaged(source: &dyn Source, damage: &dyn std::fmt::Display) -> ReadError {
    let (file, block) = source.key();
    ReadError::Damaged { file, block, what: format!("{} is damaged: {damage}", source.name()) }
}

/// Reads one block.
#[derive(Clone, Copy)]
pub(crate) struct BlockReader<'a> {
    source: &'a dyn Source,
    cache: &'a Cache,
}

impl std::fmt::Debug for BlockReader<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("BlockReader").field(&self.source.name()).finish()
    }
}

/// Rows that have the same service and operation; they follow each other.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) service: Text,
    pub(crate) operation: Text,
    /// Its first row.
    pub(crate) first: u32,
    /// The row after its last.
    pub(crate) end: u32,
    pub(crate) zone: Zone,
}

/// Resources and scopes of a block.
#[derive(Debug)]
pub(crate) struct Origins {
    pub(crate) resources: Vec<Arc<Resource>>,
    pub(crate) scopes: Vec<Arc<Scope>>,
}

/// The values of a column of attributes.
#[derive(Clone, Debug)]
pub(crate) enum Values {
    Numbers(Arc<Numbers>),
    Strings(Arc<Strings>),
}

impl Values {
    /// A number that equal values at two places may share; values of one number are equal.
    pub(crate) fn key(&self, place: usize) -> u64 {
        match self {
            Values::Numbers(numbers) => numbers.get(place),
            Values::Strings(strings) => strings.entry_of(place) as u64,
        }
    }

    /// The value at a place.
    pub(crate) fn get(&self, kind: Type, place: usize) -> Result<Value, Damaged> {
        match self {
            Values::Numbers(numbers) => Ok(value::from_number(kind, numbers.get(place))),
            Values::Strings(strings) => value::from_bytes(kind, strings.get(place)),
        }
    }
}

impl<'a> BlockReader<'a> {
    pub(crate) fn new(source: &'a dyn Source, cache: &'a Cache) -> BlockReader<'a> {
        BlockReader { source, cache }
    }

    /// As [`Source::may_hold`].
    pub(crate) fn may_hold(&self, hash: u64) -> Result<bool, ReadError> {
        self.source.may_hold(hash)
    }

    /// An error of this block.
    pub(crate) fn damaged(&self, damage: &Damaged) -> ReadError {
        damaged(self.source, damage)
    }

    /// Adds the name of the block to an error.
    pub(crate) fn check<T>(&self, result: Result<T, Damaged>) -> Result<T, ReadError> {
        result.map_err(|damage| self.damaged(&damage))
    }

    fn cached<T: Any + Send + Sync>(
        &self,
        id: u32,
        size: impl Fn(&T) -> usize,
        read: impl FnOnce(Bytes) -> Result<T, Damaged>,
    ) -> Result<Arc<T>, ReadError> {
        let (file, block) = self.source.key();
        if let Some(part) = self.cache.get((file, block, id)) {
            return Ok(part);
        }
        let raw = self.raw(id)?.ok_or_else(|| self.damaged(&Damaged("a part is missing")))?;
        let part = Arc::new(self.check(read(raw))?);
        self.cache.insert((file, block, id), part.clone(), size(&part));
        Ok(part)
    }

    /// The bytes of a part that stands alone.
    pub(crate) fn raw(&self, id: u32) -> Result<Option<Bytes>, ReadError> {
        self.source.part(id)?.map(|part| self.check(parts::unpack(part))).transpose()
    }

    fn column<T: Any + Send + Sync>(
        &self,
        id: u32,
        size: impl Fn(&T) -> usize,
        read: impl FnOnce(&mut Reader) -> Result<T, Damaged>,
    ) -> Result<Arc<T>, ReadError> {
        let (file, block) = self.source.key();
        if let Some(part) = self.cache.get((file, block, id)) {
            return Ok(part);
        }
        let small = self.cached(id::SMALL, SmallColumns::size, SmallColumns::read)?;
        let Some(raw) = small.get(id) else {
            return self.cached(id, size, |raw| read(&mut Reader::new(raw)));
        };
        let part = Arc::new(self.check(read(&mut Reader::new(raw)))?);
        self.cache.insert((file, block, id), part.clone(), size(&part));
        Ok(part)
    }

    pub(crate) fn numbers(&self, id: u32) -> Result<Arc<Numbers>, ReadError> {
        self.column(id, Numbers::size, Numbers::read)
    }

    pub(crate) fn strings(&self, id: u32) -> Result<Arc<Strings>, ReadError> {
        self.column(id, Strings::size, Strings::read)
    }

    /// The values of a column of the directory.
    pub(crate) fn values(&self, place: u32, column: &Column) -> Result<Values, ReadError> {
        let id = id::ATTRIBUTES + place;
        if column.kind.is_number() {
            self.numbers(id).map(Values::Numbers)
        } else {
            self.strings(id).map(Values::Strings)
        }
    }

    pub(crate) fn directory(&self) -> Result<Arc<Directory>, ReadError> {
        self.cached(id::DIRECTORY, Directory::size, Directory::read)
    }

    /// Names and bounds of the runs of rows.
    pub(crate) fn groups(&self) -> Result<Arc<Vec<Group>>, ReadError> {
        self.cached(id::GROUPS, |groups| groups.len() * size_of::<Group>() + 1024, read_groups)
    }

    pub(crate) fn origins(&self) -> Result<Arc<Origins>, ReadError> {
        let size = |origins: &Origins| 1024 + 2048 * (origins.resources.len() + origins.scopes.len());
        self.cached(id::ORIGINS, size, read_origins)
    }

    pub(crate) fn traces(&self) -> Result<Arc<Vec<TraceId>>, ReadError> {
        self.cached(
            id::TRACES,
            |traces: &Vec<TraceId>| traces.len() * 16,
            |raw| {
                let trace = |bytes: &[u8]| TraceId::from_bytes(bytes).ok_or(Damaged("a trace has no id"));
                raw.chunks(16).map(trace).collect()
            },
        )
    }

    /// The ids of the parents.
    pub(crate) fn parents(&self) -> Result<Vec<Option<SpanId>>, ReadError> {
        let (near, far) = (self.numbers(id::PARENT)?, self.numbers(id::FAR_PARENT)?);
        let ids = self.numbers(id::SPAN_ID)?;
        let (mut before, mut next_far) = (0_u64, 0..far.len());
        let read = |place| {
            let number = match near.get(place) {
                0 => return Ok(None),
                1 => next_far.next().map(|place| far.get(place)),
                near => {
                    before = super::bytes::walk(before, near - 2);
                    usize::try_from(before).ok().filter(|row| *row < ids.len()).map(|row| ids.get(row))
                }
            };
            span_id(number.ok_or(Damaged("a parent is not there"))?).map(Some)
        };
        self.check((0..near.len()).map(read).collect())
    }
}

pub(crate) fn span_id(number: u64) -> Result<SpanId, Damaged> {
    SpanId::from_bytes(&number.to_be_bytes()).ok_or(Damaged("a span has no id"))
}

fn read_groups(raw: Bytes) -> Result<Vec<Group>, Damaged> {
    let mut reader = Reader::new(raw);
    let count = reader.length()?;
    let mut end = 0_u32;
    (0..count)
        .map(|_| {
            let (service, operation) = (reader.text()?, reader.text()?);
            let rows = u32::try_from(reader.varint()?).map_err(|_| Damaged("a group is too long"))?;
            let first = end;
            end = first.checked_add(rows).ok_or(Damaged("a group is too long"))?;
            Ok(Group { service, operation, first, end, zone: Zone::read(&mut reader)? })
        })
        .collect()
}

fn read_origins(raw: Bytes) -> Result<Origins, Damaged> {
    let mut reader = Reader::new(raw);
    let count = reader.length()?;
    let resources =
        (0..count).map(|_| read_resource(reader.bytes()?).map(Arc::new)).collect::<Result<_, _>>()?;
    let count = reader.length()?;
    let scopes = (0..count).map(|_| read_scope(reader.bytes()?).map(Arc::new)).collect::<Result<_, _>>()?;
    Ok(Origins { resources, scopes })
}

fn read_count(reader: &mut Reader) -> Result<u32, Damaged> {
    u32::try_from(reader.varint()?).map_err(|_| Damaged("a count is too large"))
}

fn read_resource(raw: Bytes) -> Result<Resource, Damaged> {
    let mut reader = Reader::new(raw);
    let (schema_url, dropped) = (reader.text()?, read_count(&mut reader)?);
    Ok(Resource::new(value::get_attributes(&mut reader)?, dropped, schema_url))
}

fn read_scope(raw: Bytes) -> Result<Scope, Damaged> {
    let mut reader = Reader::new(raw);
    Ok(Scope {
        name: reader.text()?,
        version: reader.text()?,
        schema_url: reader.text()?,
        dropped_attributes: read_count(&mut reader)?,
        attributes: value::get_attributes(&mut reader)?,
    })
}
