//! `traceparent`: the ids and flags of a span in one header.

use opentelemetry::trace::{SpanId, TraceFlags, TraceId};

/// Sampled and random: the flags that W3C Trace Context level 2 defines.
const KNOWN_FLAGS: u8 = 0b11;

/// Bytes of a header without what a newer version may append.
const LEN: usize = 55;

/// ASCII.
pub(super) fn format(trace_id: TraceId, span_id: SpanId, flags: TraceFlags) -> [u8; LEN] {
    fn put(text: &mut [u8], bytes: &[u8]) {
        for (text, bytes) in text.as_chunks_mut().0.iter_mut().zip(bytes.as_chunks().0) {
            *text = digits_of(u32::from_be_bytes(*bytes));
        }
    }
    let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
    put(&mut text[3..35], &trace_id.to_bytes());
    put(&mut text[36..52], &span_id.to_bytes());
    // At most three.
    text[54] += flags.to_u8() & KNOWN_FLAGS;
    text
}

/// <https://www.w3.org/TR/trace-context-2/#traceparent-header>: a newer version may append fields.
pub(crate) fn parse(header: &str) -> Option<(TraceId, SpanId, TraceFlags)> {
    let header = header.trim_matches([' ', '\t']).as_bytes();
    let (fields, appended) = header.split_first_chunk::<LEN>()?;
    if [fields[2], fields[35], fields[52]] != [b'-'; 3] {
        return None;
    }
    let version = hex(&fields[..2])?;
    let may_append = version != 0 && appended.first() == Some(&b'-');
    if version == u64::from(u8::MAX) || !(appended.is_empty() || may_append) {
        return None;
    }
    let trace_id = u128::from(id(&fields[3..19])?) << 64 | u128::from(id(&fields[19..35])?);
    let (trace_id, span_id) = (TraceId::from(trace_id), SpanId::from(id(&fields[36..52])?));
    let flags = TraceFlags::new(u8::try_from(hex(&fields[53..])?).ok()? & KNOWN_FLAGS);
    (trace_id != TraceId::INVALID && span_id != SpanId::INVALID).then_some((trace_id, span_id, flags))
}

/// A one in each of eight bytes.
const ONES: u64 = 0x0101_0101_0101_0101;
/// A digit in each of eight bytes.
const NIBBLES: u64 = 0x0f * ONES;

/// ASCII of digits, each in a byte of its own: all at once, as the bytes of one number.
#[inline]
fn ascii(nibbles: u64) -> u64 {
    let letters = (nibbles + 6 * ONES) >> 4 & ONES;
    nibbles + u64::from(b'0') * ONES + letters * u64::from(b'a' - b'9' - 1)
}

/// The eight digits of a number.
#[inline]
fn digits_of(number: u32) -> [u8; 8] {
    let spread = u64::from(number);
    let spread = (spread | spread << 16) & 0x0000_ffff_0000_ffff;
    let spread = (spread | spread << 8) & 0x00ff_00ff_00ff_00ff;
    let nibbles = (spread | spread << 4) & NIBBLES;
    ascii(nibbles).to_be_bytes()
}

/// The number with these eight digits; `None` if they are not what [`digits_of`] gives.
#[inline]
fn number_of(digits: [u8; 8]) -> Option<u32> {
    let text = u64::from_be_bytes(digits);
    // Of digits and letters only the letters have this bit.
    let letters = text >> 6 & ONES;
    let nibbles = (text & NIBBLES) + 9 * letters;
    if nibbles & !NIBBLES != 0 || ascii(nibbles) != text {
        return None;
    }
    let packed = (nibbles | nibbles >> 4) & 0x00ff_00ff_00ff_00ff;
    let packed = (packed | packed >> 8) & 0x0000_ffff_0000_ffff;
    u32::try_from((packed | packed >> 16) & u64::from(u32::MAX)).ok()
}

/// Sixteen digits.
#[inline]
fn id(digits: &[u8]) -> Option<u64> {
    let ([high, low], []) = digits.as_chunks() else { return None };
    Some(u64::from(number_of(*high)?) << 32 | u64::from(number_of(*low)?))
}

/// Two digits, lower-case only: `from_str_radix` would take upper case and a sign.
fn hex(digits: &[u8]) -> Option<u64> {
    let (mut value, mut is_hex) = (0, true);
    for digit in digits {
        let worth = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => {
                is_hex = false;
                0
            }
        };
        value = value << 4 | u64::from(worth);
    }
    is_hex.then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn rewritten(header: &str) -> Option<String> {
        let text = |(trace_id, span_id, flags)| String::from_utf8(format(trace_id, span_id, flags).into());
        parse(header).map(|parsed| text(parsed).unwrap())
    }

    #[test]
    fn what_is_written_is_read_back() {
        assert_eq!(rewritten(GOOD).as_deref(), Some(GOOD));
        assert_eq!(rewritten(&format!(" \t{GOOD}\t ")).as_deref(), Some(GOOD));
    }

    #[test]
    fn the_random_flag_passes_and_unknown_flags_do_not() {
        assert!(rewritten(&GOOD.replace("-01", "-ff")).unwrap().ends_with("-03"));
        assert!(rewritten(&GOOD.replace("-01", "-02")).unwrap().ends_with("-02"));
    }

    #[test]
    fn no_other_byte_stands_for_a_digit() {
        for byte in 0..=u8::MAX {
            let is_digit = matches!(byte, b'0'..=b'9' | b'a'..=b'f');
            for place in 0..8 {
                let mut digits = *b"0f9a5c31";
                digits[place] = byte;
                let number = number_of(digits);
                assert_eq!(number.is_some(), is_digit, "{byte:#x} at {place}");
                assert_eq!(number.map(digits_of), is_digit.then_some(digits));
            }
        }
        assert_eq!(number_of(*b"0f9a5c31"), Some(0x0f9a_5c31));
    }

    #[test]
    fn a_newer_version_may_append_fields() {
        let newer = GOOD.replacen("00", "cc", 1);
        assert_eq!(rewritten(&newer).as_deref(), Some(GOOD));
        assert!(parse(&format!("{newer}-what")).is_some());
        assert!(parse(&format!("{newer}.what")).is_none());
    }

    #[test]
    fn malformed_headers_are_as_good_as_absent() {
        let malformed = [
            String::new(),
            "00".to_owned(),
            format!("{GOOD}-00"),
            GOOD.replacen("00", "ff", 1),
            GOOD.replacen("00", "0", 1),
            GOOD.to_uppercase(),
            GOOD.replace("4bf92f3577b34da6a3ce929d0e0e4736", "00000000000000000000000000000000"),
            GOOD.replace("00f067aa0ba902b7", "0000000000000000"),
            GOOD.replace("00f067aa0ba902b7", "+0f067aa0ba902b7"),
            GOOD.replace("-01", "-1"),
            GOOD.replace('-', "_"),
            "00-ééééééééééééééééé".to_owned(),
        ];
        for header in malformed {
            assert!(parse(&header).is_none(), "{header}");
        }
    }
}
