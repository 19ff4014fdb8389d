//! The allowed arrows between our crates, checked against `cargo metadata`.
//!
//! Arrows point down only. The table is the rule: a crate that is not in it fails the check, so that a new crate
//! must first be given its place.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, Metadata};

/// Crates that a service may use.
const SERVICE: &[&str] = &[
    "waypost-settings",
    "waypost-telemetry",
    "waypost-errors",
    "waypost-api",
    "waypost-identity",
    "waypost-resilience",
    "waypost-cache",
    "waypost-durable",
    "waypost-service",
];

/// What the viewer is put together from. It never depends on `waypost-durable`.
const VIEWER: &[&str] = &[
    "waypost-settings",
    "waypost-telemetry",
    "waypost-service",
    "waypost-trace-model",
    "waypost-trace-statistics",
    "waypost-trace-analysis",
    "waypost-trace-alerts",
    "waypost-trace-store",
    "waypost-trace-intake",
    "waypost-trace-query",
];

/// Everything that the binary puts together.
const EVERYTHING: &[&str] = &[
    "waypost-allocator",
    "waypost-settings",
    "waypost-telemetry",
    "waypost-errors",
    "waypost-api",
    "waypost-identity",
    "waypost-resilience",
    "waypost-cache",
    "waypost-redis",
    "waypost-etcd",
    "waypost-durable",
    "waypost-kafka",
    "waypost-service",
    "waypost-gateway",
    "waypost-order",
    "waypost-user",
    "waypost-inventory",
    "waypost-payment",
    "waypost-notification",
    "waypost-provider",
    "waypost-viewer",
];

/// Each crate of ours with the crates of ours it may depend on (build and normal dependencies).
const ALLOWED: &[(&str, &[&str])] = &[
    ("waypost-settings", &[]),
    ("waypost-telemetry-macros", &[]),
    ("waypost-telemetry", &["waypost-settings", "waypost-telemetry-macros"]),
    ("waypost-errors", &["waypost-telemetry"]),
    ("waypost-api", &["waypost-telemetry", "waypost-errors"]),
    ("waypost-cache", &[]),
    // The infrastructure never sees the contracts, so that editing a `.proto` does not rebuild it.
    // Knows certificates and names; who may call what is the services' business.
    ("waypost-identity", &[]),
    ("waypost-resilience", &["waypost-telemetry", "waypost-errors", "waypost-identity"]),
    // What it keeps it may lose, so it knows nothing of effects.
    (
        "waypost-redis",
        &["waypost-settings", "waypost-telemetry", "waypost-cache", "waypost-resilience", "waypost-service"],
    ),
    ("waypost-etcd", &["waypost-settings", "waypost-telemetry", "waypost-resilience"]),
    ("waypost-durable", &["waypost-telemetry", "waypost-resilience", "waypost-errors"]),
    ("waypost-kafka", &["waypost-telemetry", "waypost-durable"]),
    (
        "waypost-service",
        &[
            "waypost-settings",
            "waypost-telemetry",
            "waypost-resilience",
            "waypost-errors",
            "waypost-identity",
        ],
    ),
    (
        "waypost-gateway",
        &[
            "waypost-settings",
            "waypost-telemetry",
            "waypost-errors",
            "waypost-api",
            "waypost-identity",
            "waypost-resilience",
            "waypost-service",
        ],
    ),
    ("waypost-trace-model", &[]),
    ("waypost-trace-statistics", &["waypost-trace-model"]),
    ("waypost-trace-analysis", &["waypost-trace-model"]),
    // Pure: figures and times come in, what changed goes out.
    (
        "waypost-trace-alerts",
        &["waypost-settings", "waypost-trace-analysis", "waypost-trace-model", "waypost-trace-statistics"],
    ),
    ("waypost-trace-store", &["waypost-trace-model", "waypost-trace-statistics"]),
    (
        "waypost-trace-intake",
        &["waypost-trace-model", "waypost-trace-store", "waypost-settings", "waypost-telemetry"],
    ),
    ("waypost-trace-query", &["waypost-trace-model", "waypost-trace-statistics", "waypost-trace-store"]),
    ("waypost-viewer", VIEWER),
    ("waypost-order", SERVICE),
    ("waypost-user", SERVICE),
    ("waypost-inventory", SERVICE),
    ("waypost-payment", SERVICE),
    ("waypost-notification", SERVICE),
    ("waypost-provider", SERVICE),
    ("waypost-allocator", &[]),
    ("waypost", EVERYTHING),
    ("waypost-testkit", EVERYTHING),
    ("waypost-test-client", &[]),
    ("waypost-test-process", &[]),
    ("waypost-test-servers", &[]),
    ("waypost-benches", &["waypost-test-process", "waypost-test-servers"]),
    (
        "add-a-service",
        &[
            "waypost-telemetry",
            "waypost-api",
            "waypost-durable",
            "waypost-kafka",
            "waypost-resilience",
            "waypost-service",
        ],
    ),
    ("existing-service", &["waypost-telemetry"]),
    ("three-services", &["waypost-telemetry"]),
    ("two-services", &["waypost-telemetry"]),
    ("w3c-trace-context", &["waypost-telemetry"]),
    ("xtask", &[]),
];

