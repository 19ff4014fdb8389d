//! Fields into bytes.

use bytes::Bytes;

/// Writes the fields of a message. As in proto3, a field with its default value is left out, except by the `present_`
/// functions, which serve `oneof`s.
#[derive(Debug, Default)]
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    /// With room for so many bytes.
    pub(crate) fn with_capacity(bytes: usize) -> Writer {
        Writer(Vec::with_capacity(bytes))
    }

    pub(crate) fn varint(&mut self, field: u32, number: u64) {
        if number != 0 {
            self.present_varint(field, number);
        }
    }

    pub(crate) fn present_varint(&mut self, field: u32, number: u64) {
        self.tag(field, 0);
        self.raw_varint(number);
    }

    pub(crate) fn fixed64(&mut self, field: u32, number: u64) {
        if number != 0 {
            self.present_fixed64(field, number);
        }
    }

    pub(crate) fn present_fixed64(&mut self, field: u32, number: u64) {
        self.tag(field, 1);
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    pub(crate) fn fixed32(&mut self, field: u32, number: u32) {
        if number != 0 {
            self.tag(field, 5);
            self.0.extend_from_slice(&number.to_le_bytes());
        }
    }

    pub(crate) fn bytes(&mut self, field: u32, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.present_bytes(field, bytes);
        }
    }

    pub(crate) fn present_bytes(&mut self, field: u32, bytes: &[u8]) {
        self.tag(field, 2);
        self.raw_varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    /// A nested message, even when it is empty.
    pub(crate) fn message(&mut self, field: u32, write: impl FnOnce(&mut Writer)) {
        self.tag(field, 2);
        // Most messages are shorter than 128 bytes, so one byte is left for the length; a longer message is moved once.
        let length_at = self.0.len();
        self.0.push(0);
        write(self);
        let length = self.0.len() - length_at - 1;
        if let (Ok(short @ ..0x80), Some(place)) = (u8::try_from(length), self.0.get_mut(length_at)) {
            *place = short;
        } else {
            let mut digits = Writer::with_capacity(10);
            digits.raw_varint(length as u64);
            self.0.splice(length_at..=length_at, digits.0);
        }
    }

    pub(crate) fn finish(self) -> Bytes {
        Bytes::from(self.0)
    }

    pub(crate) fn into_vec(self) -> Vec<u8> {
        self.0
    }

    fn tag(&mut self, field: u32, wire_type: u32) {
        self.raw_varint(u64::from(field << 3 | wire_type));
    }

    #[expect(clippy::cast_possible_truncation, reason = "seven bits at a time is the format")]
    fn raw_varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_left_out_unless_they_must_be_present() {
        let mut writer = Writer::default();
        writer.varint(1, 0);
        writer.fixed64(2, 0);
        writer.fixed32(3, 0);
        writer.bytes(4, b"");
        writer.present_varint(5, 0);
        writer.present_bytes(6, b"");
        writer.message(7, |_| {});
        writer.varint(16, 300);
        writer.fixed32(3, 1);
        assert_eq!(&*writer.finish(), b"\x28\x00\x32\x00\x3a\x00\x80\x01\xac\x02\x1d\x01\0\0\0");
    }

    #[test]
    fn lengths_take_as_many_bytes_as_they_need() {
        for (length, expected) in
            [(127, &b"\x0a\x7f"[..]), (128, b"\x0a\x80\x01"), (16_384, b"\x0a\x80\x80\x01")]
        {
            let mut writer = Writer::default();
            writer.message(1, |writer| writer.0.resize(writer.0.len() + length, b'x'));
            let bytes = writer.finish();
            let (head, content) = bytes.split_at(expected.len());
            assert_eq!(head, expected);
            assert_eq!(content, vec![b'x'; length]);
        }
    }
}
