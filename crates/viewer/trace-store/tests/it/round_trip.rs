//! What is put in comes out, to the last bit.

use crate::{arbitrary, sample::*};
use proptest::{collection::vec, prelude::*};
use waypost_trace_model::{Attribute, Span, Value, otlp};
use waypost_trace_statistics::AttributeScope;
use waypost_trace_store::{AttributeFilter, BlockStore, Query, Settings, SpanFilter, Test, TraceStore};

/// Through a block and back, as protobuf, in which a NaN is equal to itself.
fn through_a_block(spans: Vec<Span>) -> Vec<Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    let store = BlockStore::open(folder.path(), Settings::default()).unwrap();
    let mut ids: Vec<_> = spans.iter().map(|span| span.trace_id).collect();
    ids.sort_unstable();
    ids.dedup();
    keep(&store, spans);
    wait(store.flush()).unwrap();
    wait(store.close());
    drop(store);
    let store = BlockStore::open(folder.path(), Settings::default()).unwrap();
    encoded(store.traces(&ids).unwrap().into_iter().flat_map(|trace| trace.spans))
}

fn encoded(spans: impl IntoIterator<Item = Span>) -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> =
        spans.into_iter().map(|span| otlp::traces_to_protobuf(&[span]).to_vec()).collect();
    all.sort();
    all.dedup();
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn random_spans_come_back_as_they_were(spans in vec(arbitrary::span(), 1..60)) {
        prop_assert_eq!(through_a_block(spans.clone()), encoded(spans));
    }
}

#[test]
fn values_at_the_edges_come_back_as_they_were() {
    let mut odd = span("a", 1, 10);
    let nan = f64::from_bits(0x7ff8_dead_beef_0001);
    let list = [Value::Double(nan), Value::Double(-0.0), Value::Empty, Value::Array(Vec::new().into())];
    odd.attributes = vec![
        Attribute { key: "k".into(), value: Value::Double(nan) },
        Attribute { key: "k".into(), value: Value::Int(i64::MIN) },
        Attribute { key: "k".into(), value: Value::Text("".into()) },
        Attribute { key: "".into(), value: Value::Array(list.into()) },
        Attribute { key: "k".into(), value: Value::Text("two".into()) },
    ];
    (odd.start, odd.end) = (u64::MAX, 0);
    let mut longest = span("a", 1, 11);
    (longest.start, longest.end) = (0, u64::MAX);
    let spans = vec![odd, longest];
    assert_eq!(through_a_block(spans.clone()), encoded(spans));
}

#[test]
fn thousands_of_made_up_keys_come_back_and_are_found() {
    let with_keys = |number: u64| {
        let mut span = span("a", number, number);
        let attribute = |key: u64| text(&format!("key-{number}-{key}"), &format!("value-{key}"));
        span.attributes = (0..40).map(attribute).collect();
        span
    };
    let spans: Vec<Span> = (1..=200).map(with_keys).collect();
    assert_eq!(through_a_block(spans.clone()), encoded(spans.clone()));

    let folder = tempfile::tempdir().unwrap();
    let store = BlockStore::open(folder.path(), Settings::default()).unwrap();
    keep(&store, spans);
    wait(store.flush()).unwrap();
    for number in [1, 90, 200] {
        let key = format!("key-{number}-39").into();
        let attribute =
            AttributeFilter { scope: Some(AttributeScope::Span), key, test: Test::Equals("value-39".into()) };
        let filter = SpanFilter { attributes: vec![attribute], ..SpanFilter::default() };
        let found = store.find(&Query { spans: vec![filter], ..Query::default() }).unwrap().matches;
        assert_eq!(found.iter().map(|found| found.trace_id).collect::<Vec<_>>(), [trace_id(number)]);
        let skeleton = store.skeleton(trace_id(number)).unwrap().unwrap();
        assert_eq!(skeleton.nodes[0].attributes, 40);
    }
}
