//! Columns of numbers.

use crate::block::bytes::{Damaged, Reader, put_varint, step, walk};
use foldhash::{HashMap, HashMapExt};

/// All the same.
const CONSTANT: u8 = 0;
/// Few different ones: a dictionary, and a byte each.
const DICTIONARY: u8 = 1;
/// A varint each.
const VARINT: u8 = 2;
/// The step from the number before as a varint each.
const STEPS: u8 = 3;
/// Eight bytes each.
const FIXED: u8 = 4;

/// What is known of the numbers of a column, for the choice of its form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hint {
    /// Often the same ones, or small.
    Values,
    /// Often near the one before.
    Steps,
    /// All bits matter.
    Random,
}

/// Appends the column.
pub(crate) fn put(out: &mut Vec<u8>, numbers: &[u64], hint: Hint) {
    let count = numbers.len() as u64;
    if let Some((first, rest)) = numbers.split_first()
        && rest.iter().all(|number| number == first)
    {
        out.push(CONSTANT);
        put_varint(out, count);
        put_varint(out, *first);
        return;
    }
    let dictionary = if hint == Hint::Steps { None } else { dictionary(numbers) };
    if let Some((values, ids)) = dictionary {
        out.push(DICTIONARY);
        put_varint(out, count);
        put_varint(out, values.len() as u64);
        for value in &values {
            put_varint(out, *value);
        }
        out.extend_from_slice(&ids);
        return;
    }
    match hint {
        Hint::Values => {
            out.push(VARINT);
            put_varint(out, count);
            for number in numbers {
                put_varint(out, *number);
            }
        }
        Hint::Steps => {
            out.push(STEPS);
            put_varint(out, count);
            let mut before = 0;
            for number in numbers {
                put_varint(out, step(before, *number));
                before = *number;
            }
        }
        Hint::Random => {
            out.push(FIXED);
            put_varint(out, count);
            for number in numbers {
                out.extend_from_slice(&number.to_le_bytes());
            }
        }
    }
}

/// The different numbers and the place of each, when a byte is enough for the place and it pays.
fn dictionary(numbers: &[u64]) -> Option<(Vec<u64>, Vec<u8>)> {
    let max = (numbers.len() / 4).min(256);
    if max == 0 {
        return None;
    }
    let mut places: HashMap<u64, u8> = HashMap::new();
    let mut values = Vec::new();
    let mut ids = Vec::with_capacity(numbers.len());
    let mut last: Option<(u64, u8)> = None;
    for number in numbers {
        let id = match last {
            Some((value, id)) if value == *number => id,
            _ => {
                if let Some(id) = places.get(number) {
                    *id
                } else {
                    let id = u8::try_from(values.len()).ok().filter(|_| values.len() < max)?;
                    places.insert(*number, id);
                    values.push(*number);
                    id
                }
            }
        };
        last = Some((*number, id));
        ids.push(id);
    }
    Some((values, ids))
}

/// A column that was read.
#[derive(Debug)]
pub(crate) enum Numbers {
    Constant { number: u64, count: usize },
    Dictionary { values: Vec<u64>, ids: bytes::Bytes },
    Plain(Vec<u64>),
}

impl Numbers {
    pub(crate) fn read(reader: &mut Reader) -> Result<Numbers, Damaged> {
        let form = reader.byte()?;
        let count = reader.count()?;
        match form {
            CONSTANT => Ok(Numbers::Constant { number: reader.varint()?, count }),
            DICTIONARY => {
                let length = reader.length()?;
                let values = reader.varints(length)?;
                let ids = reader.take(count)?;
                if ids.iter().any(|id| usize::from(*id) >= values.len()) {
                    return Err(Damaged("a number is not in its dictionary"));
                }
                Ok(Numbers::Dictionary { values, ids })
            }
            VARINT => Ok(Numbers::Plain(reader.varints(count)?)),
            STEPS => {
                let mut numbers = reader.varints(count)?;
                let mut before = 0;
                for number in &mut numbers {
                    before = walk(before, *number);
                    *number = before;
                }
                Ok(Numbers::Plain(numbers))
            }
            FIXED => {
                let bytes = reader.take(count.checked_mul(8).ok_or(Damaged("a count is too large"))?)?;
                let eight = |chunk: &[u8]| u64::from_le_bytes(chunk.try_into().unwrap_or_default());
                Ok(Numbers::Plain(bytes.chunks_exact(8).map(eight).collect()))
            }
            _ => Err(Damaged("a column of numbers has an unknown form")),
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Numbers::Constant { count, .. } => *count,
            Numbers::Dictionary { ids, .. } => ids.len(),
            Numbers::Plain(numbers) => numbers.len(),
        }
    }

    /// The number at a place; 0 beyond the end, which the length was checked against.
    pub(crate) fn get(&self, place: usize) -> u64 {
        match self {
            Numbers::Constant { number, .. } => *number,
            Numbers::Dictionary { values, ids } => {
                ids.get(place).and_then(|id| values.get(usize::from(*id))).copied().unwrap_or_default()
            }
            Numbers::Plain(numbers) => numbers.get(place).copied().unwrap_or_default(),
        }
    }

    /// For each place whether its number passes; each different number is asked about once where that is
    /// known.
    pub(crate) fn test(&self, mut passes: impl FnMut(u64) -> bool) -> Vec<bool> {
        match self {
            Numbers::Constant { number, count } => vec![*count > 0 && passes(*number); *count],
            Numbers::Dictionary { values, ids } => {
                let verdicts: Vec<bool> = values.iter().map(|value| passes(*value)).collect();
                ids.iter().map(|id| verdicts.get(usize::from(*id)).copied().unwrap_or_default()).collect()
            }
            Numbers::Plain(numbers) => numbers.iter().map(|number| passes(*number)).collect(),
        }
    }

    /// What it takes in memory.
    pub(crate) fn size(&self) -> usize {
        match self {
            Numbers::Constant { .. } => 32,
            Numbers::Dictionary { values, ids } => values.len() * 8 + ids.len(),
            Numbers::Plain(numbers) => numbers.len() * 8,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there_and_back(numbers: &[u64], hint: Hint, form: u8) {
        let mut out = Vec::new();
        put(&mut out, numbers, hint);
        assert_eq!(out[0], form);
        let mut reader = Reader::new(out.clone().into());
        let read = Numbers::read(&mut reader).unwrap();
        assert!(reader.is_at_end());
        assert_eq!((0..read.len()).map(|place| read.get(place)).collect::<Vec<_>>(), numbers);
        assert_eq!(
            read.test(|number| number > 1),
            numbers.iter().map(|number| *number > 1).collect::<Vec<_>>()
        );
        for end in 0..out.len() {
            let cut = Numbers::read(&mut Reader::new(bytes::Bytes::copy_from_slice(&out[..end])));
            assert!(cut.is_err(), "cut at {end}");
        }
    }

    #[test]
    fn each_form_comes_back() {
        there_and_back(&[7; 9], Hint::Values, CONSTANT);
        there_and_back(&[1, 2, 1, 2, 1, 2, 1, 2], Hint::Values, DICTIONARY);
        there_and_back(&[1, u64::MAX, 300], Hint::Values, VARINT);
        there_and_back(&[], Hint::Values, VARINT);
        there_and_back(&[5, 4, u64::MAX, 0], Hint::Steps, STEPS);
        there_and_back(&[u64::MAX, 0, 3], Hint::Random, FIXED);
    }
}
