//! The bill of materials: CycloneDX 1.5 as JSON (<https://cyclonedx.org/docs/1.5/json/>).

use cargo_metadata::{Package, PackageId};
use serde_json::{Map, Value, json};

use super::linked::Linked;

/// Every package that is linked in, with licence, source and check sum, and which needs which. Has no time and no serial
/// number: the same sources give the same bytes.
pub(super) fn cyclonedx(linked: &Linked<'_>) -> Value {
    let others = linked.packages.iter().filter(|package| package.id != linked.root.id);
    json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": { "component": component(linked, linked.root, "application") },
        "components": others.map(|package| component(linked, package, "library")).collect::<Vec<_>>(),
        "dependencies": linked.packages.iter().map(|package| depends(linked, package)).collect::<Vec<_>>(),
    })
}

fn component(linked: &Linked<'_>, package: &Package, kind: &str) -> Value {
    let (name, version) = (package.name.to_string(), package.version.to_string());
    let mut component = Map::new();
    let mut set = |key: &str, value: Value| component.insert(key.to_owned(), value);
    set("type", kind.into());
    set("bom-ref", reference(package).into());
    set("name", name.clone().into());
    set("version", version.clone().into());
    if let Some(description) = &package.description {
        set("description", description.split_whitespace().collect::<Vec<_>>().join(" ").into());
    }
    if let Some(licence) = &package.license {
        // Old manifests write an alternative with a stroke, which SPDX does not know.
        set("licenses", json!([{ "expression": licence.replace('/', " OR ") }]));
    }
    // A package of this workspace comes from no registry.
    if package.source.is_some() {
        set("purl", format!("pkg:cargo/{name}@{}", escaped(&version)).into());
    }
    if let Some(repository) = &package.repository {
        set("externalReferences", json!([{ "type": "vcs", "url": repository }]));
    }
    if let Some(sum) = linked.check_sums.get(&(name, version)) {
        set("hashes", json!([{ "alg": "SHA-256", "content": sum }]));
    }
    Value::Object(component)
}

fn depends(linked: &Linked<'_>, package: &Package) -> Value {
    let by_id = |id: &PackageId| linked.packages.iter().find(|package| package.id == *id);
    let needs = linked.needs.get(&package.id).into_iter().flatten();
    let needs: Vec<String> = needs.filter_map(|id| by_id(id)).map(|package| reference(package)).collect();
    json!({ "ref": reference(package), "dependsOn": needs })
}

/// Names a package in this document.
fn reference(package: &Package) -> String {
    format!("{}@{}", package.name, package.version)
}

/// A version may have a plus sign, which a package URL writes so.
fn escaped(version: &str) -> String {
    version.replace('+', "%2B")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use cargo_metadata::MetadataCommand;

    use super::*;

    /// This workspace itself, read as `cargo xtask dist` reads it.
    #[test]
    fn the_bill_names_what_is_linked_in_and_nothing_that_only_tests() {
        let metadata = MetadataCommand::new().exec().unwrap();
        let lock = std::fs::read_to_string(metadata.workspace_root.join("Cargo.lock")).unwrap();
        let linked = Linked::into(&metadata, "waypost", &lock).unwrap();
        let bill = cyclonedx(&linked);

        assert_eq!(bill["metadata"]["component"]["bom-ref"], format!("waypost@{}", linked.version()));
        let components = bill["components"].as_array().unwrap();
        let find = |name: &str| components.iter().find(|component| component["name"] == name);
        let tokio = find("tokio").unwrap();
        assert_eq!(tokio["licenses"][0]["expression"], "MIT");
        assert_eq!(tokio["hashes"][0]["content"].as_str().unwrap().len(), 64);
        assert_eq!(tokio["purl"], format!("pkg:cargo/tokio@{}", tokio["version"].as_str().unwrap()));
        assert!(find("waypost-order").is_some_and(|order| order.get("purl").is_none()));
        assert!(find("waypost-testkit").is_none() && find("proptest").is_none(), "tests are given to nobody");

        let refs: BTreeSet<&str> =
            components.iter().map(|component| component["bom-ref"].as_str().unwrap()).collect();
        assert_eq!(refs.len(), components.len(), "each stands once");
        for entry in bill["dependencies"].as_array().unwrap() {
            for needed in entry["dependsOn"].as_array().unwrap() {
                assert!(refs.contains(needed.as_str().unwrap()), "{needed} is in no component");
            }
        }
        let without = components.iter().filter(|component| component.get("licenses").is_none());
        assert_eq!(without.count(), 0, "each has its licence");
    }

    #[test]
    fn a_plus_in_a_version_is_written_as_a_package_url_has_it() {
        assert_eq!(escaped("0.9.12+spec-1.1.0"), "0.9.12%2Bspec-1.1.0");
    }
}
