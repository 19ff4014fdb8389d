//! Series are what a recount of the spans says: counts exactly, latencies within the sketch's 2 %.

use crate::made::{HOUR, MINUTE, Made, NOW, batch, span, text, trace};
use proptest::prelude::*;
use std::sync::Arc;
use waypost_trace_model::{Kind, Resource, Span};
use waypost_trace_statistics::{
    Bounds, Deployment, LatencyCount, Peer, PeerKind, Statistics, Step, Steps, StepsError, Subject,
    latency_bound,
};

const DAY: u64 = 24 * HOUR;
const MILLISECOND: u64 = 1_000_000;

/// A call as it was sent, and when it arrived.
#[derive(Clone, Debug)]
struct Sent {
    arrival: u64,
    duration: u64,
    has_failed: bool,
    operation: &'static str,
    /// The span's own clock, which must not matter.
    start: u64,
}

fn sent() -> impl Strategy<Value = Vec<Sent>> {
    let one = (
        0_u64..(2 * DAY),
        0_u64..3_000 * MILLISECOND,
        any::<bool>(),
        prop::sample::select(vec!["get", "put"]),
        0_u64..NOW,
    );
    let one = one.prop_map(|(after, duration, has_failed, operation, start)| Sent {
        arrival: NOW + after,
        duration,
        has_failed,
        operation,
        start,
    });
    prop::collection::vec(one, 1..80).prop_map(|mut sent| {
        sent.sort_by_key(|sent| sent.arrival);
        sent
    })
}

fn observe(statistics: &Statistics, sent: &[Sent]) {
    for (sent, number) in sent.iter().zip(1..) {
        let mut made = span("shop", sent.operation, Kind::Server, number, None).of(number);
        (made.start, made.end) = (sent.start, sent.start + sent.duration);
        statistics.observe(&batch([if sent.has_failed { made.failed() } else { made }]), sent.arrival);
    }
}

/// What the series must say of a step, counted from the spans.
fn assert_recounted(step: &Step, width: u64, sent: &[Sent], is_meant: impl Fn(&Sent) -> bool) {
    let within = step.start..step.start + width;
    let meant: Vec<&Sent> =
        sent.iter().filter(|sent| within.contains(&sent.arrival) && is_meant(sent)).collect();
    let failed = meant.iter().filter(|sent| sent.has_failed).count();
    assert_eq!((step.calls(), step.errors()), (meant.len() as u64, failed as u64), "at {}", step.start);
    let mut durations: Vec<u64> = meant.iter().map(|sent| sent.duration).collect();
    durations.sort_unstable();
    for part in [0.5_f64, 0.75, 0.95, 0.99] {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
        let rank = (durations.len() as f64 * part).ceil() as usize;
        let exact = rank.checked_sub(1).map(|place| durations[place]);
        match (step.quantile(part), exact) {
            (Some(told), Some(exact)) => {
                assert!(told.abs_diff(exact) <= exact / 50, "{part}: {told} instead of {exact}");
            }
            (told, exact) => assert_eq!(told, exact),
        }
    }
    assert_eq!(step.apdex(MILLISECOND).is_none(), meant.is_empty());
    let counts = step.latencies();
    assert_eq!(counts.iter().map(|count| count.calls).sum::<u64>(), step.calls());
    assert_eq!(counts.iter().map(|count| count.errors).sum::<u64>(), step.errors());
    for LatencyCount { range, calls, .. } in counts {
        let bounds = latency_bound(range)..latency_bound(range + 1);
        assert_eq!(durations.iter().filter(|duration| bounds.contains(duration)).count() as u64, calls);
    }
}

proptest! {
    #[test]
    fn a_series_is_a_recount_of_the_spans(
        sent in sent(),
        ages in prop::collection::vec(1_u64..2 * DAY, 3),
        times in 1_u64..5,
        break_at in any::<prop::sample::Index>(),
    ) {
        // A restart in between changes nothing.
        let (before, after) = sent.split_at(break_at.index(sent.len()));
        let statistics = Statistics::default();
        observe(&statistics, before);
        let statistics = Statistics::restore(Bounds::default(), &statistics.checkpoint()).unwrap();
        observe(&statistics, after);
        let now = sent.last().unwrap().arrival;
        for age in ages {
            let window = now.saturating_sub(age)..now + 1;
            let width = Steps::finest(age) * times;
            let steps = Steps::new(&window, Some(width), now).unwrap();
            let service = statistics.series(&Subject::Service("shop".into()), &steps).unwrap();
            prop_assert_eq!(service[0].start / width * width, service[0].start);
            // The first step is left out when it would reach back beyond what is kept so finely.
            prop_assert!(service[0].start < window.start + width);
            prop_assert!(steps.window().end >= window.end);
            for step in &service {
                assert_recounted(step, width, &sent, |_| true);
            }
            let subject = |name: &str| Subject::Operations {
                service: "shop".into(), name: Some(name.into()), kinds: vec![Kind::Server],
            };
            if let Some(steps) = statistics.series(&subject("get"), &steps) {
                for step in &steps {
                    assert_recounted(step, width, &sent, |sent| sent.operation == "get");
                }
            }
        }
    }
}