/// Crates that only tests and measurements may use.
const TESTS_ONLY: &[&str] =
    &["waypost-testkit", "waypost-test-client", "waypost-test-process", "waypost-test-servers"];

/// One dependency between two of our crates.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Arrow {
    /// The crate that depends.
    pub(crate) from: String,
    /// The crate that is depended on.
    pub(crate) to: String,
    /// True for a dev-dependency.
    pub(crate) is_test_only: bool,
}

/// Reads the arrows between the workspace's members.
pub(crate) fn arrows(metadata: &Metadata) -> (BTreeSet<String>, Vec<Arrow>) {
    let members: BTreeSet<String> =
        metadata.workspace_packages().iter().map(|package| package.name.to_string()).collect();
    let mut found = Vec::new();
    for package in metadata.workspace_packages() {
        for dependency in &package.dependencies {
            if members.contains(&dependency.name) {
                found.push(Arrow {
                    from: package.name.to_string(),
                    to: dependency.name.clone(),
                    is_test_only: dependency.kind == DependencyKind::Development,
                });
            }
        }
    }
    (members, found)
}

/// Returns one sentence for each arrow that is not allowed and each crate without a place.
pub(crate) fn violations(members: &BTreeSet<String>, arrows: &[Arrow]) -> Vec<String> {
    let allowed: BTreeMap<&str, &[&str]> = ALLOWED.iter().copied().collect();
    let mut problems: Vec<String> = members
        .iter()
        .filter(|name| !allowed.contains_key(name.as_str()))
        .map(|name| format!("{name} has no place in the table of layers (xtask/src/layers.rs)"))
        .collect();
    for arrow in arrows {
        let (from, to) = (arrow.from.as_str(), arrow.to.as_str());
        if arrow.is_test_only || (TESTS_ONLY.contains(&from) && TESTS_ONLY.contains(&to)) {
            // Tests may look anywhere: the testkit stands on top of everything and tests of the parts use it.
            continue;
        }
        let is_listed = allowed.get(from).is_some_and(|targets| targets.contains(&to));
        if TESTS_ONLY.contains(&to) && !is_listed {
            problems.push(format!("{from} -> {to}: only tests may depend on {to}"));
        } else if allowed.contains_key(from) && !is_listed {
            problems.push(format!("{from} -> {to}: this arrow is not allowed (ARCHITECTURE.md, \"Layers\")"));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrow(from: &str, to: &str) -> Arrow {
        Arrow { from: from.into(), to: to.into(), is_test_only: false }
    }

    fn members(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_service_that_depends_on_another_service_is_refused() {
        let names = members(&["waypost-order", "waypost-payment"]);
        let problems = violations(&names, &[arrow("waypost-order", "waypost-payment")]);
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].starts_with("waypost-order -> waypost-payment"), "{problems:?}");
    }

    #[test]
    fn the_kit_may_depend_on_nothing_of_ours() {
        let names = members(&["waypost-telemetry", "waypost-api"]);
        let problems = violations(&names, &[arrow("waypost-telemetry", "waypost-api")]);
        assert_eq!(problems.len(), 1, "{problems:?}");
    }

    #[test]
    fn the_infrastructure_may_not_see_the_contracts() {
        for infrastructure in ["waypost-errors", "waypost-resilience", "waypost-durable", "waypost-service"] {
            let names = members(&[infrastructure, "waypost-api"]);
            assert_eq!(
                violations(&names, &[arrow(infrastructure, "waypost-api")]).len(),
                1,
                "{infrastructure}"
            );
        }
    }

    #[test]
    fn the_gateway_may_not_reach_the_databases() {
        let names = members(&["waypost-gateway", "waypost-durable"]);
        assert_eq!(violations(&names, &[arrow("waypost-gateway", "waypost-durable")]).len(), 1);
    }

    #[test]
    fn a_crate_without_a_place_and_the_testkit_in_production_are_refused() {
        let names = members(&["waypost-stray", "waypost", "waypost-testkit"]);
        let problems = violations(&names, &[arrow("waypost", "waypost-testkit")]);
        assert_eq!(problems.len(), 2, "{problems:?}");
    }

    #[test]
    fn arrows_that_point_down_and_arrows_of_tests_pass() {
        let names = members(&["waypost", "waypost-order", "waypost-durable", "waypost-testkit"]);
        let mut from_tests = arrow("waypost", "waypost-testkit");
        from_tests.is_test_only = true;
        let good = [arrow("waypost", "waypost-order"), arrow("waypost-order", "waypost-durable"), from_tests];
        assert_eq!(violations(&names, &good), Vec::<String>::new());
    }
}
