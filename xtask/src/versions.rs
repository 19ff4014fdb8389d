//! One version of each library whose types cross crate borders, read from `cargo metadata`.
//!
//! Two minor versions of `opentelemetry` in one program are two registries, and spans vanish without an error;
//! the others make types that look alike and do not fit.

use std::collections::BTreeMap;

use cargo_metadata::Metadata;

const ONE_VERSION: &[&str] = &[
    "opentelemetry",
    "opentelemetry_sdk",
    "opentelemetry-proto",
    "tonic",
    "hyper",
    "axum",
    "prost",
    "sqlx",
    "rusqlite",
    "http",
    "rustls",
];

/// Libraries that must not be in the tree at all, with the reason.
const BANNED: &[(&str, &str)] = &[
    ("openssl-sys", "rustls with ring is the one TLS stack"),
    ("native-tls", "rustls with ring is the one TLS stack"),
    ("aws-lc-sys", "rustls with ring is the one TLS stack; a second C library doubles the build"),
    ("opentelemetry-zipkin", "deprecated upstream; Zipkin v2 JSON is encoded by the kit"),
];

/// Returns one sentence for each library with several versions and each banned one.
pub(crate) fn violations(metadata: &Metadata) -> Vec<String> {
    let packages: Vec<(String, String)> = metadata
        .packages
        .iter()
        .map(|package| (package.name.to_string(), package.version.to_string()))
        .collect();
    check(&packages)
}

fn check(packages: &[(String, String)]) -> Vec<String> {
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, version) in packages {
        versions.entry(name).or_default().push(version);
    }
    let several = ONE_VERSION.iter().filter_map(|name| {
        let found = versions.get(name).filter(|found| found.len() > 1)?;
        Some(format!("{name}: {} in one tree; one version is allowed", found.join(" and ")))
    });
    let banned = BANNED
        .iter()
        .filter(|(name, _)| versions.contains_key(name))
        .map(|(name, reason)| format!("{name}: banned ({reason})"));
    several.chain(banned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packages(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|(name, version)| ((*name).to_owned(), (*version).to_owned())).collect()
    }

    #[test]
    fn two_versions_of_opentelemetry_are_refused() {
        let problems = check(&packages(&[("opentelemetry", "0.32.0"), ("opentelemetry", "0.33.1")]));
        assert_eq!(problems, ["opentelemetry: 0.32.0 and 0.33.1 in one tree; one version is allowed"]);
    }

    #[test]
    fn a_banned_library_is_refused_and_two_versions_of_an_inner_one_are_not() {
        let problems = check(&packages(&[("openssl-sys", "0.9.0"), ("rand", "0.8.0"), ("rand", "0.9.0")]));
        assert_eq!(problems.len(), 1, "{problems:?}");
    }
}
