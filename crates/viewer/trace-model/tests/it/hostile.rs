//! Bytes that mean harm: nothing panics, nothing takes memory for what only claims to be there, and what can be kept is.

use crate::protobuf::full_span_bytes;
use bytes::Bytes;
use proptest::prelude::*;
use waypost_trace_model::{
    Batch, Limits, RefusalReason, Value,
    otlp::{self, DecodeError},
    zipkin,
};

fn message(field: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![field << 3 | 2];
    let mut length = content.len();
    while length >= 0x80 {
        bytes.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
        length >>= 7;
    }
    bytes.push(u8::try_from(length).unwrap());
    bytes.extend(content);
    bytes
}

/// A request with one span of these fields behind valid ids.
fn span_with(fields: &[u8]) -> Bytes {
    let ids = [&b"\x0a\x10"[..], &[1; 16], b"\x12\x08", &[2; 8]].concat();
    Bytes::from(message(1, &message(2, &message(2, &[&ids[..], fields].concat()))))
}

fn decode(bytes: &Bytes) -> Result<Batch, DecodeError> {
    otlp::traces_from_protobuf(bytes, &Limits::default())
}

fn fault(bytes: &Bytes) -> String {
    match decode(bytes) {
        Err(DecodeError::Malformed(why)) => why,
        other => panic!("{other:?}"),
    }
}

fn refused(batch: &Batch) -> Vec<(RefusalReason, u64)> {
    batch.refused.iter().map(|refusal| (refusal.reason, refusal.spans)).collect()
}

/// An `AnyValue` with arrays within each other.
fn nested(depth: usize) -> Vec<u8> {
    (0..depth).fold(Vec::new(), |inner, _| message(5, &message(1, &inner)))
}

#[test]
fn a_request_that_ends_early_is_malformed_wherever_it_ends() {
    let bytes = Bytes::from(full_span_bytes());
    assert_eq!(decode(&bytes).unwrap().spans.len(), 1);
    assert_eq!(decode(&bytes.slice(..0)).unwrap().spans.len(), 0);
    for end in 1..bytes.len() {
        assert_eq!(
            fault(&bytes.slice(..end)),
            if end < 3 {
                "a number runs past the end (at byte 0)"
            } else {
                "a length runs past the end (at byte 0)"
            }
        );
    }
}

#[test]
fn a_span_that_ends_early_is_malformed_or_a_shorter_span() {
    let whole = decode(&Bytes::from(full_span_bytes())).unwrap().spans.remove(0);
    let bytes = otlp::traces_to_protobuf(&[whole]);
    let at = bytes.windows(4).position(|window| window == b"\x0a\x10\x5b\x8e").unwrap();
    let span = &bytes[at..bytes.len() - b"\x1a\x09https://s\x1a\x09https://r".len()];
    let mut kept = 0;
    for end in 0..span.len() {
        let request = Bytes::from(message(1, &message(2, &message(2, &span[..end]))));
        match decode(&request) {
            Ok(batch) => {
                kept += batch.spans.len();
                assert!(batch.spans.len() == 1 || refused(&batch) == [(RefusalReason::InvalidId, 1)]);
            }
            Err(error) => {
                let why = error.to_string();
                assert!(why.starts_with("resource_spans.scope_spans.spans"), "{why}");
                assert!(why.contains("runs past the end"), "{why}");
            }
        }
    }
    assert_eq!(kept, 20, "as often as a field ends behind both ids");
}

#[test]
fn a_fault_says_where_it_is() {
    let attribute = span_with(b"\x4a\x04\x0a\x01k\x12");
    assert_eq!(
        fault(&attribute),
        "resource_spans.scope_spans.spans.attributes: a number runs past the end (at byte 39)"
    );
    let event = span_with(b"\x5a\x02\x09\x01");
    assert_eq!(
        fault(&event),
        "resource_spans.scope_spans.spans.events: a number runs past the end (at byte 36)"
    );
    let name = span_with(b"\x28\x01");
    assert_eq!(
        fault(&name),
        "resource_spans.scope_spans.spans: a field has another type than the protocol says (at byte 34)"
    );
}

#[test]
fn lengths_that_only_claim_to_be_there_take_no_memory() {
    for length in [
        &b"\xff\xff\xff\xff\x0f"[..],
        b"\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    ] {
        for field in [b"\x2a", b"\x4a", b"\x5a", b"\x6a", b"\x7a", b"\x9a"] {
            let why = fault(&span_with(&[field, length].concat()));
            assert!(why.ends_with("a length runs past the end (at byte 34)") || field == b"\x9a", "{why}");
        }
    }
}

