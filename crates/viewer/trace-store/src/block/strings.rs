//! Columns of texts and bytes: each different one once, and for each row which.

use crate::block::bytes::{Damaged, Reader, low_byte, put_varint, step, walk};
use bytes::Bytes;
use foldhash::{HashMap, HashMapExt};
use std::borrow::Cow;

/// All the same.
const CONSTANT: u8 = 0;
/// A byte for each row.
const ONE_BYTE: u8 = 1;
/// Two bytes for each row: first all lower ones, then all upper ones, which packs better.
const TWO_BYTES: u8 = 2;
/// The step from the entry of the row before, as a varint: for values that come again in the order in which
/// they came.
const STEPS: u8 = 3;
/// Each row has an entry of its own.
const DIRECT: u8 = 4;

/// After so many entries, a column of which more than half are different is no longer searched for repeats.
const GIVES_UP_AFTER: usize = 1024;

/// A column that is being filled.
#[derive(Debug, Default)]
pub(crate) struct StringsBuilder<'a> {
    places: HashMap<Cow<'a, [u8]>, u32>,
    entries: Vec<u8>,
    ends: Vec<u32>,
    rows: Vec<u32>,
    last: Option<u32>,
    gave_up: bool,
}

impl<'a> StringsBuilder<'a> {
    pub(crate) fn push(&mut self, value: Cow<'a, [u8]>) {
        if let Some(last) = self.last
            && self.entry(last) == &*value
        {
            self.rows.push(last);
            return;
        }
        let known = if self.gave_up { None } else { self.places.get(&value).copied() };
        let place = known.unwrap_or_else(|| {
            let place = u32::try_from(self.ends.len()).unwrap_or(u32::MAX);
            self.entries.extend_from_slice(&value);
            self.ends.push(u32::try_from(self.entries.len()).unwrap_or(u32::MAX));
            if !self.gave_up {
                self.places.insert(value, place);
                if self.ends.len() > GIVES_UP_AFTER && self.ends.len() * 2 > self.rows.len() {
                    self.gave_up = true;
                    self.places = HashMap::new();
                }
            }
            place
        });
        self.rows.push(place);
        self.last = Some(place);
    }

    fn entry(&self, place: u32) -> &[u8] {
        slice(&self.entries, &self.ends, place as usize)
    }

    /// Each different value; one may be there more than once.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.ends.len()).map(|place| slice(&self.entries, &self.ends, place))
    }

    /// Appends the column.
    pub(crate) fn finish(&self, out: &mut Vec<u8>) {
        let form = self.form();
        out.push(form);
        put_varint(out, self.rows.len() as u64);
        put_varint(out, self.ends.len() as u64);
        self.put_lengths(out);
        out.extend_from_slice(&self.entries);
        match form {
            ONE_BYTE => out.extend(self.rows.iter().map(|row| low_byte(u64::from(*row)))),
            TWO_BYTES => {
                out.extend(self.rows.iter().map(|row| low_byte(u64::from(*row))));
                out.extend(self.rows.iter().map(|row| low_byte(u64::from(*row >> 8))));
            }
            STEPS => {
                let mut before = 0;
                for row in &self.rows {
                    put_varint(out, step(before, u64::from(*row)));
                    before = u64::from(*row);
                }
            }
            _ => {}
        }
    }

    fn form(&self) -> u8 {
        match self.ends.len() {
            1 => CONSTANT,
            count if count == self.rows.len() => DIRECT,
            0..=256 => ONE_BYTE,
            count => {
                let near = self.rows.windows(2).filter(|pair| pair[0].abs_diff(pair[1]) < 64).count();
                let is_ordered = near * 2 > self.rows.len();
                if is_ordered || count > 1 << 16 { STEPS } else { TWO_BYTES }
            }
        }
    }

    /// One length when all entries have the same, else 0 and all lengths; a common length of 0 needs no
    /// entries.
    fn put_lengths(&self, out: &mut Vec<u8>) {
        let lengths = || self.entries().map(<[u8]>::len);
        let first = lengths().next().unwrap_or_default();
        if first > 0 && lengths().all(|length| length == first) {
            put_varint(out, first as u64);
        } else {
            put_varint(out, 0);
            lengths().for_each(|length| put_varint(out, length as u64));
        }
    }
}

fn slice<'b>(entries: &'b [u8], ends: &[u32], place: usize) -> &'b [u8] {
    let end_of = |place: usize| ends.get(place).copied().unwrap_or_default() as usize;
    let start = place.checked_sub(1).map_or(0, end_of);
    entries.get(start..end_of(place)).unwrap_or_default()
}

/// A column that was read.
#[derive(Debug)]
pub(crate) struct Strings {
    entries: Bytes,
    ends: Vec<u32>,
    rows: Rows,
    count: usize,
}

#[derive(Debug)]
enum Rows {
    Constant,
    Bytes(Bytes),
    Words(Vec<u32>),
    Direct,
}