#[test]
fn a_width_that_is_not_kept_is_refused_with_the_finest_that_is() {
    let now = NOW + DAY;
    let of =
        |age: u64, width: u64| Steps::new(&(now - age..now), Some(width), now).map(|steps| steps.width());
    assert_eq!(of(HOUR, MINUTE), Ok(MINUTE));
    assert_eq!(of(HOUR + 1, MINUTE), Err(StepsError::Width { finest: 10 * MINUTE }));
    assert_eq!(of(6 * HOUR, 20 * MINUTE), Ok(20 * MINUTE));
    assert_eq!(of(7 * HOUR, 90 * MINUTE), Err(StepsError::Width { finest: HOUR }));
    assert_eq!(of(DAY, 5 * HOUR), Ok(5 * HOUR));
    assert_eq!(of(3 * DAY, HOUR), Err(StepsError::Width { finest: DAY }));
    assert_eq!(of(HOUR, 0), Err(StepsError::Width { finest: MINUTE }));
    assert_eq!(Steps::new(&(0..now), None, now), Err(StepsError::TooMany(now.div_ceil(DAY))));
    let refused = StepsError::Width { finest: HOUR }.to_string();
    assert_eq!(refused, "must be a whole multiple of 1h: what is kept of so early a time is no finer");
}

#[test]
fn empty_steps_have_no_latency_and_unknown_subjects_no_steps() {
    let statistics = Statistics::default();
    statistics.observe(&batch([span("a", "get", Kind::Server, 1, None)]), NOW);
    let steps = Steps::new(&(NOW - 2 * MINUTE..NOW + 1), None, NOW).unwrap();
    let series = statistics.series(&Subject::Service("a".into()), &steps).unwrap();
    let told: Vec<_> = series.iter().map(|step| (step.calls(), step.quantile(0.5).is_some())).collect();
    assert_eq!(told, [(0, false), (0, false), (1, true)]);
    let subjects = [
        Subject::Service("b".into()),
        Subject::Operations { service: "a".into(), name: Some("put".into()), kinds: Vec::new() },
        Subject::Operations { service: "a".into(), name: None, kinds: vec![Kind::Client] },
    ];
    assert!(subjects.iter().all(|subject| statistics.series(subject, &steps).is_none()));
    assert_eq!(statistics.first_arrival(), Some(NOW));
}

#[test]
fn an_edge_has_a_series_and_one_to_an_outside_host_once_it_is_decided() {
    let statistics = Statistics::default();
    let call = |number: u64| span("a", "charge", Kind::Client, number, None).with("server.address", "bank");
    statistics.observe(
        &batch([
            span("a", "get b", Kind::Client, 1, None),
            span("b", "get b", Kind::Server, 2, Some(1)).failed(),
            call(3).taking(9),
        ]),
        NOW,
    );
    let peer = |kind, name: &str| Peer { kind, name: name.into() };
    let calls = |to: Peer, end: u64| {
        let steps = Steps::new(&(NOW - MINUTE..end), None, end).unwrap();
        let subject = Subject::Edge { from: peer(PeerKind::Service, "a"), to };
        let series = statistics.series(&subject, &steps);
        series.map(|series| series.iter().map(Step::calls).collect::<Vec<_>>())
    };
    assert_eq!(calls(peer(PeerKind::Service, "b"), NOW + 1), Some(vec![0, 1]));
    assert_eq!(calls(peer(PeerKind::External, "bank"), NOW + 1), None);
    assert_eq!(calls(peer(PeerKind::External, "bank"), NOW + 2 * MINUTE), Some(vec![0, 1, 0]));
    assert_eq!(calls(peer(PeerKind::Service, "c"), NOW + 1), None);
}

