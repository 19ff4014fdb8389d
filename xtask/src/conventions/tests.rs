//! Reading a registry, writing the table, comparing with the code.

use super::*;

const REGISTRY: &str = "
schema_url: https://example.com/schemas/1.0.0
groups:
  - id: registry.shop
    type: attribute_group
    brief: Words.
    attributes:
      - id: order.id
        type: string
        stability: stable
        brief: The order.
      - id: order.kind
        type: {members: [{id: a, value: a, brief: A., stability: stable}, {id: b, value: b, brief: B., deprecated: {reason: obsoleted}}]}
        stability: development
        brief: The kind.
  - id: shared
    type: attribute_group
    brief: Shared.
    attributes:
      - ref: order.id
        requirement_level: required
      - ref: order.kind
        requirement_level: {conditionally_required: If known.}
  - id: metric.order.count
    type: metric
    metric_name: order.count
    brief: Orders.
    instrument: counter
    unit: \"{order}\"
    stability: development
    extends: shared
    attributes:
      - ref: order.kind
        requirement_level: opt_in
";

fn registry() -> Model {
    let mut model = Model::default();
    model.add(REGISTRY).unwrap();
    model
}

fn names(attributes: &[&str], metrics: &[&str]) -> Names {
    let pairs = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), "a.rs".to_owned())).collect();
    let texts = attributes.iter().chain(metrics).map(ToString::to_string).collect();
    Names { attributes: pairs(attributes), metrics: pairs(metrics), texts }
}

#[test]
fn a_signal_has_what_it_extends_with_its_own_levels() {
    let table = table::write(&registry(), "Head.", &Bounds::new(), |_| true).unwrap();
    let lines: Vec<_> = table.lines().collect();
    assert_eq!(
        lines,
        [
            "# Head.",
            "schema\thttps://example.com/schemas/1.0.0",
            "attribute\torder.id\tstring\tstable\t-\t-",
            "attribute\torder.kind\tstring\tdevelopment\t-\ta|!b",
            "metric\torder.count\tcounter\t{order}\t-\tdevelopment\t-\t-\torder.id=required order.kind=opt-in",
        ]
    );
}

#[test]
fn the_second_form_of_files_is_read() {
    let mut model = registry();
    model
        .add(
            "
file_format: definition/2
attributes: [{key: messaging.system, type: string, stability: development, brief: x}]
attribute_groups:
  - id: common
    visibility: internal
    attributes: [{ref: messaging.system, requirement_level: required}]
spans:
  - type: messaging.send.producer
    kind: producer
    stability: development
    attributes: [{ref_group: common}, {ref: order.id}]
span_refinements:
  - id: span.messaging.kafka.send.producer
    ref: messaging.send.producer
    stability: development
    attributes: [{ref: messaging.system, note: MUST be set to `\"kafka\"`.}]
",
        )
        .unwrap();
    let table = table::write(&model, "", &Bounds::new(), table::is_kept).unwrap();
    let spans: Vec<_> = table.lines().filter(|line| line.starts_with("span\t")).collect();
    let rest = "send\tmessaging.system=required order.id=recommended";
    assert_eq!(
        spans,
        [
            format!(
                "span\tmessaging.kafka.send.producer\tproducer\tdevelopment\tmessaging.system\tkafka\t{rest}"
            ),
            format!("span\tmessaging.send.producer\tproducer\tdevelopment\tmessaging.system\t-\t{rest}"),
        ]
    );
}

#[test]
fn a_name_must_be_declared_and_used() {
    let known =
        table_names("attribute\terror.type\tstring\nattribute\thttp.request.header\ttemplate[string[]]\n");
    let used =
        names(&["error.type", "http.request.header.accept", "order.id", "order.kind"], &["order.count"]);
    assert_eq!(differences(&registry(), &known, &used), Vec::<String>::new());

    let used = names(&["order.id", "order.size", "http.request.header"], &["order.count", "order.sum"]);
    let problems = differences(&registry(), &known, &used);
    let about: Vec<_> =
        ["order.size is", "http.request.header is", "order.sum is", "order.kind is declared"].into();
    for name in &about {
        assert!(problems.iter().any(|problem| problem.contains(name)), "{name}: {problems:?}");
    }
    assert_eq!(problems.len(), about.len(), "{problems:?}");
}

#[test]
fn a_name_of_the_conventions_is_not_declared_again() {
    let known = BTreeSet::from(["order.id".to_owned()]);
    let used = names(&["order.id", "order.kind"], &["order.count"]);
    let problems = differences(&registry(), &known, &used);
    assert_eq!(problems, ["docs/telemetry: order.id belongs to the conventions already"]);
}

#[test]
fn the_page_shows_every_name_with_its_meaning() {
    let page = page::write(&registry()).unwrap();
    assert!(page.contains("| `order.kind` | enumeration | The kind.<br>`a` A.<br>`b` B. |"), "{page}");
    assert!(
        page.contains("| `order.count` | counter | `{order}` | `order.id`, `order.kind` | Orders. |"),
        "{page}"
    );
}
