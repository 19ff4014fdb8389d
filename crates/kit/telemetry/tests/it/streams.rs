//! Spans around streams: from the first poll to the end, whatever comes out.

use std::pin::pin;
use std::task::{Context as TaskContext, Waker};

use futures_util::{Stream, StreamExt as _, stream};
use waypost_telemetry::span;
use waypost_telemetry::testing::{TestTelemetry, checks};

#[tokio::test]
async fn a_stream_is_inside_its_span_until_its_end() {
    let telemetry = TestTelemetry::new("s");
    let rows = stream::iter(0..3).then(|row| async move {
        span("fetch").observe(async {}).await;
        Ok::<_, std::io::Error>(row)
    });
    let read = telemetry.span("read").run_stream(rows).map(Result::unwrap).collect::<Vec<_>>().await;
    assert_eq!(read, [0, 1, 2]);
    telemetry.tree().assert_matches(
        "read INTERNAL s
           fetch INTERNAL s
           fetch INTERNAL s
           fetch INTERNAL s",
    );
    checks::assert_sound(&[&telemetry]);
}

#[tokio::test]
async fn an_error_among_the_items_is_recorded_and_the_stream_goes_on() {
    let telemetry = TestTelemetry::new("s");
    let rows = stream::iter([Ok(1), Err(std::io::Error::other("broken")), Ok(2)]);
    assert_eq!(telemetry.span("read").run_stream(rows).count().await, 3);
    telemetry.tree().assert_matches("read INTERNAL s ERROR error.type=other");
    assert_eq!(telemetry.finished_logs().len(), 1);
}

#[test]
fn a_stream_dropped_before_its_end_is_cancelled() {
    let telemetry = TestTelemetry::new("s");
    {
        let mut numbers = pin!(telemetry.span("read").observe_stream(stream::iter([1, 2])));
        let first = numbers.as_mut().poll_next(&mut TaskContext::from_waker(Waker::noop()));
        assert!(first.is_ready());
    }
    telemetry.tree().assert_matches("read INTERNAL s waypost.outcome=cancelled");
    drop(telemetry.span("never").observe_stream(stream::iter([1])));
    assert_eq!(telemetry.ledger().started, 1);
}
