//! Five branches: roots, and four kinds of parents.

use waypost_telemetry::span;

use super::{caller, recorded, sampling};

/// What is recorded of a root, of spans below callers, and below local spans of either kind.
fn branches(parents: &str) -> Vec<String> {
    let telemetry = sampling(&format!(
        r#"
        sampler = "parentbased_always_off"
        [traces.sampling]
        consistent = true
        {parents}
        [[traces.sampling.rules]]
        name = "chosen"
        "#
    ));
    telemetry.span("root").in_scope(|| span("below-unsampled").in_scope(|| ()));
    telemetry.span("chosen").in_scope(|| span("below-sampled").in_scope(|| ()));
    let sampled = telemetry.extract(&caller("03", ""));
    telemetry.span("remote-sampled").parent(&sampled).in_scope(|| ());
    let unsampled = telemetry.extract(&caller("02", ""));
    telemetry.span("remote-unsampled").parent(&unsampled).in_scope(|| ());
    telemetry.span("chosen").parent(&unsampled).in_scope(|| ());
    recorded(&telemetry)
}

#[test]
fn each_kind_of_parent_has_a_choice_of_its_own() {
    assert_eq!(branches(""), ["below-sampled", "chosen", "remote-sampled"]);
    assert_eq!(
        branches("parents.remote_sampled = \"always_off\""),
        ["below-sampled", "chosen"],
        "a caller outside may not make work"
    );
    assert_eq!(
        branches("parents.remote_not_sampled = \"root\""),
        ["below-sampled", "chosen", "remote-sampled", "chosen"],
        "the rules decide, whatever the caller decided"
    );
    assert_eq!(
        branches("parents.local_not_sampled = \"always_on\""),
        ["below-unsampled", "below-sampled", "chosen", "remote-sampled"]
    );
    assert_eq!(branches("parents.local_sampled = \"always_off\""), ["chosen", "remote-sampled"]);
}
