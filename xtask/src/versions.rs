//! One version of each library whose types cross crate borders, read from `cargo metadata`.
//!
//! Two minor versions of `opentelemetry` in one program are two registries, and spans vanish without an error;
//! the others make types that look alike and do not fit.

use std::collections::BTreeMap;

use cargo_metadata::{Metadata, PackageId};

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

/// Libraries of which another version may be in the tree where only these bring it, and the reason.
const BESIDE: &[(&str, &[&str], &str)] = &[(
    "http",
    &["actix-http", "actix-router"],
    "actix-web 4 is built on 0.2; the kit's feature `actix` copies the heads, so that the two never meet",
)];

/// Libraries that must not be in the tree, with those that may bring them all the same, and the reason.
const BANNED: &[(&str, &[&str], &str)] = &[
    // librdkafka knows no other TLS; it comes with the feature `kafka` of the binary alone.
    ("openssl-sys", &["rdkafka-sys"], "rustls with ring is the one TLS stack"),
    ("native-tls", &[], "rustls with ring is the one TLS stack"),
    ("aws-lc-sys", &[], "rustls with ring is the one TLS stack; a second C library doubles the build"),
    ("opentelemetry-zipkin", &[], "deprecated upstream; Zipkin v2 JSON is encoded by the kit"),
];

/// One package of the tree.
struct Package {
    name: String,
    version: String,
    /// The names of the packages that depend on it.
    brought_by: Vec<String>,
}

impl Package {
    /// Whether nobody else brings it.
    fn is_brought_by(&self, allowed: &[&str]) -> bool {
        !self.brought_by.is_empty() && self.brought_by.iter().all(|by| allowed.contains(&by.as_str()))
    }

    fn may_stand_beside_another(&self) -> bool {
        BESIDE.iter().any(|(name, allowed, _)| self.name == *name && self.is_brought_by(allowed))
    }
}

/// Returns one sentence for each library with several versions and each banned one.
pub(crate) fn violations(metadata: &Metadata) -> Vec<String> {
    let mut arrows: Vec<(&PackageId, &PackageId)> = Vec::new();
    for node in metadata.resolve.iter().flat_map(|resolve| &resolve.nodes) {
        arrows.extend(node.deps.iter().map(|dependency| (&node.id, &dependency.pkg)));
    }
    let names: BTreeMap<&PackageId, String> =
        metadata.packages.iter().map(|package| (&package.id, package.name.to_string())).collect();
    let mut packages = Vec::new();
    for package in &metadata.packages {
        let mut brought_by = Vec::new();
        for (from, to) in &arrows {
            if **to == package.id {
                brought_by.extend(names.get(from).cloned());
            }
        }
        packages.push(Package {
            name: package.name.to_string(),
            version: package.version.to_string(),
            brought_by,
        });
    }
    check(&packages)
}

fn check(packages: &[Package]) -> Vec<String> {
    let mut versions: BTreeMap<&str, Vec<&Package>> = BTreeMap::new();
    for package in packages {
        versions.entry(&package.name).or_default().push(package);
    }
    let several = ONE_VERSION.iter().filter_map(|name| {
        let found = versions.get(name)?.iter().filter(|package| !package.may_stand_beside_another());
        let found: Vec<&str> = found.map(|package| package.version.as_str()).collect();
        (found.len() > 1)
            .then(|| format!("{name}: {} in one tree; one version is allowed", found.join(" and ")))
    });
    let banned = BANNED.iter().filter_map(|(name, allowed, reason)| {
        let mut found = versions.get(name)?.iter();
        (!found.all(|package| package.is_brought_by(allowed))).then(|| format!("{name}: banned ({reason})"))
    });
    several.chain(banned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packages(list: &[(&str, &str)]) -> Vec<Package> {
        let package = |(name, version): &(&str, &str)| Package {
            name: (*name).to_owned(),
            version: (*version).to_owned(),
            brought_by: Vec::new(),
        };
        list.iter().map(package).collect()
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

    #[test]
    fn actix_alone_may_bring_another_version_of_http() {
        let http = |version: &str, brought_by: &str| Package {
            name: "http".to_owned(),
            version: version.to_owned(),
            brought_by: vec![brought_by.to_owned()],
        };
        assert_eq!(check(&[http("1.5.0", "hyper"), http("0.2.12", "actix-http")]), Vec::<String>::new());
        assert_eq!(check(&[http("1.5.0", "hyper"), http("0.2.12", "h2")]).len(), 1);
    }

    #[test]
    fn librdkafka_alone_may_bring_openssl() {
        let openssl = |brought_by: &[&str]| Package {
            name: "openssl-sys".to_owned(),
            version: "0.9.0".to_owned(),
            brought_by: brought_by.iter().map(|name| (*name).to_owned()).collect(),
        };
        assert_eq!(check(&[openssl(&["rdkafka-sys"])]), Vec::<String>::new());
        assert_eq!(check(&[openssl(&["rdkafka-sys", "native-tls"])]).len(), 1);
    }
}
