//! `traceparent`: the ids and flags of a span in one header.

use opentelemetry::trace::{SpanId, TraceFlags, TraceId};

/// Sampled and random: the flags that W3C Trace Context level 2 defines.
const KNOWN_FLAGS: u8 = 0b11;

pub(super) fn format(trace_id: TraceId, span_id: SpanId, flags: TraceFlags) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    fn push(text: &mut String, bytes: &[u8]) {
        for byte in bytes {
            text.push(char::from(DIGITS[usize::from(byte >> 4)]));
            text.push(char::from(DIGITS[usize::from(byte & 0xf)]));
        }
    }
    let mut text = String::with_capacity(55);
    text.push_str("00-");
    push(&mut text, &trace_id.to_bytes());
    text.push('-');
    push(&mut text, &span_id.to_bytes());
    text.push('-');
    push(&mut text, &[flags.to_u8() & KNOWN_FLAGS]);
    text
}

/// <https://www.w3.org/TR/trace-context-2/#traceparent-header>: a newer version may append fields.
pub(super) fn parse(header: &str) -> Option<(TraceId, SpanId, TraceFlags)> {
    let header = header.trim_matches([' ', '\t']);
    let (version, rest) = header.split_at_checked(2)?;
    let version = u8::try_from(hex(version)?).ok()?;
    let fields = rest.strip_prefix('-')?;
    if version == u8::MAX || (version == 0 && fields.len() != 52) {
        return None;
    }
    let (trace_id, rest) = fields.split_at_checked(32)?;
    let (span_id, rest) = rest.strip_prefix('-')?.split_at_checked(16)?;
    let (flags, rest) = rest.strip_prefix('-')?.split_at_checked(2)?;
    if !rest.is_empty() && !rest.starts_with('-') {
        return None;
    }
    let trace_id = TraceId::from(hex(trace_id)?);
    let span_id = SpanId::from(u64::try_from(hex(span_id)?).ok()?);
    let flags = TraceFlags::new(u8::try_from(hex(flags)?).ok()? & KNOWN_FLAGS);
    (trace_id != TraceId::INVALID && span_id != SpanId::INVALID).then_some((trace_id, span_id, flags))
}

/// Lower-case hex digits only: `from_str_radix` alone would take upper case and a sign.
fn hex(text: &str) -> Option<u128> {
    let is_hex = text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    is_hex.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn rewritten(header: &str) -> Option<String> {
        parse(header).map(|(trace_id, span_id, flags)| format(trace_id, span_id, flags))
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
