//! What whoever watches asks: a window as one, the same hour of earlier days, what is busy.

use crate::made::{HOUR, MINUTE, Made, NOW, SECOND, batch, span};
use waypost_trace_model::{Kind, Span};
use waypost_trace_statistics::{Hour, Peer, PeerKind, Statistics, Subject};

const DAY: u64 = 24 * HOUR;

fn pay(number: u64, milliseconds: u64) -> Span {
    span("till", "pay", Kind::Server, number, None).of(number).taking(milliseconds * 1_000_000)
}

fn paying() -> Subject {
    Subject::Operations { service: "till".into(), name: Some("pay".into()), kinds: vec![Kind::Server] }
}

/// On each of `days` days, from the oldest, ten calls between 12:10 and 12:20 of which as many fail as the day's number says,
/// and five between 14:10 and 14:20. `NOW` is 8:00 of the last day.
fn days(statistics: &Statistics, days: u64) {
    for day in 0..days {
        for number in 0..15_u64 {
            let hour = if number < 10 { 4 } else { 6 };
            let at = NOW - (days - day) * DAY + hour * HOUR + (10 + number % 10) * MINUTE;
            let call = pay(1 + day * 100 + number, 10 * (day + 1));
            let call = if number < day { call.failed() } else { call };
            statistics.observe(&batch([call]), at);
        }
    }
}

#[test]
fn the_same_hour_of_the_seven_days_before_is_there() {
    let statistics = Statistics::default();
    days(&statistics, 9);
    let now = NOW + 4 * HOUR + 15 * MINUTE;
    statistics.observe(&batch([pay(5000, 1)]), now);
    let found = statistics.same_hours(&paying(), now);
    let counts: Vec<(u64, u64, u64)> =
        found.iter().map(|hour| ((now - hour.start) / DAY, hour.calls, hour.errors)).collect();
    let expected: Vec<(u64, u64, u64)> = (1..=7).map(|ago| (ago, 10, 9 - ago)).collect();
    assert_eq!(counts, expected, "hours of today do not count");
    for hour in &found {
        let ago = (now - hour.start) / DAY;
        let exact = 10 * (10 - ago) * 1_000_000;
        assert!(hour.p95.abs_diff(exact) <= exact / 50, "{hour:?}");
    }
    assert_eq!(statistics.same_hours(&paying(), now + HOUR), [], "nothing ever came at that hour");
    let restored = Statistics::restore(waypost_trace_statistics::Bounds::default(), &statistics.checkpoint());
    assert_eq!(restored.unwrap().same_hours(&paying(), now), found);
}

#[test]
fn hours_of_several_kinds_are_added() {
    let statistics = Statistics::default();
    let other = span("till", "pay", Kind::Client, 1, None).taking(SECOND);
    statistics.observe(&batch([pay(2, 5), pay(3, 5), other]), NOW);
    let all = Subject::Operations { service: "till".into(), name: Some("pay".into()), kinds: Vec::new() };
    let found = statistics.same_hours(&all, NOW + DAY);
    assert_eq!(found, [], "the hour is not yet over a day old for the statistics, as nothing came since");
    statistics.observe(&batch([pay(9, 5)]), NOW + DAY);
    let found = statistics.same_hours(&all, NOW + DAY);
    assert!(matches!(found[..], [Hour { start: NOW, calls: 3, .. }]), "{found:?}");
    assert!(found[0].p95 < 6_000_000, "of the kind with more calls: {found:?}");
}

#[test]
fn a_window_is_one_step_and_says_how_many_were_good() {
    let statistics = Statistics::default();
    for number in 0..100 {
        let call = pay(number + 1, if number < 20 { 400 } else { 10 });
        let call = if number % 10 == 0 { call.failed() } else { call };
        statistics.observe(&batch([call]), NOW + number * SECOND);
    }
    let window = statistics.window(&paying(), &(NOW..NOW + 100 * SECOND)).unwrap();
    assert_eq!((window.calls(), window.errors(), window.start), (100, 10, NOW));
    assert_eq!((window.within(100_000_000), window.good(None), window.good(Some(100_000_000))), (80, 90, 72));
    let later = statistics.window(&paying(), &(NOW + HOUR..NOW + 2 * HOUR)).unwrap();
    assert_eq!(later.calls(), 0, "known, and silent");
    assert!(statistics.window(&Subject::Service("nobody".into()), &(0..u64::MAX)).is_none());
}

#[test]
fn entries_and_edges_to_the_outside_are_watched_when_they_are_busy() {
    let statistics = Statistics::default();
    for number in 0..10 {
        let query = span("till", "SELECT", Kind::Client, 2, Some(1)).of(number + 1);
        let query = query.with("db.system.name", "sqlite");
        let job = span("clock", "tick", Kind::Internal, 3, None).of(number + 1);
        statistics.observe(&batch([pay(number + 1, 5), query, job]), NOW);
    }
    let database = Peer { kind: PeerKind::Database, name: "sqlite".into() };
    let till = Peer { kind: PeerKind::Service, name: "till".into() };
    let expected = [Subject::Service("clock".into()), paying(), Subject::Edge { from: till, to: database }];
    assert_eq!(statistics.busy(&(NOW..NOW + MINUTE), 10), expected);
    assert_eq!(statistics.busy(&(NOW..NOW + MINUTE), 11), []);
    assert_eq!(statistics.busy(&(NOW + HOUR..NOW + 2 * HOUR), 1), []);
}
