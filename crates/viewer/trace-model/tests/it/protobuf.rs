//! OTLP protobuf, against the encoder and decoder that `prost` generates.

use crate::messages::{Doubles, assert_same, grouped, logs, logs_of, spans_of, traces};
use bytes::Bytes;
use opentelemetry_proto::tonic::{
    collector::{logs::v1::ExportLogsServiceRequest, trace::v1::ExportTraceServiceRequest},
    trace::v1::TracesData,
};
use proptest::prelude::*;
use prost::Message;
use std::sync::Arc;
use waypost_trace_model::{
    Attribute, Event, Kind, Limits, Link, Resource, Scope, Span, Status, StatusCode, Text, Value, Wire, otlp,
};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn spans_that_prost_encoded_are_decoded_to_the_same(request in traces(Doubles::Any)) {
        let bytes = Bytes::from(request.encode_to_vec());
        let batch = otlp::traces_from_protobuf(&bytes, &Limits::default()).unwrap();
        assert_same(&batch.spans, &spans_of(&request));
        prop_assert_eq!(batch.refused, vec![]);
        prop_assert_eq!(batch.wire, Some(Wire::Traces(bytes)));
    }

    #[test]
    fn spans_that_we_encode_are_decoded_by_prost_to_the_same(request in traces(Doubles::Any)) {
        let spans = spans_of(&request);
        let bytes = otlp::traces_to_protobuf(&spans);
        let expected = grouped(&spans, |span| (&span.resource, &span.scope));
        assert_same(&spans_of(&ExportTraceServiceRequest::decode(bytes.clone()).unwrap()), &expected);
        let again = otlp::traces_from_protobuf(&bytes, &Limits::default()).unwrap();
        assert_same(&again.spans, &expected);
        prop_assert_eq!(otlp::traces_to_protobuf(&again.spans), bytes);
    }

    #[test]
    fn log_records_that_prost_encoded_are_decoded_to_the_same(request in logs(Doubles::Any)) {
        let bytes = Bytes::from(request.encode_to_vec());
        let batch = otlp::logs_from_protobuf(&bytes, &Limits::default()).unwrap();
        assert_same(&batch.logs, &logs_of(&request));
        prop_assert_eq!(batch.wire, Some(Wire::Logs(bytes)));
    }

    #[test]
    fn log_records_that_we_encode_are_decoded_by_prost_to_the_same(request in logs(Doubles::Any)) {
        let records = logs_of(&request);
        let bytes = otlp::logs_to_protobuf(&records);
        let expected = grouped(&records, |record| (&record.resource, &record.scope));
        assert_same(&logs_of(&ExportLogsServiceRequest::decode(bytes).unwrap()), &expected);
    }

    #[test]
    fn requests_with_a_changed_byte_are_understood_as_prost_does(
        request in traces(Doubles::Any), place in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let mut bytes = request.encode_to_vec();
        prop_assume!(!bytes.is_empty());
        let place = place.index(bytes.len());
        bytes[place] = byte;
        let bytes = Bytes::from(bytes);
        let ours = otlp::traces_from_protobuf(&bytes, &Limits::default());
        match (ours, ExportTraceServiceRequest::decode(bytes)) {
            (Ok(batch), Ok(message)) if batch.refused.is_empty() => assert_same(&batch.spans, &spans_of(&message)),
            (Err(error), Ok(_)) => prop_assert!(error.to_string().contains("groups are not supported"), "{}", error),
            // Refused for an id, say, or mended where prost gives up; or malformed for both.
            (Ok(_), _) | (Err(_), Err(_)) => {}
        }
    }
}

fn attribute(key: &'static str, value: Value) -> Attribute {
    Attribute { key: Text::from_static(key), value }
}

