use crate::made::{MINUTE, Made, NOW, SECOND, batch, span};
use waypost_trace_model::Kind;
use waypost_trace_statistics::{AttributeScope, Bounds, OTHER, Peer, PeerKind, Statistics};

const BOUNDS: Bounds = Bounds { services: 10, operations: 20, edges: 30, keys: 40, values: 5, pending: 50 };

fn peer(kind: PeerKind, name: &str) -> Peer {
    Peer { kind, name: name.into() }
}

#[test]
fn invented_services_and_operations_end_in_other_and_are_still_counted() {
    let statistics = Statistics::new(BOUNDS);
    for number in 0..1_000_u64 {
        let name = format!("operation-{number}");
        let spans = [
            span(&format!("service-{number}"), "get", Kind::Server, number + 1, None),
            span("service-1", &name, Kind::Internal, number + 1, Some(9)),
        ];
        statistics.observe(&batch(spans), NOW + number * SECOND / 20);
    }
    let services = statistics.services();
    assert_eq!(services.len(), BOUNDS.services + 1);
    assert_eq!(services[0], OTHER);
    assert_eq!(statistics.service_figures(0..u64::MAX)[0].red.calls, 990);
    let operations = statistics.operation_figures("service-1", 0..u64::MAX);
    assert_eq!(operations.len(), BOUNDS.operations + 1);
    assert_eq!((&*operations[0].name, operations[0].red.calls), (OTHER, 1_000 - 19));
}

#[test]
fn invented_peers_end_in_other_and_are_still_counted() {
    let statistics = Statistics::new(BOUNDS);
    for number in 0..1_000_u64 {
        let call = span("a", "call", Kind::Client, number + 1, None);
        statistics.observe(&batch([call.with("db.system.name", &format!("db-{number}"))]), NOW);
    }
    let edges = statistics.edges(0..u64::MAX);
    assert_eq!(edges.len(), BOUNDS.edges + 1);
    let other = edges.iter().find(|edge| edge.to == peer(PeerKind::Database, OTHER)).unwrap();
    assert_eq!(other.red.calls, 1_000 - 30);
}

#[test]
fn names_of_many_bytes_end_in_other_and_take_no_room() {
    let statistics = Statistics::new(BOUNDS);
    let long = "x".repeat(100_000);
    let spans = [
        span(&long, "get", Kind::Server, 1, Some(7)),
        span("a", &long, Kind::Internal, 2, Some(7)),
        span("a", "call", Kind::Client, 3, None).with("db.system.name", &long),
        span("a", "call", Kind::Client, 4, None).with("server.address", &long),
    ];
    statistics.observe(&batch(spans), NOW);
    assert_eq!(statistics.services(), [OTHER, "a"]);
    assert_eq!(statistics.operations("a").first().map(|(name, _)| &**name), Some(OTHER));
    let peers: Vec<Peer> = statistics.edges(0..NOW + MINUTE).into_iter().map(|edge| edge.to).collect();
    assert_eq!(peers, [peer(PeerKind::Database, OTHER), peer(PeerKind::External, OTHER)]);
    assert!(statistics.checkpoint().len() < 10_000);
}

#[test]
fn invented_attributes_stop_at_the_bound() {
    let statistics = Statistics::new(BOUNDS);
    for number in 0..1_000_u64 {
        let get = span("a", "get", Kind::Server, 1, None);
        let key = format!("key-{number}");
        statistics.observe(&batch([get.with(&key, "v").with("user", &key).event(&key, "v")]), NOW);
    }
    for scope in [AttributeScope::Span, AttributeScope::Event] {
        let keys = statistics.keys(Some(scope), "", usize::MAX);
        assert_eq!((keys.names.len(), keys.is_partial), (BOUNDS.keys, true));
    }
    assert_eq!(statistics.values(None, "user", "", usize::MAX).names.len(), BOUNDS.values);
}

#[test]
fn halves_that_never_meet_do_not_pile_up() {
    let statistics = Statistics::new(BOUNDS);
    let halves = |number: u64| {
        let own = number + 1;
        [
            span("a", "call", Kind::Client, own, None).with("server.address", "host"),
            span("b", "get", Kind::Server, own, Some(own + 1_000_000)),
            span("c", "send", Kind::Producer, own + 2_000_000, None),
            span("d", "process", Kind::Consumer, own, Some(own + 3_000_000)),
        ]
    };
    statistics.observe(&batch((0..BOUNDS.pending as u64).flat_map(halves)), NOW);
    let small = statistics.checkpoint().len();
    statistics.observe(&batch((1_000..20_000).flat_map(halves)), NOW);
    let grown = statistics.checkpoint().len();
    assert!(grown < small + 200, "{small} bytes became {grown}");
    assert!(statistics.edges(0..NOW + 1)[0].red.calls > 18_000);
}
