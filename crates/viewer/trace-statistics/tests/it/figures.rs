use crate::made::{HOUR, MINUTE, Made, NOW, batch, span, trace};
use waypost_trace_model::Kind;
use waypost_trace_statistics::{Bounds, Examples, OperationFigures, Red, ServiceFigures, Statistics};

fn red(calls: u64, errors: u64, latency: u64, examples: Examples) -> Red {
    Red { calls, errors, p50: latency, p95: latency, p99: latency, examples }
}

#[test]
fn a_service_is_measured_by_what_it_answers_and_an_operation_by_its_own_spans() {
    let statistics = Statistics::new(Bounds::default());
    statistics.observe(
        &batch([
            span("shop", "POST /orders", Kind::Server, 1, None).taking(40).failed().of(1),
            span("shop", "POST /orders", Kind::Server, 2, None).taking(40).of(2),
            span("shop", "price", Kind::Internal, 3, Some(1)).taking(7).of(3),
            span("job", "sweep", Kind::Internal, 4, None).taking(9).of(4),
            span("job", "step", Kind::Internal, 5, Some(4)).taking(5).of(4),
        ]),
        NOW,
    );
    let id = |number| Some(trace(number));
    let of_job = Examples { recent: id(4), slowest: id(4), failed: None };
    let of_orders = Examples { recent: id(2), slowest: id(1), failed: id(1) };
    assert_eq!(
        statistics.service_figures(NOW - HOUR..NOW + 1),
        [
            ServiceFigures { service: "job".into(), operations: 2, red: red(1, 0, 9, of_job) },
            ServiceFigures { service: "shop".into(), operations: 2, red: red(2, 1, 40, of_orders) },
        ]
    );
    let of_price = Examples { recent: id(3), slowest: id(3), failed: None };
    assert_eq!(
        statistics.operation_figures("shop", NOW - HOUR..NOW + 1),
        [
            OperationFigures {
                name: "POST /orders".into(),
                kind: Kind::Server,
                red: red(2, 1, 40, of_orders)
            },
            OperationFigures { name: "price".into(), kind: Kind::Internal, red: red(1, 0, 7, of_price) },
        ]
    );
    assert_eq!(statistics.services(), ["job", "shop"]);
    let operations = [("step".into(), Kind::Internal), ("sweep".into(), Kind::Internal)];
    assert_eq!(statistics.operations("job"), operations);
    assert_eq!(statistics.operations("nobody"), []);
}

#[test]
fn one_name_with_two_kinds_is_two_operations() {
    let statistics = Statistics::default();
    let both = [span("a", "get", Kind::Client, 1, None), span("a", "get", Kind::Server, 2, None)];
    statistics.observe(&batch(both), NOW);
    assert_eq!(statistics.operations("a"), [("get".into(), Kind::Server), ("get".into(), Kind::Client)]);
}

#[test]
fn roots_no_longer_count_once_a_service_has_answered() {
    let statistics = Statistics::default();
    statistics.observe(&batch([span("a", "start", Kind::Internal, 1, None)]), NOW);
    statistics.observe(&batch([span("a", "get", Kind::Server, 2, Some(9)).taking(3)]), NOW);
    statistics.observe(&batch([span("a", "tick", Kind::Internal, 3, None)]), NOW);
    let examples = Examples { recent: Some(trace(1)), slowest: Some(trace(1)), failed: None };
    let figures = &statistics.service_figures(0..u64::MAX)[0];
    assert_eq!((figures.operations, &figures.red), (3, &red(1, 0, 3, examples)));
}

#[test]
fn a_window_counts_what_arrived_in_it_whatever_the_spans_clocks_say() {
    let statistics = Statistics::default();
    for minute in 0..180 {
        let mut late = span("a", "get", Kind::Server, minute + 1, None);
        (late.start, late.end) = (minute % 2 * u64::MAX, 0);
        statistics.observe(&batch([late]), NOW + minute * MINUTE);
    }
    let end = NOW + 180 * MINUTE;
    let calls = |from: u64, to: u64| statistics.service_figures(from..to)[0].red.calls;
    assert_eq!(calls(end - HOUR, end), 60);
    assert_eq!(calls(end - 10 * MINUTE, end - 5 * MINUTE), 5);
    assert_eq!(calls(0, end), 180);
    assert_eq!(calls(0, NOW), 0);
    assert_eq!(calls(NOW, NOW + HOUR), 60);
}

#[test]
fn the_first_arrival_is_known_also_after_a_restart() {
    let statistics = Statistics::default();
    assert_eq!(statistics.first_arrival(), None);
    statistics.observe(&batch([span("a", "get", Kind::Internal, 1, Some(9))]), NOW + 7);
    statistics.observe(&batch([span("a", "get", Kind::Internal, 2, Some(9))]), NOW + HOUR);
    assert_eq!(statistics.first_arrival(), Some(NOW + 7));
    let restored = Statistics::restore(Bounds::default(), &statistics.checkpoint()).unwrap();
    assert_eq!(restored.first_arrival(), Some(NOW + 7));
}