/// A span that uses every field.
pub(crate) fn full_span() -> Span {
    let nested = [attribute("k", Value::Bytes(Bytes::from_static(&[0, 255])))];
    let values = [Value::Int(-1), Value::Empty, Value::Text("x".into())];
    Span {
        trace_id: "5b8efff798038103d269b633813fc60c".parse().unwrap(),
        span_id: "eee19b7ec3c1b174".parse().unwrap(),
        parent_span_id: Some("eee19b7ec3c1b173".parse().unwrap()),
        trace_state: "a=b".into(),
        flags: 0x101,
        name: "GET /".into(),
        kind: Kind::Server,
        start: 1_544_712_660_000_000_001,
        end: 1_544_712_661_000_000_002,
        status: Status { code: StatusCode::Error, message: "no".into() },
        attributes: vec![
            attribute("s", Value::Text("é".into())),
            attribute("b", Value::Bool(false)),
            attribute("i", Value::Int(i64::MIN)),
            attribute("d", Value::Double(1.5)),
            attribute("a", Value::Array(values.into())),
            attribute("m", Value::Map(nested.into())),
            attribute("e", Value::Empty),
        ],
        dropped_attributes: 1,
        events: vec![Event {
            time: 5,
            name: "ev".into(),
            attributes: vec![attribute("ek", Value::Int(7))],
            dropped_attributes: 2,
        }],
        dropped_events: 3,
        links: vec![Link {
            trace_id: "0000000000000000000000000000000a".parse().unwrap(),
            span_id: "000000000000000b".parse().unwrap(),
            trace_state: "c=d".into(),
            flags: 0x300,
            attributes: vec![attribute("lk", Value::Bool(true))],
            dropped_attributes: 4,
        }],
        dropped_links: 5,
        resource: Arc::new(Resource::new(
            vec![attribute("service.name", Value::Text("shop".into()))],
            6,
            "https://r".into(),
        )),
        scope: Arc::new(Scope {
            name: "lib".into(),
            version: "1.0".into(),
            attributes: vec![attribute("sk", Value::Double(-0.0))],
            dropped_attributes: 7,
            schema_url: "https://s".into(),
        }),
    }
}

/// [`full_span`] as a request, written down field by field from the `.proto` files.
pub(crate) fn full_span_bytes() -> Vec<u8> {
    fn message(tag: &[u8], parts: &[&[u8]]) -> Vec<u8> {
        let content = parts.concat();
        assert!(content.len() < 0x4000);
        let mut bytes = tag.to_vec();
        let (low, high) =
            (u8::try_from(content.len() & 0x7f).unwrap(), u8::try_from(content.len() >> 7).unwrap());
        bytes.extend(if high == 0 { vec![low] } else { vec![low | 0x80, high] });
        bytes.extend(content);
        bytes
    }
    let int_min = b"\x12\x0b\x18\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01";
    let minus_one = b"\x0a\x0b\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01";
    let array = message(b"\x2a", &[minus_one, b"\x0a\x00", b"\x0a\x03\x0a\x01x"]);
    let map = message(b"\x32", &[b"\x0a\x09\x0a\x01k\x12\x04\x3a\x02\x00\xff"]);
    let span = message(
        b"\x12",
        &[
            b"\x0a\x10\x5b\x8e\xff\xf7\x98\x03\x81\x03\xd2\x69\xb6\x33\x81\x3f\xc6\x0c",
            b"\x12\x08\xee\xe1\x9b\x7e\xc3\xc1\xb1\x74",
            b"\x1a\x03a=b",
            b"\x22\x08\xee\xe1\x9b\x7e\xc3\xc1\xb1\x73",
            b"\x2a\x05GET /",
            b"\x30\x02",
            &[&[0x39][..], &1_544_712_660_000_000_001_u64.to_le_bytes()].concat(),
            &[&[0x41][..], &1_544_712_661_000_000_002_u64.to_le_bytes()].concat(),
            "\x4a\x09\x0a\x01s\x12\x04\x0a\x02é".as_bytes(),
            b"\x4a\x07\x0a\x01b\x12\x02\x10\x00",
            &message(b"\x4a", &[b"\x0a\x01i", int_min]),
            b"\x4a\x0e\x0a\x01d\x12\x09\x21\0\0\0\0\0\0\xf8\x3f",
            &message(b"\x4a", &[b"\x0a\x01a", &message(b"\x12", &[&array])]),
            &message(b"\x4a", &[b"\x0a\x01m", &message(b"\x12", &[&map])]),
            b"\x4a\x03\x0a\x01e",
            b"\x50\x01",
            b"\x5a\x19\x09\x05\0\0\0\0\0\0\0\x12\x02ev\x1a\x08\x0a\x02ek\x12\x02\x18\x07\x20\x02",
            b"\x60\x03",
            &message(
                b"\x6a",
                &[
                    b"\x0a\x10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x0a",
                    b"\x12\x08\0\0\0\0\0\0\0\x0b",
                    b"\x1a\x03c=d",
                    b"\x22\x08\x0a\x02lk\x12\x02\x10\x01",
                    b"\x28\x04",
                    b"\x35\0\x03\0\0",
                ],
            ),
            b"\x70\x05",
            b"\x7a\x06\x12\x02no\x18\x02",
            b"\x85\x01\x01\x01\0\0",
        ],
    );
    let scope = message(
        b"\x0a",
        &[b"\x0a\x03lib", b"\x12\x031.0", b"\x1a\x0f\x0a\x02sk\x12\x09\x21\0\0\0\0\0\0\0\x80", b"\x20\x07"],
    );
    let scope_spans = message(b"\x12", &[&scope, &span, b"\x1a\x09https://s"]);
    let service = message(b"\x0a", &[b"\x0a\x0cservice.name", b"\x12\x06\x0a\x04shop"]);
    let resource = message(b"\x0a", &[&service, b"\x10\x06"]);
    message(b"\x0a", &[&resource, &scope_spans, b"\x1a\x09https://r"])
}

