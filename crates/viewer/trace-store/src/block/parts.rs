//! The parts of a block: each column compressed by itself, so that a question reads only what it asks about;
//! the tiny ones together, because a row of its own costs more than they do.

use crate::block::bytes::{Damaged, Reader, put_varint};
use bytes::Bytes;
use foldhash::{HashMap, HashMapExt};
use std::{cell::RefCell, io};
use zstd::{
    bulk::{Compressor, Decompressor},
    zstd_safe::CParameter,
};

/// A column that is no longer than this shares a part with others like it.
const SMALL: usize = 512;

/// No part is longer than this, or something is wrong.
const MAX: usize = 1 << 30;

/// Level 3 is where more time begins to buy little.
const LEVEL: i32 = 3;

/// What a part holds. Fixed numbers: they are the keys of rows in files.
pub(crate) mod id {
    /// Services, operations, and the runs of rows that have the same of both.
    pub(crate) const GROUPS: u32 = 0;
    /// Keys, columns and shapes of the attributes.
    pub(crate) const DIRECTORY: u32 = 1;
    /// Resources and scopes.
    pub(crate) const ORIGINS: u32 = 2;
    /// The small columns.
    pub(crate) const SMALL: u32 = 3;
    /// Ids of the traces.
    pub(crate) const TRACES: u32 = 4;
    /// Which log records are where.
    pub(crate) const LOG_INDEX: u32 = 5;
    pub(crate) const TRACE_OF_ROW: u32 = 16;
    pub(crate) const SPAN_ID: u32 = 17;
    pub(crate) const PARENT: u32 = 18;
    pub(crate) const FAR_PARENT: u32 = 19;
    pub(crate) const START: u32 = 20;
    pub(crate) const DURATION: u32 = 21;
    pub(crate) const KIND: u32 = 22;
    pub(crate) const STATUS: u32 = 23;
    pub(crate) const STATUS_MESSAGE: u32 = 24;
    pub(crate) const TRACE_STATE: u32 = 25;
    pub(crate) const FLAGS: u32 = 26;
    pub(crate) const RESOURCE: u32 = 27;
    pub(crate) const SCOPE: u32 = 28;
    pub(crate) const SHAPE: u32 = 29;
    pub(crate) const DROPPED_ATTRIBUTES: u32 = 30;
    pub(crate) const EVENTS: u32 = 31;
    pub(crate) const DROPPED_EVENTS: u32 = 32;
    pub(crate) const LINKS: u32 = 33;
    pub(crate) const DROPPED_LINKS: u32 = 34;
    pub(crate) const EVENT_TIME: u32 = 35;
    pub(crate) const EVENT_NAME: u32 = 36;
    pub(crate) const EVENT_SHAPE: u32 = 37;
    pub(crate) const EVENT_DROPPED: u32 = 38;
    pub(crate) const LINK_TRACE: u32 = 39;
    pub(crate) const LINK_SPAN: u32 = 40;
    pub(crate) const LINK_STATE: u32 = 41;
    pub(crate) const LINK_FLAGS: u32 = 42;
    pub(crate) const LINK_SHAPE: u32 = 43;
    pub(crate) const LINK_DROPPED: u32 = 44;
    /// The first column of attributes.
    pub(crate) const ATTRIBUTES: u32 = 64;
    /// The first chunk of log records.
    pub(crate) const LOGS: u32 = 1 << 20;
    /// No part has this id or a higher one.
    pub(crate) const END: u32 = 1 << 24;
}

/// Collects the parts of a block.
pub(crate) struct PartsBuilder {
    compressor: Compressor<'static>,
    parts: Vec<(u32, Vec<u8>)>,
    small: Vec<(u32, Vec<u8>)>,
}

impl std::fmt::Debug for PartsBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PartsBuilder").field("parts", &self.parts.len()).finish_non_exhaustive()
    }
}

impl PartsBuilder {
    pub(crate) fn new() -> io::Result<PartsBuilder> {
        let mut compressor = Compressor::new(LEVEL)?;
        // A changed bit on the disk must be an error and not another value.
        compressor.set_parameter(CParameter::ChecksumFlag(true))?;
        Ok(PartsBuilder { compressor, parts: Vec::new(), small: Vec::new() })
    }

