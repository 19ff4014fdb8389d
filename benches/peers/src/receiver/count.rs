//! How many spans an export request holds, without decoding them.
//!
//! `ExportTraceServiceRequest.resource_spans` (1), `ResourceSpans.scope_spans` (2), `ScopeSpans.spans` (2).

use std::io::Read as _;

use flate2::read::GzDecoder;

/// One request, counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) spans: u64,
    pub(crate) was_compressed: bool,
}

/// `None` if it is no OTLP.
pub(crate) fn of_http(body: &[u8], is_gzip: bool) -> Option<Message> {
    let spans = if is_gzip { spans_in(&unpacked(body)?)? } else { spans_in(body)? };
    Some(Message { spans, was_compressed: is_gzip })
}

/// As [`of_http`], for the one length-prefixed message of a unary call.
pub(crate) fn of_grpc(body: &[u8]) -> Option<Message> {
    let (prefix, rest) = body.split_first_chunk::<5>()?;
    let [flag, length @ ..] = *prefix;
    let message = rest.get(..usize::try_from(u32::from_be_bytes(length)).ok()?)?;
    of_http(message, flag == 1)
}

fn unpacked(body: &[u8]) -> Option<Vec<u8>> {
    let mut unpacked = Vec::with_capacity(body.len() * 8);
    GzDecoder::new(body).read_to_end(&mut unpacked).ok()?;
    Some(unpacked)
}

fn spans_in(request: &[u8]) -> Option<u64> {
    let mut spans = 0;
    messages(request, 1, &mut |resource| {
        messages(resource, 2, &mut |scope| {
            messages(scope, 2, &mut |_| {
                spans += 1;
                Some(())
            })
        })
    })?;
    Some(spans)
}

/// Calls `each` with every length-delimited field `wanted`.
fn messages(mut bytes: &[u8], wanted: u64, each: &mut dyn FnMut(&[u8]) -> Option<()>) -> Option<()> {
    while !bytes.is_empty() {
        let tag = varint(&mut bytes)?;
        let length = match tag & 7 {
            0 => {
                varint(&mut bytes)?;
                continue;
            }
            1 => 8,
            2 => usize::try_from(varint(&mut bytes)?).ok()?,
            5 => 4,
            _ => return None,
        };
        let (field, rest) = bytes.split_at_checked(length)?;
        bytes = rest;
        if tag & 7 == 2 && tag >> 3 == wanted {
            each(field)?;
        }
    }
    Some(())
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    /// A resource without attributes, one scope of two spans, and a schema URL.
    const REQUEST: [u8; 15] = [0x0a, 13, 0x0a, 0, 0x12, 6, 0x12, 2, 0x38, 1, 0x12, 0, 0x1a, 1, b'u'];

    #[test]
    fn spans_of_all_resources_and_scopes_are_counted() {
        assert_eq!(of_http(&REQUEST, false), Some(Message { spans: 2, was_compressed: false }));
        let twice = [REQUEST, REQUEST].concat();
        assert_eq!(of_http(&twice, false).unwrap().spans, 4);
    }

    #[test]
    fn a_call_holds_one_message_after_its_length() {
        let call = [&[0, 0, 0, 0, 15][..], &REQUEST].concat();
        assert_eq!(of_grpc(&call), of_http(&REQUEST, false));
    }

    #[test]
    fn compressed_spans_are_counted_unpacked() {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(&REQUEST).unwrap();
        let counted = of_http(&packed.finish().unwrap(), true);
        assert_eq!(counted, Some(Message { spans: 2, was_compressed: true }));
    }

    #[test]
    fn a_request_cut_short_is_no_request() {
        assert_eq!(of_http(REQUEST.get(..14).unwrap(), false), None);
        assert_eq!(of_grpc(&[0, 0, 0, 0, 9, 1]), None);
    }
}
