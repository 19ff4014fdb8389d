//! Attributes by themselves: names, types, values; registries; exceptions and the report.

use opentelemetry::trace::SpanKind;
use opentelemetry::{Array, StringValue, Value};

use super::{Draft, http_server, only};
use crate::testing::conventions::Level::{Improvement, Information, Violation};
use crate::testing::conventions::{Conventions, RegistryError, Rule};

const REGISTRY: &str = "
groups:
  - id: registry.order
    type: attribute_group
    brief: Words of the shop.
    attributes:
      - id: order.id
        type: string
        brief: The order.
        stability: stable
      - id: order.size
        type: {members: [{id: small, value: small, brief: x, stability: stable}]}
        brief: The size.
        stability: stable
      - id: http.flavour
        type: string
        brief: A name in a namespace of the conventions.
        stability: stable
        deprecated: {reason: renamed, renamed_to: order.size, note: x}
";

fn work() -> Draft {
    Draft::new(SpanKind::Internal, "price-order", &[])
}

#[test]
fn a_name_is_of_the_conventions_or_declared() {
    work().with("tenant.id", "acme").is_clean();
    work().with("http.verb", "GET").is(Violation, Rule::UnknownAttribute, "http.verb");
    work().with("order.id", "1").is(Improvement, Rule::UndeclaredAttribute, "order.id");
}

#[test]
fn a_registry_declares_names() {
    let conventions = Conventions::current().with_registry(REGISTRY).unwrap();
    let check = |draft: Draft| conventions.begin().spans(&[draft.0.into()]).report();
    check(work().with("order.id", "1").with("order.size", "small")).assert_clean();
    only(&check(work().with("order.id", 1)), Violation, Rule::WrongType, "order.id");
    only(&check(work().with("http.flavour", "1")), Violation, Rule::Deprecated, "http.flavour");
}

#[test]
fn a_registry_is_read_from_a_folder_with_the_folders_in_it() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("inner")).unwrap();
    std::fs::write(folder.path().join("inner/a.yaml"), REGISTRY).unwrap();
    std::fs::write(folder.path().join("manifest.yaml"), "schema_url: https://example.com/schemas/1.0.0")
        .unwrap();
    let conventions = Conventions::current().with_registry_folder(folder.path()).unwrap();
    conventions.begin().spans(&[work().with("order.id", "1").0.into()]).report().assert_clean();
}

#[test]
fn a_registry_that_says_nothing_is_refused() {
    let read = |text: &str| Conventions::current().with_registry(text);
    assert!(matches!(read("groups: []"), Err(RegistryError::Empty)));
    assert!(matches!(read("groups: [1]"), Err(RegistryError::Malformed(_))));
    assert!(matches!(
        read("groups: [{id: a, attributes: [{ref: a.b, requirement_level: maybe}]}]"),
        Err(RegistryError::Malformed(_))
    ));
    let missing = Conventions::current().with_registry_folder("/nowhere/at/all");
    assert!(matches!(missing, Err(RegistryError::Unreadable { .. })));
}

#[test]
fn a_value_has_the_type_of_its_attribute() {
    http_server().with("http.response.status_code", "200").is(
        Violation,
        Rule::WrongType,
        "http.response.status_code",
    );
    http_server().with("url.path", 7).is(Violation, Rule::WrongType, "url.path");
    let header = || work().with("http.request.header.accept", "text/html");
    header().is(Violation, Rule::WrongType, "http.request.header.accept");
    let values = Value::Array(Array::String(vec![StringValue::from("text/html")]));
    header().with("http.request.header.accept", values).is_clean();
}

#[test]
fn what_the_conventions_gave_up_is_named_with_what_replaces_it() {
    let report = http_server().with("http.status_code", 200).report();
    only(&report, Violation, Rule::Deprecated, "http.status_code");
    assert!(report.to_string().contains("its name is now http.response.status_code"), "{report}");
}

#[test]
fn a_closed_list_has_no_other_values_and_an_open_one_may() {
    let brew = http_server().with("http.request.method", "BREW").named("BREW /orders/{id}");
    brew.is(Violation, Rule::UnlistedValue, "http.request.method");
    let open = work().with("deployment.environment.name", "canary").report();
    open.assert_clean();
    assert!(
        open.findings()
            .any(|finding| finding.level() == Information && finding.rule() == Rule::UnlistedValue)
    );
}

#[test]
fn a_component_has_a_listed_type_or_that_of_the_language() {
    work().with("otel.component.type", "otlp_http_span_exporter").is_clean();
    work().with("otel.component.type", "a_crate::MemoryExporter").is_clean();
    work().with("otel.component.type", "memory").is(Improvement, Rule::UnlistedValue, "otel.component.type");
}

#[test]
fn an_exception_covers_what_it_names_and_no_more() {
    let spans = [http_server().without("user_agent.original").without("client.address").0.into()];
    let check = |conventions: Conventions| conventions.begin().spans(&spans).report();
    let one = check(Conventions::current().exception("user_agent.original", "our probes send none"));
    only(&one, Improvement, Rule::MissingRecommended, "client.address");
    assert_eq!(one.excepted().map(|(_, reason)| reason).collect::<Vec<_>>(), ["our probes send none"]);

    check(Conventions::current().exception("http.server/*", "made up")).assert_clean();
    let elsewhere = check(Conventions::current().exception("http.client/*", "made up"));
    assert_eq!(
        elsewhere.findings().filter(|finding| finding.level() == Improvement).count(),
        3,
        "{elsewhere}"
    );
    let other = check(Conventions::current().exception_to(Rule::WrongType, "*", "made up"));
    assert_eq!(other.excepted().count(), 0, "{other}");
}

#[test]
fn an_exception_that_nothing_needs_is_a_finding() {
    let conventions = Conventions::current().exception("url.path", "was needed once");
    let report = conventions.begin().spans(&[http_server().0.into()]).report();
    only(&report, Improvement, Rule::UnneededException, "url.path");
}

#[test]
fn a_report_says_what_to_do_and_hides_what_is_only_worth_knowing() {
    let report = work().with("order.id", "1").with("tenant.id", "acme").report();
    assert_eq!(
        report.to_string(),
        "conventions: 0 violations, 1 improvements, 1 informations, 0 excepted in 1 spans, 0 points, 0 log records, 0 \
         resources\n  improvement undeclared-attribute price-order/order.id: declare it in a registry \
         (Conventions::with_registry)"
    );
    assert!(
        format!("{report:#}")
            .contains("information not-stable           price-order/tenant.id: still development")
    );
}

#[test]
#[should_panic(expected = "unknown-attribute")]
fn an_unclean_report_panics_with_its_findings() {
    work().with("http.verb", "GET").report().assert_clean();
}