    /// A part that is read by itself, however small.
    pub(crate) fn add_alone(&mut self, id: u32, raw: &[u8]) -> io::Result<()> {
        let mut part = Vec::new();
        put_varint(&mut part, raw.len() as u64);
        part.extend_from_slice(&self.compressor.compress(raw)?);
        self.parts.push((id, part));
        Ok(())
    }

    /// A column.
    pub(crate) fn add(&mut self, id: u32, raw: Vec<u8>) -> io::Result<()> {
        if raw.len() > SMALL {
            return self.add_alone(id, &raw);
        }
        self.small.push((id, raw));
        Ok(())
    }

    pub(crate) fn finish(mut self) -> io::Result<Vec<(u32, Vec<u8>)>> {
        let mut raw = Vec::new();
        put_varint(&mut raw, self.small.len() as u64);
        for (id, column) in &self.small {
            put_varint(&mut raw, u64::from(*id));
            put_varint(&mut raw, column.len() as u64);
        }
        for (_, column) in &self.small {
            raw.extend_from_slice(column);
        }
        self.add_alone(id::SMALL, &raw)?;
        Ok(self.parts)
    }
}

thread_local! {
    /// Making one takes longer than using it on a small part.
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

/// The bytes of a part as they were added.
pub(crate) fn unpack(part: Vec<u8>) -> Result<Bytes, Damaged> {
    let mut reader = Reader::new(part.into());
    let length = reader.count()?;
    if length > MAX {
        return Err(Damaged("a part is too long"));
    }
    let packed = reader.take(reader.left())?;
    let raw = DECOMPRESSOR.with_borrow_mut(|slot| {
        let decompressor = match slot {
            Some(decompressor) => decompressor,
            None => slot.insert(Decompressor::new()?),
        };
        decompressor.decompress(&packed, length)
    });
    match raw {
        Ok(raw) if raw.len() == length => Ok(raw.into()),
        _ => Err(Damaged("a part cannot be unpacked")),
    }
}

/// The small columns by id.
#[derive(Debug)]
pub(crate) struct SmallColumns {
    columns: HashMap<u32, Bytes>,
    size: usize,
}

impl SmallColumns {
    pub(crate) fn read(raw: Bytes) -> Result<SmallColumns, Damaged> {
        let size = raw.len();
        let mut reader = Reader::new(raw);
        let count = reader.length()?;
        let places = reader.varints(count.checked_mul(2).ok_or(Damaged("a count is too large"))?)?;
        let mut columns = HashMap::with_capacity(count);
        for place in places.chunks_exact(2) {
            let id = u32::try_from(place[0]).map_err(|_| Damaged("a part has a wrong number"))?;
            let length = usize::try_from(place[1]).map_err(|_| Damaged("a length is beyond the end"))?;
            columns.insert(id, reader.take(length)?);
        }
        Ok(SmallColumns { columns, size })
    }

    pub(crate) fn get(&self, id: u32) -> Option<Bytes> {
        self.columns.get(&id).cloned()
    }

    /// What it takes in memory.
    pub(crate) fn size(&self) -> usize {
        self.size + self.columns.len() * 48
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_columns_share_a_part_and_a_changed_bit_is_noticed() {
        let mut parts = PartsBuilder::new().unwrap();
        parts.add(20, vec![1, 2]).unwrap();
        parts.add(21, Vec::new()).unwrap();
        parts.add(22, vec![7; SMALL + 1]).unwrap();
        let parts = parts.finish().unwrap();
        assert_eq!(parts.iter().map(|part| part.0).collect::<Vec<_>>(), [22, id::SMALL]);
        assert_eq!(unpack(parts[0].1.clone()).unwrap(), vec![7; SMALL + 1]);
        let small = SmallColumns::read(unpack(parts[1].1.clone()).unwrap()).unwrap();
        assert_eq!(small.get(20).unwrap(), [1, 2].as_slice());
        assert_eq!(small.get(21).unwrap(), [].as_slice());
        assert_eq!(small.get(22), None);
        let mut changed = parts[0].1.clone();
        *changed.last_mut().unwrap() ^= 1;
        assert!(unpack(changed).is_err());
    }
}
