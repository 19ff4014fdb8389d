//! A block: some thousand spans as columns.
//!
//! [`encode`] makes one, [`rows`] reads whole spans back, [`select`] finds the rows that meet a filter and
//! reads only the columns that the filter asks about. The [`Head`] of every block is kept in memory: it tells
//! for most questions that the block need not be read at all.
//!
//! Invariant: a block gives back exactly the spans it was made of, in another order. Left out: files and SQL.

pub(crate) mod attributes;
pub(crate) mod bloom;
pub(crate) mod bytes;
pub(crate) mod cache;
pub(crate) mod encode;
pub(crate) mod fields;
pub(crate) mod numbers;
pub(crate) mod parts;
pub(crate) mod reader;
pub(crate) mod rows;
pub(crate) mod select;
pub(crate) mod strings;
pub(crate) mod value;

use self::bytes::{Damaged, Reader, put_bytes, put_varint};
use bloom::Bloom;
use waypost_trace_model::{Span, StatusCode, Text};
use xxhash_rust::xxh3::xxh3_64;

/// What is known of a block without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) spans: u64,
    pub(crate) logs: u64,
    /// When the first and the last of them were written; `None` without any, and in blocks of earlier versions.
    pub(crate) log_times: Option<(u64, u64)>,
    pub(crate) zone: Zone,
    /// Spans and log records of each service.
    pub(crate) services: Vec<(Text, u64, u64)>,
    /// Of services, operations, and both together.
    pub(crate) names: Bloom,
    /// Of traces, of log records too.
    pub(crate) traces: Bloom,
    /// Lines of the filter of attributes, which is in the file.
    pub(crate) filter_lines: usize,
}

/// Bounds of some spans. Of no spans: bounds that nothing is within.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Zone {
    pub(crate) min_start: u64,
    pub(crate) max_start: u64,
    pub(crate) min_duration: u64,
    pub(crate) max_duration: u64,
    pub(crate) has_error: bool,
}

impl Zone {
    pub(crate) const EMPTY: Zone =
        Zone { min_start: u64::MAX, max_start: 0, min_duration: u64::MAX, max_duration: 0, has_error: false };

    pub(crate) fn of(spans: &[&Span]) -> Zone {
        spans.iter().fold(Zone::EMPTY, |zone, span| Zone {
            min_start: zone.min_start.min(span.start),
            max_start: zone.max_start.max(span.start),
            min_duration: zone.min_duration.min(span.duration()),
            max_duration: zone.max_duration.max(span.duration()),
            has_error: zone.has_error || span.status.code == StatusCode::Error,
        })
    }

    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        for number in
            [self.min_start, self.max_start, self.min_duration, self.max_duration, self.has_error.into()]
        {
            put_varint(out, number);
        }
    }

    pub(crate) fn read(reader: &mut Reader) -> Result<Zone, Damaged> {
        Ok(Zone {
            min_start: reader.varint()?,
            max_start: reader.varint()?,
            min_duration: reader.varint()?,
            max_duration: reader.varint()?,
            has_error: reader.varint()? != 0,
        })
    }
}

impl Head {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_varint(&mut out, self.spans);
        put_varint(&mut out, self.logs);
        put_varint(&mut out, self.filter_lines as u64);
        self.zone.put(&mut out);
        put_varint(&mut out, self.services.len() as u64);
        for (service, spans, logs) in &self.services {
            put_bytes(&mut out, service.as_bytes());
            put_varint(&mut out, *spans);
            put_varint(&mut out, *logs);
        }
        put_bytes(&mut out, self.names.as_bytes());
        put_bytes(&mut out, self.traces.as_bytes());
        if let Some((earliest, latest)) = self.log_times {
            put_varint(&mut out, earliest);
            put_varint(&mut out, latest);
        }
        let digest = xxh3_64(&out);
        out.extend_from_slice(&digest.to_le_bytes());
        out
    }

    pub(crate) fn from_bytes(bytes: Vec<u8>) -> Result<Head, Damaged> {
        let mut bytes = ::bytes::Bytes::from(bytes);
        let length = bytes.len().checked_sub(8).ok_or(Damaged("a block's head is too short"))?;
        let digest = bytes.split_off(length);
        if xxh3_64(&bytes).to_le_bytes() != *digest {
            return Err(Damaged("a block's head was changed"));
        }
        let mut reader = Reader::new(bytes);
        let (spans, logs, filter_lines) = (reader.varint()?, reader.varint()?, reader.count()?);
        let zone = Zone::read(&mut reader)?;
        let count = reader.length()?;
        let service = |_| Ok((crate::book::owned(&reader.text()?), reader.varint()?, reader.varint()?));
        let services = (0..count).map(service).collect::<Result<_, Damaged>>()?;
        let mut filter = || {
            let lines = reader.bytes()?;
            Bloom::from_bytes(::bytes::Bytes::copy_from_slice(&lines)).ok_or(Damaged("a filter has no lines"))
        };
        let (names, traces) = (filter()?, filter()?);
        // Earlier versions end here.
        let log_times = if reader.left() > 0 { Some((reader.varint()?, reader.varint()?)) } else { None };
        Ok(Head { spans, logs, log_times, zone, services, names, traces, filter_lines })
    }
}
