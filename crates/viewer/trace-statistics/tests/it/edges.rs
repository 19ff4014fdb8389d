use crate::made::{HOUR, MINUTE, Made, NOW, SECOND, batch, shown, span};
use std::sync::Arc;
use waypost_trace_model::{Kind, Scope, Span, Value, zipkin};
use waypost_trace_statistics::{Bounds, Statistics};

/// The map of everything after one batch.
fn map(spans: impl IntoIterator<Item = Span>) -> Vec<String> {
    let statistics = Statistics::default();
    statistics.observe(&batch(spans), NOW);
    shown(&statistics.edges(NOW - HOUR..NOW + 1))
}

fn client() -> Span {
    let call = span("gateway", "Create", Kind::Client, 2, Some(1)).with("server.address", "order:9090");
    call.taking(900).failed()
}

fn server() -> Span {
    let mut answer = span("order", "Create", Kind::Server, 3, Some(2)).taking(700);
    answer.flags = 0x301;
    answer
}

#[test]
fn halves_of_a_call_meet_in_either_order_and_the_callers_figures_count() {
    for halves in [[client(), server()], [server(), client()]] {
        let statistics = Statistics::default();
        for (place, half) in halves.into_iter().enumerate() {
            statistics.observe(&batch([half]), NOW + place as u64 * SECOND);
        }
        let edges = statistics.edges(NOW..NOW + HOUR);
        assert_eq!(shown(&edges), ["service:gateway -> service:order 1 1"]);
        assert!(edges[0].red.p99.abs_diff(900) <= 18, "{:?}", edges[0].red);
    }
    assert_eq!(map([client(), server()]), ["service:gateway -> service:order 1 1"]);
}

#[test]
fn a_host_that_sends_no_spans_is_external_after_a_minute_and_its_late_half_changes_nothing() {
    let statistics = Statistics::default();
    statistics.observe(&batch([client()]), NOW);
    assert_eq!(shown(&statistics.edges(0..NOW + MINUTE - 1)), [] as [&str; 0]);
    let external = ["service:gateway -> external:order:9090 1 1"];
    // Nothing arrived since, and yet its time is over.
    assert_eq!(shown(&statistics.edges(0..NOW + MINUTE)), external);
    statistics.observe(&batch([span("other", "x", Kind::Internal, 9, Some(1))]), NOW + MINUTE);
    assert_eq!(shown(&statistics.edges(0..NOW + MINUTE)), external);
    statistics.observe(&batch([server()]), NOW + MINUTE);
    statistics.observe(&batch([span("other", "x", Kind::Internal, 9, Some(1))]), NOW + 3 * MINUTE);
    assert_eq!(shown(&statistics.edges(0..u64::MAX)), external);
}

#[test]
fn asking_does_not_decide_a_call() {
    let statistics = Statistics::default();
    statistics.observe(&batch([client()]), NOW);
    assert_eq!(shown(&statistics.edges(0..u64::MAX)), ["service:gateway -> external:order:9090 1 1"]);
    statistics.observe(&batch([server()]), NOW + SECOND);
    assert_eq!(shown(&statistics.edges(0..u64::MAX)), ["service:gateway -> service:order 1 1"]);
}

#[test]
fn the_oldest_half_is_decided_first_when_too_many_wait() {
    let statistics = Statistics::new(Bounds { pending: 2, ..Bounds::default() });
    let call = |own: u64, host: &str| span("a", "call", Kind::Client, own, None).with("server.address", host);
    statistics.observe(&batch([call(1, "one"), call(2, "two"), call(3, "three")]), NOW);
    assert_eq!(shown(&statistics.edges(0..NOW + 1)), ["service:a -> external:one 1 0"]);
}

#[test]
fn a_call_without_any_name_of_a_host_is_no_edge() {
    let statistics = Statistics::default();
    statistics.observe(&batch([span("a", "call", Kind::Client, 1, None)]), NOW);
    assert_eq!(statistics.edges(0..u64::MAX), []);
}

#[test]
fn a_server_without_a_parent_is_called_from_outside() {
    assert_eq!(
        map([span("gateway", "POST", Kind::Server, 1, None)]),
        ["caller:outside -> service:gateway 1 0"]
    );
}

/// Every order of three spans.
fn orders(spans: &[Span; 3]) -> Vec<Vec<Span>> {
    let places = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    places.iter().map(|order| order.iter().map(|place| spans[*place].clone()).collect()).collect()
}

#[test]
fn a_caller_without_a_client_span_is_a_caller() {
    let proxy = span("proxy", "GET", Kind::Server, 1, None);
    let step = span("shop", "step", Kind::Internal, 3, Some(2));
    for spans in orders(&[
        proxy,
        span("shop", "GET", Kind::Server, 2, Some(1)).failed(),
        span("stock", "GET", Kind::Server, 4, Some(3)),
    ]) {
        for place in 0..=spans.len() {
            let mut spans = spans.clone();
            spans.insert(place, step.clone());
            let expected = [
                "service:proxy -> service:shop 1 1",
                "service:shop -> service:stock 1 0",
                "caller:outside -> service:proxy 1 0",
            ];
            assert_eq!(map(spans), expected);
        }
    }
}

#[test]
fn every_call_of_a_span_that_is_no_client_counts() {
    let calls = |from: u64| (from..from + 5).map(|own| span("shop", "GET", Kind::Server, own, Some(1)));
    let caller = || span("proxy", "batch", Kind::Internal, 1, None);
    assert_eq!(map([caller()].into_iter().chain(calls(2))), ["service:proxy -> service:shop 5 0"]);
    assert_eq!(map(calls(2).chain([caller()]).chain(calls(9))), ["service:proxy -> service:shop 10 0"]);
    assert_eq!(map([caller(), span("proxy", "in", Kind::Server, 2, Some(1))]), [] as [&str; 0]);
}

