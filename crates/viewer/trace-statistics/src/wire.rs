//! Numbers and texts as bytes: LEB128 varints, and texts after their length.

use crate::RestoreError;
use waypost_trace_model::{SpanId, Text, TraceId};

/// Writes.
#[derive(Debug, Default)]
pub(crate) struct Writer(pub(crate) Vec<u8>);

impl Writer {
    pub(crate) fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number.to_le_bytes()[0] | 0x80);
            number >>= 7;
        }
        self.0.push(number.to_le_bytes()[0]);
    }

    pub(crate) fn count(&mut self, count: usize) {
        self.number(count as u64);
    }

    pub(crate) fn flag(&mut self, flag: bool) {
        self.0.push(u8::from(flag));
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.count(text.len());
        self.0.extend_from_slice(text.as_bytes());
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }
}

/// Reads what a [`Writer`] wrote. Takes no memory on the word of a length.
#[derive(Debug)]
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], RestoreError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or_else(|| error("it ends too early"))?;
        self.0 = rest;
        Ok(taken)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, RestoreError> {
        self.take(1)?.first().copied().ok_or_else(|| error("it ends too early"))
    }

    pub(crate) fn number(&mut self) -> Result<u64, RestoreError> {
        let mut number = 0;
        for shift in (0..70).step_by(7) {
            let byte = self.byte()?;
            let part = u64::from(byte & 0x7f);
            if shift == 63 && part > 1 {
                break;
            }
            number |= part << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(error("a number is too large"))
    }

    /// How many items follow; each takes at least a byte.
    pub(crate) fn count(&mut self) -> Result<usize, RestoreError> {
        let count = usize::try_from(self.number()?).unwrap_or(usize::MAX);
        if count > self.0.len() { Err(error("a length is beyond its end")) } else { Ok(count) }
    }

    pub(crate) fn small<T: TryFrom<u64>>(&mut self) -> Result<T, RestoreError> {
        T::try_from(self.number()?).map_err(|_| error("a number is too large"))
    }

    pub(crate) fn flag(&mut self) -> Result<bool, RestoreError> {
        Ok(self.byte()? != 0)
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, RestoreError> {
        let length = self.count()?;
        std::str::from_utf8(self.take(length)?).map_err(|_| error("a text is not UTF-8"))
    }

    pub(crate) fn owned(&mut self) -> Result<Text, RestoreError> {
        self.text().map(Text::from)
    }

    pub(crate) fn trace_id(&mut self) -> Result<TraceId, RestoreError> {
        TraceId::from_bytes(self.take(16)?).ok_or_else(|| error("an id is all zero"))
    }

    pub(crate) fn span_id(&mut self) -> Result<SpanId, RestoreError> {
        SpanId::from_bytes(self.take(8)?).ok_or_else(|| error("an id is all zero"))
    }
}

pub(crate) fn error(reason: &str) -> RestoreError {
    RestoreError(reason.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_and_texts_come_back(number: u64, text: String) {
            let mut writer = Writer::default();
            writer.number(number);
            writer.text(&text);
            let mut reader = Reader(&writer.0);
            prop_assert_eq!(reader.number().unwrap(), number);
            prop_assert_eq!(reader.text().unwrap(), text);
            prop_assert!(reader.0.is_empty());
        }
    }

    #[test]
    fn a_length_beyond_the_end_is_refused_before_memory_is_taken() {
        assert!(Reader(&[0xff, 0xff, 0xff, 0xff, 0x0f]).count().is_err());
        assert!(Reader(&[0xff; 11]).number().is_err());
    }
}