#[test]
fn values_nested_ten_thousand_deep_are_refused_and_their_neighbours_kept() {
    let attribute = message(9, &message(2, &nested(10_000)));
    let batch = decode(&span_with(&attribute)).unwrap();
    assert_eq!(refused(&batch), [(RefusalReason::AttributeLimit, 1)]);
    let mut request = span_with(&attribute).to_vec();
    request.extend(span_with(b""));
    let batch = decode(&request.into()).unwrap();
    assert_eq!((batch.spans.len(), refused(&batch)), (1, vec![(RefusalReason::AttributeLimit, 1)]));
    let json = |value: &str| {
        let ids = r#""traceId":"00000000000000000000000000000001","spanId":"0000000000000002""#;
        format!(
            r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{{ids},"attributes":[{{"key":"k","value":{value}}}]}},{{{ids}}}]}}]}}]}}"#
        )
    };
    let deep = format!("{}{}", r#"{"arrayValue":{"values":["#.repeat(10_000), "]}}".repeat(10_000));
    let batch = otlp::traces_from_json(json(&deep).as_bytes(), &Limits::default()).unwrap();
    assert_eq!((batch.spans.len(), refused(&batch)), (1, vec![(RefusalReason::AttributeLimit, 1)]));
    let unknown = format!("{}{}", r#"{"x":["#.repeat(10_000), "]}".repeat(10_000));
    let batch = otlp::traces_from_json(json(&unknown).as_bytes(), &Limits::default()).unwrap();
    assert_eq!((batch.spans.len(), refused(&batch)), (2, vec![]));
}

#[test]
fn the_deepest_value_that_is_kept_survives_every_format() {
    let deepest = Limits { depth: usize::MAX, ..Limits::default() };
    let kvlist =
        (0..Limits::DEEPEST).fold(Vec::new(), |inner, _| message(6, &message(1, &message(2, &inner))));
    let event = message(11, &message(3, &message(2, &kvlist)));
    let spans = otlp::traces_from_protobuf(&span_with(&event), &deepest).unwrap().spans;
    let json = otlp::traces_to_json(&spans).to_string();
    assert_eq!(otlp::traces_from_json(json.as_bytes(), &deepest).unwrap().spans, spans);
}

#[test]
fn a_million_of_the_smallest_parts_are_refused_before_they_take_memory() {
    // Two bytes each: empty attributes, events, links, parts of an array.
    let limits = Limits::default();
    for (field, reason) in [(9, RefusalReason::AttributeLimit), (11, RefusalReason::PartLimit)] {
        let batch = decode(&span_with(&message(field, b"").repeat(1_000_000))).unwrap();
        assert_eq!(refused(&batch), [(reason, 1)]);
    }
    let links = decode(&span_with(&message(13, b"").repeat(1_000_000))).unwrap();
    assert_eq!((links.spans[0].links.len(), links.spans[0].dropped_links), (0, 1_000_000));
    let array = message(9, &message(2, &message(5, &message(1, b"").repeat(1_000_000))));
    assert_eq!(refused(&decode(&span_with(&array)).unwrap()), [(RefusalReason::AttributeLimit, 1)]);
    // Within the limits of one span, but not of one request.
    let full = span_with(&message(9, b"").repeat(limits.attributes));
    let batch = decode(&Bytes::from(full.repeat(4_000))).unwrap();
    assert_eq!(batch.spans.len(), limits.parts / limits.attributes);
    let kept = u64::try_from(batch.spans.len()).unwrap();
    assert_eq!(refused(&batch), [(RefusalReason::AttributeLimit, 4_000 - kept)]);
}

#[test]
fn a_million_empty_spans_are_too_many() {
    let spans = message(1, &message(2, &message(2, b"").repeat(1_000_000)));
    assert_eq!(decode(&spans.into()).unwrap_err(), DecodeError::TooManyRecords { limit: 200_000 });
    let json =
        format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{}{{}}]}}]}}]}}"#, "{},".repeat(1_000_000));
    let expected = DecodeError::TooManyRecords { limit: 200_000 };
    assert_eq!(otlp::traces_from_json(json.as_bytes(), &Limits::default()).unwrap_err(), expected);
    let zipkin = format!("[{}{{}}]", "{},".repeat(1_000_000));
    assert_eq!(zipkin::spans_from_json(zipkin.as_bytes(), &Limits::default()).unwrap_err(), expected);
}