#[test]
fn a_span_with_every_field_has_exactly_these_bytes() {
    let bytes = Bytes::from(full_span_bytes());
    assert_eq!(otlp::traces_to_protobuf(&[full_span()]), bytes);
    let batch = otlp::traces_from_protobuf(&bytes, &Limits::default()).unwrap();
    assert_eq!(batch.spans, [full_span()]);
    assert_eq!(
        TracesData::decode(bytes.clone()).unwrap().encode_to_vec(),
        bytes,
        "prost writes the same bytes"
    );
}

#[test]
fn texts_and_bytes_are_slices_of_the_request() {
    let bytes = Bytes::from(full_span_bytes());
    let batch = otlp::traces_from_protobuf(&bytes, &Limits::default()).unwrap();
    let span = &batch.spans[0];
    for text in
        [&span.name, &span.attributes[0].key, span.service(), &span.scope.name, &span.links[0].trace_state]
    {
        assert!(bytes.as_ptr_range().contains(&text.as_ptr()), "{text} is a copy");
    }
}

#[test]
fn spans_of_one_group_share_their_resource_and_scope() {
    let mut spans = vec![full_span(); 3];
    spans[1].resource = Arc::new((*spans[1].resource).clone());
    spans[2].scope = Arc::new(Scope { name: "other".into(), ..Scope::default() });
    let batch = otlp::traces_from_protobuf(&otlp::traces_to_protobuf(&spans), &Limits::default()).unwrap();
    assert_eq!(batch.spans, spans);
    assert!(Arc::ptr_eq(&batch.spans[0].resource, &batch.spans[2].resource));
    assert!(Arc::ptr_eq(&batch.spans[0].scope, &batch.spans[1].scope));
}

#[test]
fn what_is_written_behind_the_spans_still_holds_for_them() {
    let span = b"\x0a\x10\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x12\x08\x02\x02\x02\x02\x02\x02\x02\x02";
    let scope_spans = [&b"\x12\x1c"[..], span, b"\x1a\x01s", b"\x0a\x03\x0a\x01n"].concat();
    let resource = b"\x0a\x17\x0a\x15\x0a\x0cservice.name\x12\x05\x0a\x03svc";
    let group = [&b"\x12\x26"[..], &scope_spans, b"\x1a\x01r", resource].concat();
    let bytes = Bytes::from([&[0x0a, u8::try_from(group.len()).unwrap()][..], &group].concat());
    let spans = otlp::traces_from_protobuf(&bytes, &Limits::default()).unwrap().spans;
    assert_eq!(spans.len(), 1);
    assert_eq!((&**spans[0].service(), &*spans[0].resource.schema_url), ("svc", "r"));
    assert_eq!((&*spans[0].scope.name, &*spans[0].scope.schema_url), ("n", "s"));
}

#[test]
fn repeated_messages_are_merged_and_of_repeated_scalars_the_last_counts() {
    let ids = b"\x0a\x10\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x12\x08\x02\x02\x02\x02\x02\x02\x02\x02";
    let span = [&ids[..], b"\x2a\x01a\x2a\x01b", b"\x7a\x03\x12\x01m\x7a\x02\x18\x02"].concat();
    let spans = [&[0x12, u8::try_from(span.len()).unwrap()][..], &span].concat();
    let scope = b"\x0a\x03\x0a\x01n\x0a\x03\x12\x01v";
    let scope_spans = [&scope[..], &spans].concat();
    let resources = b"\x0a\x05\x0a\x03\x0a\x01x\x0a\x05\x0a\x03\x0a\x01y\x0a\x02\x10\x09";
    let group = [&resources[..], &[0x12, u8::try_from(scope_spans.len()).unwrap()], &scope_spans].concat();
    let bytes = Bytes::from([&[0x0a, u8::try_from(group.len()).unwrap()][..], &group].concat());
    let ours = otlp::traces_from_protobuf(&bytes, &Limits::default()).unwrap().spans;
    assert_eq!(ours, spans_of(&ExportTraceServiceRequest::decode(bytes).unwrap()));
    assert_eq!((&*ours[0].name, &*ours[0].scope.version, ours[0].resource.dropped_attributes), ("b", "v", 9));
    assert_eq!(ours[0].status, Status { code: StatusCode::Error, message: "m".into() });
    assert_eq!(ours[0].resource.attributes.len(), 2);
}
