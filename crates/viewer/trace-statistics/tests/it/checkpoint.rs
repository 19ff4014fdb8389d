use crate::made::{HOUR, MINUTE, Made, NOW, batch, span};
use proptest::prelude::*;
use waypost_trace_model::{Kind, Span};
use waypost_trace_statistics::{AttributeScope, Bounds, OTHER, Statistics, Steps, Subject};

fn spans() -> impl Strategy<Value = Vec<(Span, u64)>> {
    let names = || prop::sample::select(vec!["a", "b", "c", "d"]);
    let attribute = (
        prop::sample::select(vec![
            "db.system.name",
            "server.address",
            "messaging.system",
            "cache.name",
            "route",
        ]),
        prop::sample::select(vec!["redis", "sqlite", "x", "y", "z"]),
    );
    let one = (
        (names(), names(), 0_u64..6, 1_u64..40, prop::option::of(1_u64..40), 1_u64..5),
        (0_u64..u64::MAX, any::<bool>(), prop::collection::vec(attribute, 0..4), 0_u64..10 * 24 * 60),
    );
    let one = one.prop_map(
        |((service, name, kind, own, parent, trace), (duration, failed, attributes, minute))| {
            let mut made = span(service, name, Kind::from_number(kind), own, parent).of(trace);
            made = made.linked(trace, own + 1).event("note", name);
            (made.start, made.end) = (0, duration);
            made = attributes.into_iter().fold(made, |made, (key, value)| made.with(key, value));
            (if failed { made.failed() } else { made }, NOW + minute * MINUTE)
        },
    );
    prop::collection::vec(one, 0..60)
}

/// Every answer there is.
fn answers(statistics: &Statistics) -> impl PartialEq + std::fmt::Debug + use<> {
    let services = statistics.services();
    let windows = [0..u64::MAX, NOW..NOW + HOUR, NOW + 24 * HOUR..NOW + 200 * HOUR];
    let figures = windows.map(|window| {
        let of = |service: &waypost_trace_model::Text| {
            (statistics.operations(service), statistics.operation_figures(service, window.clone()))
        };
        let operations: Vec<_> = services.iter().map(of).collect();
        (operations, statistics.service_figures(window.clone()), statistics.edges(window.clone()))
    });
    let scopes =
        [AttributeScope::Span, AttributeScope::Resource, AttributeScope::Event, AttributeScope::Link];
    let steps = Steps::new(&(NOW + 100 * HOUR..NOW + 250 * HOUR), None, NOW + 250 * HOUR).unwrap();
    let subjects = services.iter().map(|service| Subject::Service(service.clone()));
    let series: Vec<_> = subjects
        .map(|subject| {
            (statistics.series(&subject, &steps), statistics.same_hours(&subject, NOW + 240 * HOUR))
        })
        .collect();
    let totals = (statistics.operation_totals(&[1_000], 3), statistics.edge_totals(&[1_000], 3));
    let names = scopes.map(|scope| {
        let keys = statistics.keys(Some(scope), "", 100);
        let values: Vec<_> =
            keys.names.iter().map(|key| statistics.values(Some(scope), key, "", 100)).collect();
        (keys, values)
    });
    (services, figures, series, totals, names)
}

proptest! {
    #[test]
    fn what_is_restored_answers_as_before_and_goes_on_alike(before in spans(), after in spans(), tight: bool) {
        let tight_bounds = Bounds { services: 2, operations: 2, edges: 3, keys: 3, values: 2, pending: 4 };
        let bounds = if tight { tight_bounds } else { Bounds::default() };
        let statistics = Statistics::new(bounds.clone());
        for (span, now) in before {
            statistics.observe(&batch([span]), now);
        }
        let restored = Statistics::restore(bounds, &statistics.checkpoint()).unwrap();
        prop_assert_eq!(answers(&restored), answers(&statistics));
        for (span, now) in after {
            statistics.observe(&batch([span.clone()]), now);
            restored.observe(&batch([span]), now);
        }
        prop_assert_eq!(answers(&restored), answers(&statistics));
    }

    #[test]
    fn smaller_bounds_lose_no_call(before in spans()) {
        let statistics = Statistics::default();
        for (span, now) in before {
            statistics.observe(&batch([span]), now);
        }
        let tight = Bounds { services: 1, operations: 1, edges: 1, keys: 1, values: 1, pending: 9 };
        let restored = Statistics::restore(tight, &statistics.checkpoint()).unwrap();
        let edges = |of: &Statistics| of.edges(0..u64::MAX).iter().map(|edge| edge.red.calls).sum::<u64>();
        prop_assert_eq!(edges(&restored), edges(&statistics));
        let of_service = |of: &Statistics, service: &str| -> u64 {
            of.operation_figures(service, 0..u64::MAX).iter().map(|figures| figures.red.calls).sum()
        };
        let operations = |of: &Statistics| -> u64 { of.services().iter().map(|service| of_service(of, service)).sum() };
        prop_assert_eq!(operations(&restored), operations(&statistics));
        prop_assert!(restored.services().len() <= 2);
    }

    #[test]
    fn damaged_bytes_are_refused_or_read_and_never_end_the_program(
        before in spans(),
        at: prop::sample::Index,
        byte: u8,
    ) {
        let statistics = Statistics::default();
        for (span, now) in before {
            statistics.observe(&batch([span]), now);
        }
        let mut bytes = statistics.checkpoint();
        let cut = at.index(bytes.len());
        prop_assert!(Statistics::restore(Bounds::default(), &bytes[..cut]).is_err());
        bytes[cut] = byte;
        if let Ok(restored) = Statistics::restore(Bounds::default(), &bytes) {
            answers(&restored);
        }
    }
}

#[test]
fn smaller_bounds_hold_for_what_is_restored() {
    let statistics = Statistics::default();
    let services = ["a", "b", "c"].map(|service| span(service, "get", Kind::Server, 1, None));
    statistics.observe(&batch(services), NOW);
    let bounds = Bounds { services: 1, ..Bounds::default() };
    let restored = Statistics::restore(bounds, &statistics.checkpoint()).unwrap();
    let figures = restored.service_figures(0..u64::MAX);
    let calls: Vec<_> = figures.iter().map(|figures| (&*figures.service, figures.red.calls)).collect();
    assert_eq!(calls, [(OTHER, 2), ("a", 1)]);
}
