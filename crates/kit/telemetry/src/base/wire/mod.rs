//! Protocol Buffers as bytes: what OTLP needs of the encoding, to write without a tree of messages and to read back.
//!
//! Writing appends to a `Vec<u8>`. A length stands before its message, so whoever writes one computes it first
//! ([`varint_len`], [`bytes_len`]) or writes the message aside. Reading never panics: bytes that break the encoding
//! end the iteration. <https://protobuf.dev/programming-guides/encoding/>.

pub(crate) mod attributes;
pub(crate) mod read;

/// Wire type of numbers of variable length.
const VARINT: u32 = 0;
/// Wire type of 64-bit numbers.
const FIXED64: u32 = 1;
/// Wire type of texts, bytes and messages.
const BYTES: u32 = 2;
/// Wire type of 32-bit numbers.
const FIXED32: u32 = 5;

/// Bytes that a number takes as a varint.
#[inline]
pub(crate) fn varint_len(value: u64) -> usize {
    if value < 0x80 {
        return 1;
    }
    // A varint has one byte for each begun group of 7 bits; zero has one.
    let bits = 64 - (value | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

/// Bytes that a field of `len` bytes takes below field number 16: its tag, its length, itself.
#[inline]
pub(crate) fn bytes_len(len: usize) -> usize {
    1 + varint_len(len as u64) + len
}

#[inline]
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        #[expect(clippy::cast_possible_truncation, reason = "the low 7 bits and the mark that more follow")]
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    #[expect(clippy::cast_possible_truncation, reason = "below 0x80")]
    out.push(value as u8);
}

#[inline]
fn put_tag(out: &mut Vec<u8>, field: u32, wire_type: u32) {
    put_varint(out, u64::from(field << 3 | wire_type));
}

/// Tag and length of a field whose `len` bytes follow.
#[inline]
pub(crate) fn put_head(out: &mut Vec<u8>, field: u32, len: usize) {
    // Nearly always both have one byte.
    if let (Ok(tag @ 0..0x80), Ok(len @ 0..0x80)) = (u8::try_from(field << 3 | BYTES), u8::try_from(len)) {
        out.extend_from_slice(&[tag, len]);
    } else {
        put_tag(out, field, BYTES);
        put_varint(out, len as u64);
    }
}

#[inline]
pub(crate) fn put_bytes(out: &mut Vec<u8>, field: u32, bytes: &[u8]) {
    put_head(out, field, bytes.len());
    out.extend_from_slice(bytes);
}

/// A field that is left out when it is empty, as `proto3` does.
#[inline]
pub(crate) fn put_text(out: &mut Vec<u8>, field: u32, text: &str) {
    if !text.is_empty() {
        put_bytes(out, field, text.as_bytes());
    }
}

/// A number that is left out when it is zero.
#[inline]
pub(crate) fn put_number(out: &mut Vec<u8>, field: u32, value: u64) {
    if value != 0 {
        put_tag(out, field, VARINT);
        put_varint(out, value);
    }
}

#[inline]
pub(crate) fn put_fixed64(out: &mut Vec<u8>, field: u32, value: u64) {
    put_tag(out, field, FIXED64);
    out.extend_from_slice(&value.to_le_bytes());
}

#[inline]
pub(crate) fn put_fixed32(out: &mut Vec<u8>, field: u32, value: u32) {
    put_tag(out, field, FIXED32);
    out.extend_from_slice(&value.to_le_bytes());
}

/// A message that is written by `write`, whose length is put before it afterwards.
///
/// For what is small or rare: the bytes behind the length are moved once when the length takes more than one byte.
pub(crate) fn put_message(out: &mut Vec<u8>, field: u32, write: impl FnOnce(&mut Vec<u8>)) {
    put_message_with_room::<1>(out, field, write);
}

/// As [`put_message`], for a message whose length nearly always takes `ROOM` bytes: it is moved when it takes more or fewer.
#[inline]
pub(crate) fn put_message_with_room<const ROOM: usize>(
    out: &mut Vec<u8>,
    field: u32,
    write: impl FnOnce(&mut Vec<u8>),
) {
    put_tag(out, field, BYTES);
    let place = out.len();
    out.extend_from_slice(&[0; ROOM]);
    write(out);
    let len = out.len() - place - ROOM;
    let is_as_long = len >> (7 * ROOM) == 0 && (ROOM == 1 || len >> (7 * (ROOM - 1)) != 0);
    let slots = out.get_mut(place..).and_then(<[u8]>::first_chunk_mut::<ROOM>);
    match slots.filter(|_| is_as_long) {
        Some(slots) => write_len(slots, len),
        None => move_message(out, place, ROOM, len),
    }
}

/// Moves a message of `len` bytes, which stands behind `room` bytes, to behind its length.
#[cold]
fn move_message(out: &mut Vec<u8>, place: usize, room: usize, len: usize) {
    let taken = varint_len(len as u64);
    out.resize(out.len().max(place + taken + len), 0);
    out.copy_within(place + room..place + room + len, place + taken);
    out.truncate(place + taken + len);
    if let Some(slots) = out.get_mut(place..place + taken) {
        write_len(slots, len);
    }
}

/// A length as a varint that takes all of `slots`.
#[inline]
fn write_len(slots: &mut [u8], len: usize) {
    let last = slots.len().saturating_sub(1);
    for (place, slot) in slots.iter_mut().enumerate() {
        let more = if place < last { 0x80 } else { 0 };
        let rest = len as u64 >> (7 * place);
        *slot = (rest & 0x7f) as u8 | more;
    }
}

#[cfg(test)]
mod tests {
    use super::read::{Field, fields};
    use super::*;

    #[test]
    fn a_varint_takes_what_its_length_says() {
        for value in [0, 1, 127, 128, 16_383, 16_384, u64::from(u32::MAX), u64::MAX] {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            assert_eq!(out.len(), varint_len(value), "{value}");
        }
    }

    #[test]
    fn a_message_is_the_same_whatever_room_its_length_had() {
        for len in [0, 1, 127, 128, 16_383, 16_384, 20_000] {
            let text = vec![7; len];
            let (mut plain, mut one, mut two) = (vec![1], vec![1], vec![1]);
            put_bytes(&mut plain, 3, &text);
            put_message(&mut one, 3, |out| out.extend_from_slice(&text));
            put_message_with_room::<2>(&mut two, 3, |out| out.extend_from_slice(&text));
            assert!(plain == one && plain == two, "{len}");
        }
    }

    #[test]
    fn what_was_written_is_read_back() {
        let long = "x".repeat(300);
        let mut out = Vec::new();
        put_message(&mut out, 3, |out| {
            put_text(out, 1, &long);
            put_number(out, 2, 300);
        });
        put_fixed64(&mut out, 4, 7);
        put_fixed32(&mut out, 16, 9);
        let outer: Vec<_> = fields(&out).collect();
        let [(3, Field::Bytes(inner)), (4, Field::Fixed64(7)), (16, Field::Fixed32(9))] = outer[..] else {
            panic!("{outer:?}")
        };
        let inner: Vec<_> = fields(inner).collect();
        assert_eq!(inner, [(1, Field::Bytes(long.as_bytes())), (2, Field::Varint(300))]);
    }
}