#[test]
fn a_consumer_below_a_span_that_is_no_producer_was_called_by_it() {
    let consumer = || span("mail", "process", Kind::Consumer, 2, Some(1));
    let caller = || span("order", "place", Kind::Server, 1, Some(9));
    assert_eq!(map([caller(), consumer()]), ["service:order -> service:mail 1 0"]);
    assert_eq!(map([consumer(), caller()]), ["service:order -> service:mail 1 0"]);
}

/// As Zipkin's tracers send it: the server has the client's id.
fn shared(service: &str, own: u64, parent: Option<u64>) -> Span {
    let mut server =
        span(service, "get", Kind::Server, own, parent).value("zipkin.shared", Value::Bool(true));
    server.scope = Arc::new(Scope { schema_url: zipkin::SCHEMA_URL.into(), ..Scope::default() });
    server
}

#[test]
fn halves_that_share_an_id_are_one_call() {
    let client = |parent| span("web", "get", Kind::Client, 2, parent).failed();
    for parent in [None, Some(1)] {
        let expected = ["service:web -> service:orders 1 1"];
        assert_eq!(map([client(parent), shared("orders", 2, parent)]), expected);
        assert_eq!(map([shared("orders", 2, parent), client(parent)]), expected);
    }
    let unsaid = span("orders", "get", Kind::Server, 2, Some(1));
    assert_eq!(map([client(Some(1)), unsaid]), ["service:web -> service:orders 1 1"]);
}

#[test]
fn what_both_halves_of_a_shared_id_call_is_called_by_their_services() {
    let below = |service: &str, own: u64| span(service, "get", Kind::Server, own, Some(2));
    assert_eq!(
        map([span("web", "get", Kind::Client, 2, None), shared("orders", 2, None), below("stock", 3),]),
        ["service:orders -> service:stock 1 0", "service:web -> service:orders 1 0"]
    );
}

#[test]
fn a_span_that_is_sent_again_is_not_counted_again() {
    let statistics = Statistics::default();
    let one = |own: u64| span("shop", "GET", Kind::Server, own, None);
    for spans in [[one(1), one(2)], [one(2), one(3)], [one(1), one(2)], [one(2), one(1)]] {
        statistics.observe(&batch(spans), NOW);
    }
    let window = NOW - HOUR..NOW + 1;
    assert_eq!(statistics.service_figures(window.clone())[0].red.calls, 3);
    assert_eq!(statistics.operation_figures("shop", window.clone())[0].red.calls, 3);
    assert_eq!(shown(&statistics.edges(window)), ["caller:outside -> service:shop 3 0"]);
}

#[test]
fn databases_and_caches_are_edges_at_once() {
    let call = |own: u64| span("user", "op", Kind::Client, own, Some(1));
    assert_eq!(
        map([
            call(2).with("db.system.name", "sqlite").with("db.namespace", "user"),
            call(3).with("db.system", "mysql").with("db.name", "old"),
            call(4).with("db.system.name", "redis").with("server.address", "cache1"),
            span("user", "cache get", Kind::Internal, 5, Some(1)).with("cache.name", "users"),
            call(6).with("peer.service", "mail"),
        ]),
        [
            "service:user -> database:mysql/old 1 0",
            "service:user -> database:sqlite/user 1 0",
            "service:user -> cache:redis/cache1 1 0",
            "service:user -> cache:users 1 0",
        ]
    );
}

fn producer(own: u64) -> Span {
    span("order", "send", Kind::Producer, own, Some(1))
}

fn consumer(own: u64) -> Span {
    span("mail", "process", Kind::Consumer, own, None).of(7)
}

fn to_orders(span: Span) -> Span {
    span.with("messaging.system", "kafka").with("messaging.destination.name", "orders")
}

#[test]
fn messages_go_through_the_destination_whichever_half_names_it_and_whichever_comes_first() {
    let through =
        ["service:order -> messaging:kafka/orders 1 0", "messaging:kafka/orders -> service:mail 1 0"];
    let named = [
        [to_orders(producer(2)), to_orders(consumer(3).linked(1, 2))],
        [to_orders(producer(2)), consumer(3).linked(1, 2)],
        [producer(2), to_orders(consumer(3).linked(1, 2))],
    ];
    for halves in named {
        let [first, second] = halves.clone();
        assert_eq!(map([second, first]), through);
        assert_eq!(map(halves), through);
    }
}

#[test]
fn a_message_of_which_neither_half_names_the_destination_goes_direct() {
    let child = |own: u64| span("mail", "process", Kind::Consumer, own, Some(2));
    let direct = ["service:order -> service:mail 1 0"];
    assert_eq!(map([producer(2), child(3)]), direct);
    assert_eq!(map([child(3), producer(2)]), direct);
}

#[test]
fn every_consumer_of_a_message_is_an_edge_and_its_producer_one() {
    let spans = [
        producer(2),
        to_orders(consumer(3).linked(1, 2)),
        to_orders(span("audit", "process", Kind::Consumer, 4, Some(2))),
    ];
    assert_eq!(
        map(spans),
        [
            "service:order -> messaging:kafka/orders 1 0",
            "messaging:kafka/orders -> service:audit 1 0",
            "messaging:kafka/orders -> service:mail 1 0",
        ]
    );
}

#[test]
fn a_client_that_receives_is_called_by_the_broker() {
    let poll =
        to_orders(span("mail", "poll", Kind::Client, 2, None)).with("messaging.operation.type", "receive");
    assert_eq!(map([poll]), ["messaging:kafka/orders -> service:mail 1 0"]);
}
