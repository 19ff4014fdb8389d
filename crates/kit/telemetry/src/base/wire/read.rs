//! Reading protobuf messages field by field.

/// One field's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    /// A text, bytes, or a message.
    Bytes(&'a [u8]),
}

impl<'a> Field<'a> {
    /// The bytes of a text or a message; none for a number.
    pub(crate) fn bytes(self) -> &'a [u8] {
        if let Self::Bytes(bytes) = self { bytes } else { &[] }
    }

    /// The text of a field, with what is not UTF-8 replaced.
    pub(crate) fn text(self) -> String {
        String::from_utf8_lossy(self.bytes()).into_owned()
    }

    /// The number of a field of any numeric type; zero for others.
    pub(crate) fn number(self) -> u64 {
        match self {
            Self::Varint(number) | Self::Fixed64(number) => number,
            Self::Fixed32(number) => number.into(),
            Self::Bytes(_) => 0,
        }
    }
}

/// The fields of a message with their numbers. Ends where the bytes break the encoding.
pub(crate) fn fields(message: &[u8]) -> impl Iterator<Item = (u32, Field<'_>)> {
    let mut rest = message;
    std::iter::from_fn(move || next(&mut rest))
}

fn next<'a>(rest: &mut &'a [u8]) -> Option<(u32, Field<'a>)> {
    if rest.is_empty() {
        return None;
    }
    let tag = varint(rest)?;
    let field = match tag & 7 {
        0 => Field::Varint(varint(rest)?),
        1 => Field::Fixed64(u64::from_le_bytes(take(rest, 8)?.try_into().ok()?)),
        2 => {
            let len = usize::try_from(varint(rest)?).ok()?;
            Field::Bytes(take(rest, len)?)
        }
        5 => Field::Fixed32(u32::from_le_bytes(take(rest, 4)?.try_into().ok()?)),
        _ => return None,
    };
    Some((u32::try_from(tag >> 3).ok()?, field))
}

/// Reads one varint off the front.
pub(crate) fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn take<'a>(rest: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (taken, after) = rest.split_at_checked(len)?;
    *rest = after;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_bytes_end_the_message() {
        for broken in [&[0x0a, 5, 1][..], &[0x09, 1], &[0x0b], &[0xff; 12], &[0x08]] {
            assert_eq!(fields(broken).count(), 0, "{broken:?}");
        }
    }
}
