//! Several handles in one process: nothing of one shows in another.

use std::collections::HashMap;

use waypost_telemetry::config::SamplerKind;
use waypost_telemetry::opentelemetry::Context;
use waypost_telemetry::opentelemetry::trace::SpanKind;
use waypost_telemetry::testing::{SpanTree, TestTelemetry, checks};
use waypost_telemetry::{Outcome, Telemetry, metrics, propagation, set, span, with_context};

#[tokio::test]
async fn two_handles_in_one_process_do_not_mix() {
    let (orders, users) = (TestTelemetry::new("order-service"), TestTelemetry::new("user-service"));
    let call = orders.span("ask").kind(SpanKind::Client).start();
    let mut wire = HashMap::new();
    propagation::inject(call.context(), &mut wire);

    let context = users.extract(&wire);
    with_context(context, async {
        assert_eq!(Telemetry::current().service_name(), "user-service");
        span("answer").kind(SpanKind::Server).observe(async { set("user.id", "user123") }).await;
    })
    .await;
    call.end(Outcome::Ok);

    assert_eq!((orders.finished_spans().len(), users.finished_spans().len()), (1, 1));
    let all: Vec<_> = [&orders, &users].iter().flat_map(|handle| handle.finished_spans()).collect();
    assert!(users.only_span("answer").parent_is_remote());
    SpanTree::only(&all)
        .assert_matches("ask CLIENT order-service\n  answer SERVER user-service user.id=user123");
    checks::assert_sound(&[&orders, &users]);

    orders.meter().u64_counter("only.orders").build().add(1, &[]);
    assert!(!metrics::render_prometheus(&[users.handle().clone()]).contains("only_orders"));
}

#[test]
fn a_span_belongs_to_the_handle_of_its_parent_context() {
    let (orders, users) = (TestTelemetry::new("order-service"), TestTelemetry::new("user-service"));
    let _attached = orders.context().attach();
    span("mine").in_scope(|| ());
    span("theirs").parent(&users.context()).in_scope(|| {
        assert_eq!(Telemetry::current().service_name(), "user-service");
    });
    assert_eq!(orders.only_span("mine").service_name(), "order-service");
    assert_eq!(users.only_span("theirs").service_name(), "user-service");
}

#[test]
fn what_was_set_before_the_parent_was_known_goes_with_the_span_to_the_other_handle() {
    let (orders, users) = (TestTelemetry::new("order-service"), TestTelemetry::new("user-service"));
    let cause = orders.span("cause").start();
    orders
        .span("theirs")
        .kind(SpanKind::Client)
        .attr("order.id", "order-1")
        .attr("order.items", vec![1, 2])
        .link(cause.span_context())
        .parent(&users.context())
        .attr("order.id", "order-2")
        .in_scope(|| ());

    users.tree().assert_matches("theirs CLIENT user-service order.id=order-2 order.items=[1,2]");
    let theirs = users.only_span("theirs");
    assert_eq!(theirs.links()[0].span_context(), &cause.span_context());
    assert_eq!(orders.finished_spans().len(), 0);
}

#[test]
fn a_value_is_not_made_for_a_handle_that_takes_no_span() {
    let mut settings = TestTelemetry::settings("order-service");
    settings.traces.sampler = SamplerKind::AlwaysOff;
    let off = TestTelemetry::with(settings);
    for telemetry in [off.handle(), &Telemetry::disabled()] {
        telemetry.span("quiet").attr_with("order.id", || -> &str { panic!("made for nobody") }).in_scope(
            || {
                assert!(!span("inner").start().is_recording());
            },
        );
    }
    assert_eq!(off.finished_spans().len(), 0);
}

#[test]
fn outside_any_context_nothing_is_recorded_unless_a_default_is_set() {
    // No test sets a process default, so this one sees what a program that never did sees.
    let span = span("nobody's").start();
    assert!(!span.is_recording());
    assert!(!Telemetry::of(&Context::new()).is_enabled());
}

#[test]
fn the_resource_names_the_service_and_the_sdk() {
    let telemetry = TestTelemetry::new("order-service");
    let text = |key: &str| {
        let found = telemetry.resource().iter().find(|attribute| attribute.key.as_str() == key);
        found.map(|attribute| attribute.value.to_string()).unwrap_or_default()
    };
    assert_eq!(text("service.name"), "order-service");
    assert_eq!(text("telemetry.sdk.language"), "rust");
    assert_eq!(text("service.instance.id").len(), 36);
}