#[test]
fn groups_are_refused_however_deep() {
    let why = fault(&span_with(&vec![0x4b; 100_000]));
    assert_eq!(why, "resource_spans.scope_spans.spans: groups are not supported (at byte 40)");
}

#[test]
fn fields_of_later_versions_are_skipped_by_their_wire_type() {
    let unknown = b"\xf8\x07\x01\xf9\x07\0\0\0\0\0\0\0\0\xfa\x07\x02hi\xfd\x07\0\0\0\0\x2a\x01n";
    assert_eq!(&*decode(&span_with(unknown)).unwrap().spans[0].name, "n");
}

#[test]
fn bytes_that_are_not_utf_8_are_mended_and_the_wire_bytes_kept() {
    let bytes = span_with(b"\x2a\x04a\xff\xfeb\x4a\x0a\x0a\x02\xc3\x28\x12\x04\x0a\x02\xe2\x82");
    let batch = decode(&bytes).unwrap();
    let span = &batch.spans[0];
    assert_eq!(&*span.name, "a\u{fffd}\u{fffd}b");
    assert_eq!(
        (&*span.attributes[0].key, &span.attributes[0].value),
        ("\u{fffd}(", &Value::Text("\u{fffd}".into()))
    );
    assert_eq!(batch.wire, Some(waypost_trace_model::Wire::Traces(bytes.clone())));
    assert_eq!(decode(&bytes).unwrap().spans, batch.spans);
    // What is mended grows, and must still be within the limit.
    let limits = Limits { text_length: 4, ..Limits::default() };
    let batch = otlp::traces_from_protobuf(&bytes, &limits).unwrap();
    assert_eq!(refused(&batch), [(RefusalReason::AttributeLimit, 1)]);
}

#[test]
fn extremes_are_kept() {
    let times = [&b"\x39"[..], &u64::MAX.to_le_bytes(), b"\x41", &1_u64.to_le_bytes()].concat();
    let counts =
        b"\x50\xff\xff\xff\xff\x0f\x60\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x85\x01\xff\xff\xff\xff";
    let nan = b"\x4a\x0b\x12\x09\x21\x01\0\0\0\0\0\xf0\xff";
    let kind = b"\x30\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01";
    let batch = decode(&span_with(&[&times[..], counts, nan, kind].concat())).unwrap();
    let span = &batch.spans[0];
    assert_eq!((span.start, span.end, span.duration()), (u64::MAX, 1, 0));
    assert_eq!((span.dropped_attributes, span.dropped_events, span.flags), (u32::MAX, u32::MAX, u32::MAX));
    let Value::Double(number) = span.attributes[0].value else { panic!("{:?}", span.attributes) };
    assert_eq!(number.to_bits(), 0xfff0_0000_0000_0001, "a NaN keeps its bits");
    assert_eq!(
        otlp::traces_from_protobuf(&otlp::traces_to_protobuf(&batch.spans), &Limits::default())
            .unwrap()
            .spans[0]
            .start,
        u64::MAX
    );
    assert_eq!(zipkin::spans_to_json(&batch.spans)[0]["timestamp"], u64::MAX / 1000);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let bytes = Bytes::from(bytes);
        for limits in [Limits::default(), Limits::none()] {
            let _ = otlp::traces_from_protobuf(&bytes, &limits);
            let _ = otlp::logs_from_protobuf(&bytes, &limits);
            let _ = zipkin::spans_from_protobuf(&bytes, &limits);
            let _ = otlp::traces_from_json(&bytes, &limits);
            let _ = zipkin::spans_from_json(&bytes, &limits);
        }
    }

    #[test]
    fn a_full_span_with_a_changed_byte_is_answered(place in 0..480_usize, byte in any::<u8>()) {
        let mut bytes = full_span_bytes();
        let place = place % bytes.len();
        bytes[place] = byte;
        let bytes = Bytes::from(bytes);
        if let Ok(batch) = decode(&bytes) && batch.refused.is_empty() {
            let again = decode(&otlp::traces_to_protobuf(&batch.spans)).unwrap();
            prop_assert_eq!(again.refused, vec![]);
            crate::messages::assert_same(&again.spans, &batch.spans);
        }
        let json = otlp::traces_to_json(&[crate::protobuf::full_span()]).to_string();
        let mut json = json.into_bytes();
        let place = place % json.len();
        json[place] = byte;
        let _ = otlp::traces_from_json(&json, &Limits::default());
    }
}