impl Strings {
    pub(crate) fn read(reader: &mut Reader) -> Result<Strings, Damaged> {
        let form = reader.byte()?;
        let count = reader.count()?;
        let entry_count = reader.count()?;
        let ends = read_ends(reader, entry_count)?;
        let entries = reader.take(ends.last().copied().unwrap_or_default() as usize)?;
        let rows = match form {
            CONSTANT => Rows::Constant,
            DIRECT => Rows::Direct,
            ONE_BYTE => Rows::Bytes(reader.take(count)?),
            TWO_BYTES => {
                let (lower, upper) = (reader.take(count)?, reader.take(count)?);
                Rows::Words(
                    lower
                        .iter()
                        .zip(&upper)
                        .map(|(low, high)| u32::from(*low) | u32::from(*high) << 8)
                        .collect(),
                )
            }
            STEPS => {
                let mut before = 0;
                let steps = reader.varints(count)?;
                let place = |step| {
                    before = walk(before, step);
                    u32::try_from(before).map_err(|_| Damaged("a row has no entry"))
                };
                Rows::Words(steps.into_iter().map(place).collect::<Result<_, _>>()?)
            }
            _ => return Err(Damaged("a column of texts has an unknown form")),
        };
        let strings = Strings { entries, ends, rows, count };
        let highest = (0..count).map(|row| strings.entry_of(row)).max();
        if highest.is_some_and(|highest| highest >= strings.ends.len()) {
            return Err(Damaged("a row has no entry"));
        }
        Ok(strings)
    }

    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// The entry of a row.
    pub(crate) fn entry_of(&self, row: usize) -> usize {
        match &self.rows {
            Rows::Constant => 0,
            Rows::Direct => row,
            Rows::Bytes(rows) => rows.get(row).copied().unwrap_or_default().into(),
            Rows::Words(rows) => rows.get(row).copied().unwrap_or_default() as usize,
        }
    }

    /// The bytes of a row.
    pub(crate) fn get(&self, row: usize) -> Bytes {
        let entry = slice(&self.entries, &self.ends, self.entry_of(row));
        if entry.is_empty() { Bytes::new() } else { self.entries.slice_ref(entry) }
    }

    /// For each row whether its value passes; each entry is asked about once.
    pub(crate) fn test(&self, mut passes: impl FnMut(&[u8]) -> bool) -> Vec<bool> {
        let verdicts: Vec<bool> =
            (0..self.ends.len()).map(|entry| passes(slice(&self.entries, &self.ends, entry))).collect();
        if !verdicts.contains(&true) {
            return vec![false; self.count];
        }
        (0..self.count).map(|row| verdicts.get(self.entry_of(row)).copied().unwrap_or_default()).collect()
    }

    /// What it takes in memory.
    pub(crate) fn size(&self) -> usize {
        let rows = match &self.rows {
            Rows::Constant | Rows::Direct => 0,
            Rows::Bytes(rows) => rows.len(),
            Rows::Words(rows) => rows.len() * 4,
        };
        self.entries.len() + self.ends.len() * 4 + rows
    }
}

fn read_ends(reader: &mut Reader, count: usize) -> Result<Vec<u32>, Damaged> {
    let mut end = 0_u64;
    let mut add = |length: u64| {
        end = end.saturating_add(length);
        u32::try_from(end).map_err(|_| Damaged("the texts are too long"))
    };
    match reader.varint()? {
        0 => reader.varints(count)?.into_iter().map(add).collect(),
        length => {
            let total = length.checked_mul(count as u64).and_then(|total| usize::try_from(total).ok());
            if total.is_none_or(|total| total > reader.left()) {
                return Err(Damaged("the texts are too long"));
            }
            (0..count).map(|_| add(length)).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there_and_back(values: &[String], form: u8) {
        let mut builder = StringsBuilder::default();
        for value in values {
            builder.push(Cow::Borrowed(value.as_bytes()));
        }
        let mut out = Vec::new();
        builder.finish(&mut out);
        assert_eq!(out[0], form);
        let mut reader = Reader::new(out.clone().into());
        let read = Strings::read(&mut reader).unwrap();
        assert!(reader.is_at_end());
        let all: Vec<Bytes> = (0..read.len()).map(|row| read.get(row)).collect();
        assert_eq!(all, values.iter().map(|value| Bytes::from(value.clone())).collect::<Vec<_>>());
        let has_one = |value: &[u8]| value.contains(&b'1');
        assert_eq!(
            read.test(has_one),
            values.iter().map(|value| has_one(value.as_bytes())).collect::<Vec<_>>()
        );
        for end in 0..out.len().min(300) {
            assert!(
                Strings::read(&mut Reader::new(Bytes::copy_from_slice(&out[..end]))).is_err(),
                "cut at {end}"
            );
        }
    }

    fn texts(numbers: impl IntoIterator<Item = usize>) -> Vec<String> {
        numbers.into_iter().map(|number| format!("v{number}")).collect()
    }

    #[test]
    fn each_form_comes_back() {
        there_and_back(&texts([5; 4]), CONSTANT);
        there_and_back(&vec![String::new(); 4], CONSTANT);
        there_and_back(&texts((0..600).map(|n| n % 3)), ONE_BYTE);
        let random = std::iter::successors(Some(1_u64), |n| {
            Some(n.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1))
        });
        let random = random.map(|n| usize::try_from(n >> 33).unwrap() % 500);
        there_and_back(&texts(random.take(3000)), TWO_BYTES);
        there_and_back(&texts((0..3000).map(|n| n % 500)), STEPS);
        there_and_back(&texts(0..5000), DIRECT);
        there_and_back(&[], DIRECT);
        there_and_back(&[String::new(), "a".into(), String::new()], ONE_BYTE);
    }

    #[test]
    fn a_column_that_gave_up_on_repeats_still_comes_back() {
        let values = texts((0..2000).chain(0..4000).chain([7, 7, 8]));
        there_and_back(&values, STEPS);
    }
}
