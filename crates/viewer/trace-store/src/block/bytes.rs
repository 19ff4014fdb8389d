//! Numbers and texts as bytes, and a reader that never trusts what it reads.

use bytes::Bytes;

/// Bytes that are not what was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Damaged(pub(crate) &'static str);

pub(crate) fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(low_byte(number) | 0x80);
        number >>= 7;
    }
    out.push(low_byte(number));
}

/// The lowest eight bits.
pub(crate) fn low_byte(number: u64) -> u8 {
    number.to_le_bytes()[0]
}

pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Small numbers of either sign become small numbers.
pub(crate) fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)).cast_unsigned()
}

pub(crate) fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

/// The way from one number to the next, around the end if it must be.
pub(crate) fn step(from: u64, to: u64) -> u64 {
    zigzag(to.wrapping_sub(from).cast_signed())
}

pub(crate) fn walk(from: u64, step: u64) -> u64 {
    from.wrapping_add(unzigzag(step).cast_unsigned())
}

/// Reads from a buffer; slices share it.
#[derive(Debug)]
pub(crate) struct Reader {
    bytes: Bytes,
}

impl Reader {
    pub(crate) fn new(bytes: Bytes) -> Reader {
        Reader { bytes }
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Damaged> {
        let byte = *self.bytes.first().ok_or(Damaged("it ends too early"))?;
        let _ = self.bytes.split_to(1);
        Ok(byte)
    }

    pub(crate) fn varint(&mut self) -> Result<u64, Damaged> {
        let mut number = 0_u64;
        for (place, byte) in self.bytes.iter().enumerate().take(10) {
            // The last bit of 64.
            if place == 9 && *byte > 1 {
                break;
            }
            number |= u64::from(byte & 0x7f) << (7 * place);
            if byte & 0x80 == 0 {
                let _ = self.bytes.split_to(place + 1);
                return Ok(number);
            }
        }
        Err(Damaged("a number is too large"))
    }

    /// Many numbers at once, which is quicker than one by one.
    pub(crate) fn varints(&mut self, count: usize) -> Result<Vec<u64>, Damaged> {
        if count > self.bytes.len() {
            return Err(Damaged("it ends too early"));
        }
        let mut numbers = Vec::with_capacity(count);
        let mut at = 0;
        let bytes: &[u8] = &self.bytes;
        while numbers.len() < count {
            let (mut number, mut shift) = (0_u64, 0);
            loop {
                let byte = *bytes.get(at).ok_or(Damaged("it ends too early"))?;
                at += 1;
                // The last bit of 64.
                if shift == 63 && byte > 1 {
                    return Err(Damaged("a number is too large"));
                }
                number |= u64::from(byte & 0x7f) << shift;
                if byte & 0x80 == 0 {
                    break;
                }
                shift += 7;
            }
            numbers.push(number);
        }
        let _ = self.bytes.split_to(at);
        Ok(numbers)
    }

    /// A length or a count, of things that take at least a byte each.
    pub(crate) fn length(&mut self) -> Result<usize, Damaged> {
        let length = self.count()?;
        if length > self.bytes.len() { Err(Damaged("a length is beyond the end")) } else { Ok(length) }
    }

    /// A count of things that may take no bytes at all.
    pub(crate) fn count(&mut self) -> Result<usize, Damaged> {
        let count = u32::try_from(self.varint()?).map_err(|_| Damaged("a count is too large"))?;
        Ok(count as usize)
    }

    pub(crate) fn take(&mut self, length: usize) -> Result<Bytes, Damaged> {
        if length > self.bytes.len() {
            return Err(Damaged("it ends too early"));
        }
        Ok(self.bytes.split_to(length))
    }

    pub(crate) fn bytes(&mut self) -> Result<Bytes, Damaged> {
        let length = self.length()?;
        self.take(length)
    }

    pub(crate) fn text(&mut self) -> Result<waypost_trace_model::Text, Damaged> {
        as_text(self.bytes()?)
    }

    /// Bytes that are not read yet.
    pub(crate) fn left(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.bytes.is_empty()
    }
}

pub(crate) fn as_text(bytes: Bytes) -> Result<waypost_trace_model::Text, Damaged> {
    waypost_trace_model::Text::try_from(bytes).map_err(|_| Damaged("a text is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_and_broken_ones_do_not() {
        let numbers = [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX];
        let mut out = Vec::new();
        for number in &numbers {
            put_varint(&mut out, *number);
        }
        let mut reader = Reader::new(out.clone().into());
        for number in &numbers {
            assert_eq!(reader.varint().unwrap(), *number);
        }
        assert!(reader.is_at_end());
        assert_eq!(Reader::new(out.into()).varints(numbers.len()).unwrap(), numbers);
        assert!(Reader::new(Bytes::from_static(&[0x80; 11])).varint().is_err());
        assert!(Reader::new(Bytes::from_static(&[0x80; 11])).varints(1).is_err());
        assert!(Reader::new(Bytes::from_static(&[5, 1])).bytes().is_err());
    }

    #[test]
    fn a_number_of_more_than_64_bits_is_refused() {
        let with_last = |last: u8| Bytes::from([[0x80_u8; 9].as_slice(), &[last]].concat());
        assert_eq!(Reader::new(with_last(1)).varint(), Ok(1 << 63));
        assert_eq!(Reader::new(with_last(1)).varints(1), Ok(vec![1 << 63]));
        for last in [2, 0x7f, 0x81] {
            assert!(Reader::new(with_last(last)).varint().is_err(), "{last}");
            assert!(Reader::new(with_last(last)).varints(1).is_err(), "{last}");
        }
    }

    #[test]
    fn steps_go_around_the_end() {
        for (from, to) in [(0, u64::MAX), (u64::MAX, 0), (5, 3), (1 << 63, 0), (7, 7)] {
            assert_eq!(walk(from, step(from, to)), to);
        }
        for number in [0, -1, 1, i64::MIN, i64::MAX] {
            assert_eq!(unzigzag(zigzag(number)), number);
        }
    }
}