#[test]
fn apdex_counts_slow_calls_half_and_failed_ones_not_at_all() {
    let statistics = Statistics::default();
    let call = |number, took: u64| span("a", "get", Kind::Server, number, None).taking(took * MILLISECOND);
    let calls = [call(1, 10), call(2, 300), call(3, 900), call(4, 10).failed()];
    statistics.observe(&batch(calls), NOW);
    let steps = Steps::new(&(NOW..NOW + 1), None, NOW).unwrap();
    let series = statistics.series(&Subject::Service("a".into()), &steps).unwrap();
    let apdex = |target: u64| series[0].apdex(target * MILLISECOND).unwrap();
    assert!((apdex(100) - (1.0 + 0.5) / 4.0).abs() < 1e-9);
    assert!((apdex(1_000) - 3.0 / 4.0).abs() < 1e-9);
}

fn of_version(version: &str, number: u64) -> Span {
    let mut made = span("shop", "get", Kind::Server, number, None);
    let attributes = vec![text("service.name", "shop"), text("service.version", version)];
    made.resource = Arc::new(Resource::new(attributes, 0, "".into()));
    made
}

#[test]
fn versions_of_a_service_are_kept_with_the_time_they_came() {
    let statistics = Statistics::default();
    for (version, minute) in [("1.4.0", 0), ("1.4.0", 30), ("1.5.0", 31), ("1.4.0", 32)] {
        statistics.observe(&batch([of_version(version, minute + 1)]), NOW + minute * MINUTE);
    }
    let restored = Statistics::restore(Bounds::default(), &statistics.checkpoint()).unwrap();
    let version = |version: &str, first: u64, last: u64| Deployment {
        version: version.into(),
        first: NOW + first * MINUTE,
        last: NOW + last * MINUTE,
    };
    assert_eq!(restored.deployments("shop"), [version("1.4.0", 0, 32), version("1.5.0", 31, 31)]);
    assert_eq!(restored.deployments("nobody"), []);
}

#[test]
fn counters_never_go_back_and_end_in_other_beyond_their_bound() {
    let statistics = Statistics::default();
    let bounds = [MILLISECOND / 2, 2 * MILLISECOND];
    let mut last = 0;
    for hour in 0..10 * 24 {
        statistics
            .observe(&batch([span("a", "get", Kind::Server, hour + 1, None).failed()]), NOW + hour * HOUR);
        let totals = &statistics.operation_totals(&bounds, 10)[0].totals;
        assert_eq!((totals.calls, totals.errors), (last + 1, last + 1));
        assert_eq!((&*totals.up_to, totals.duration), (&[0, last + 1][..], (last + 1) * MILLISECOND));
        last = totals.calls;
    }
    let restored = Statistics::restore(Bounds::default(), &statistics.checkpoint()).unwrap();
    assert_eq!(restored.operation_totals(&bounds, 10), statistics.operation_totals(&bounds, 10));
    restored.observe(&batch([span("a", "put", Kind::Server, 900, None).of(7).taking(90)]), NOW + 300 * HOUR);
    let totals = restored.operation_totals(&bounds, 1);
    let told: Vec<_> = totals.iter().map(|one| (&*one.name, one.totals.calls, one.totals.slowest)).collect();
    assert_eq!(told, [("(other)", 1, Some((trace(7), 90))), ("get", last, Some((trace(1), MILLISECOND)))]);
    let edges = restored.edge_totals(&bounds, 10);
    assert_eq!((edges.len(), &*edges[0].from.name, edges[0].totals.calls), (1, "outside", last + 1));
}

#[test]
fn steps_wider_than_their_window_have_figures_at_any_time_of_day() {
    let statistics = Statistics::default();
    for minute in 0..300 {
        let now = NOW + minute * MINUTE;
        statistics.observe(&batch([span("a", "get", Kind::Server, minute + 1, None)]), now);
        let steps = Steps::new(&(now - HOUR..now + 1), Some(2 * HOUR), now).unwrap();
        let begin = steps.window().start;
        let series = statistics.series(&Subject::Service("a".into()), &steps).unwrap();
        let calls: u64 = series.iter().map(Step::calls).sum();
        let expected = (0..=minute).filter(|minute| NOW + minute * MINUTE >= begin).count() as u64;
        assert_eq!(calls, expected, "{minute} minutes after the first");
    }
}
