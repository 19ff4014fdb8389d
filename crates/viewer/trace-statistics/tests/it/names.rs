use crate::made::{Made, NOW, SECOND, batch, span};
use waypost_trace_model::{Kind, Value};
use waypost_trace_statistics::{AttributeScope, Bounds, Statistics, Suggestions};

fn names<const N: usize>(names: [&str; N], is_partial: bool) -> Suggestions {
    Suggestions { names: names.into_iter().map(Into::into).collect(), is_partial }
}

fn seen() -> Statistics {
    let statistics = Statistics::default();
    let get = || span("a", "get", Kind::Server, 1, None);
    statistics.observe(
        &batch([
            get().with("http.route", "/b").value("http.status", Value::Int(200)),
            get().with("http.route", "/a").value("http.status", Value::Int(200)),
            get().with("http.route", "/b").value("is.new", Value::Bool(true)),
            get().event("exception.type", "Timeout").linked(1, 2).with("Tenant", "Äpfel"),
        ]),
        NOW,
    );
    statistics
}

#[test]
fn keys_are_told_by_scope_and_part_and_the_most_frequent_first() {
    let statistics = seen();
    assert_eq!(
        statistics.keys(Some(AttributeScope::Span), "", 9),
        names(["http.route", "http.status", "Tenant", "is.new"], false)
    );
    assert_eq!(statistics.keys(Some(AttributeScope::Span), "TEN", 9), names(["Tenant"], false));
    assert_eq!(statistics.keys(Some(AttributeScope::Event), "", 9), names(["exception.type"], false));
    assert_eq!(statistics.keys(Some(AttributeScope::Link), "", 9), names(["link.reason"], false));
    assert_eq!(statistics.keys(Some(AttributeScope::Resource), "", 9), names(["service.name"], false));
    assert_eq!(statistics.keys(None, "e", 2), names(["service.name", "http.route"], true));
}

#[test]
fn values_are_told_as_a_person_writes_them() {
    let statistics = seen();
    assert_eq!(statistics.values(None, "http.route", "", 9), names(["/b", "/a"], false));
    assert_eq!(statistics.values(None, "http.status", "20", 9), names(["200"], false));
    assert_eq!(statistics.values(None, "is.new", "", 9), names(["true"], false));
    assert_eq!(statistics.values(None, "Tenant", "äPF", 9), names(["Äpfel"], false));
    assert_eq!(statistics.values(Some(AttributeScope::Event), "Tenant", "", 9), names([], false));
    assert_eq!(statistics.values(None, "nothing", "", 9), names([], false));
}

#[test]
fn a_key_of_too_many_values_keeps_the_first_and_says_so() {
    let statistics = Statistics::new(Bounds { values: 3, keys: 2, ..Bounds::default() });
    let get = |number: u64| span("a", "get", Kind::Server, number, None);
    let user = |number: u64| get(number).with("user.id", &number.to_string());
    statistics.observe(&batch((1..10).map(user)), NOW);
    statistics.observe(&batch([get(1).with("user.id", "2").with("k2", "v").with("k3", "v")]), NOW);
    assert_eq!(statistics.values(None, "user.id", "", 9), names(["2", "1", "3"], true));
    assert_eq!(statistics.keys(Some(AttributeScope::Span), "", 9), names(["user.id", "k2"], true));
}

#[test]
fn values_of_more_than_256_bytes_are_not_kept() {
    let statistics = Statistics::default();
    let get = || span("a", "get", Kind::Server, 1, None);
    let long = Value::Array(vec![Value::Text("x".repeat(200).into()); 2].into());
    statistics.observe(
        &batch([get().with("text", &"x".repeat(257)).with("fits", &"y".repeat(256)).value("list", long)]),
        NOW,
    );
    assert_eq!(statistics.values(None, "text", "", 9), names([], true));
    assert_eq!(statistics.values(None, "list", "", 9), names([], true));
    assert_eq!(statistics.values(None, "fits", "", 9).names.len(), 1);
}

#[test]
fn a_new_key_is_seen_in_the_middle_of_a_flood_and_common_values_stay_first() {
    let statistics = Statistics::default();
    let get = |route: &str| span("a", "get", Kind::Server, 1, None).with("route", route);
    let flood = (0..5_000).map(|number| get(if number % 5 == 0 { "/rare" } else { "/common" }));
    let with_rare_key = get("/common").with("rare.key", "found");
    statistics.observe(&batch(flood.chain([with_rare_key])), NOW);
    assert_eq!(statistics.values(None, "rare.key", "", 9), names(["found"], false));
    assert_eq!(statistics.values(None, "route", "", 9), names(["/common", "/rare"], false));
    // A new second, and all is looked at again.
    statistics.observe(&batch([get("/new")]), NOW + SECOND);
    assert_eq!(statistics.values(None, "route", "new", 9), names(["/new"], false));
}
