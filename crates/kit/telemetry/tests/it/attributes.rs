//! What can be the value of an attribute, on the way through a span.

use std::cell::Cell;
use std::time::Duration;

use waypost_telemetry::opentelemetry::Value;
use waypost_telemetry::testing::TestTelemetry;
use waypost_telemetry::{Outcome, set};

#[test]
fn every_kind_of_value_arrives_as_it_is() {
    let telemetry = TestTelemetry::new("s");
    let (owned, items) = ("owned".to_owned(), [1_u32, 2]);
    telemetry
        .span("a")
        .attr("usize", owned.len())
        .attr("u64", 7_u64)
        .attr("large", u64::MAX)
        .attr("u32", 7_u32)
        .attr("i32", -7_i32)
        .attr("f32", 0.5_f32)
        .attr("some", Some("x"))
        .attr("none", None::<u64>)
        .attr("texts", vec!["a", "b"])
        .attr("slice", &items[..])
        .attr("duration", Duration::from_millis(1_500))
        .attr("borrowed", &owned)
        .attr_display("display", std::net::Ipv4Addr::LOCALHOST)
        .in_scope(|| set("late", Some(3_u8)));
    let span = telemetry.only_span("a");
    let expected: [(&str, &str); 13] = [
        ("usize", "I64(5)"),
        ("u64", "I64(7)"),
        ("large", "18446744073709551615"),
        ("u32", "I64(7)"),
        ("i32", "I64(-7)"),
        ("f32", "F64(0.5)"),
        ("some", "x"),
        ("texts", r#"["a","b"]"#),
        ("slice", "[1,2]"),
        ("duration", "F64(1.5)"),
        ("borrowed", "owned"),
        ("display", "127.0.0.1"),
        ("late", "I64(3)"),
    ];
    for (key, value) in expected {
        let found = span.attribute(key).unwrap();
        let shown = match found {
            Value::I64(_) | Value::F64(_) => format!("{found:?}"),
            other => other.to_string(),
        };
        assert_eq!(shown, value, "{key}");
    }
    assert_eq!(span.attributes().len(), 13);
}

#[test]
fn a_costly_value_is_made_only_if_it_is_kept() {
    let made = Cell::new(0);
    let costly = || {
        made.set(made.get() + 1);
        "costly"
    };
    let mut settings = TestTelemetry::settings("s");
    settings.traces.sampler = waypost_telemetry::config::SamplerKind::AlwaysOff;
    TestTelemetry::with(settings.clone()).span("a").start().set_with("k", costly);
    settings.enabled = false;
    TestTelemetry::with(settings).span("a").attr_with("k", costly).start().end(Outcome::Ok);
    assert_eq!(made.get(), 0);

    let telemetry = TestTelemetry::new("s");
    telemetry.span("a").attr_with("k", costly).start().set_with("l", costly);
    assert_eq!(made.get(), 2);
    telemetry.tree().assert_matches("a INTERNAL s k=costly l=costly");
}
