//! `cargo xtask deploy`: every file of `deploy/` goes through the program that reads it in the end.
//!
//! A file that nothing reads breaks unseen. So each has a [`Reader`](reader::Reader) in the table of [`readers`], with its
//! version, and each reader is also shown a file of `xtask/broken/` that it must refuse, for the reason that was put there: a
//! check that lets everything pass is none. Readers are found or installed by [`tools`]; one that cannot be had is named, and
//! its files are then not checked. A file below `deploy/` that no reader knows is a fault too.

mod collector;
mod reader;
mod readers;
mod schemas;
pub(crate) mod tools;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, bail};

use crate::run::say;
use readers::READERS;

/// Files that no program here reads: pages for people; a list of two words a line; dashboards, which a test compares with the
/// description that they are made from; settings, which a test gives to Waypost itself.
const UNREAD: [&str; 5] = [".md", ".dockerignore", ".sysusers", ".json", ".toml"];

/// Checks with the readers of these names, or with all that can be had.
pub(crate) fn check(root: &Path, target: &Path, names: &[String]) -> anyhow::Result<()> {
    if let Some(unknown) = names.iter().find(|name| READERS.iter().all(|reader| reader.name != **name)) {
        let known: Vec<&str> = READERS.iter().map(|reader| reader.name).collect();
        bail!("there is no reader `{unknown}`; there are {}", known.join(", "));
    }
    let mut problems = nobodys(root)?;
    let mut left_out = Vec::new();
    for reader in READERS.iter().filter(|reader| names.is_empty() || names.iter().any(|n| n == reader.name)) {
        match reader.prepare(&target.join("deploy-tools")) {
            Ok(ready) => {
                let found = reader.check(root, &ready)?;
                if found.is_empty() {
                    let count = reader.places(root)?.len();
                    say(&format!("{}: {count} file(s) read, and the broken one refused\n", reader.name));
                }
                problems.extend(found);
            }
            Err(reason) => left_out.push(format!("{} ({}): {reason:#}", reader.name, reader.tool)),
        }
    }
    for line in &left_out {
        say(&format!("LEFT OUT, with its files: {line}\n"));
    }
    if !problems.is_empty() {
        bail!("{} problem(s) in deploy/:\n  {}", problems.len(), problems.join("\n  "));
    }
    if !names.is_empty() && !left_out.is_empty() {
        bail!("{} reader(s) that were asked for could not be had", left_out.len());
    }
    Ok(())
}

/// One sentence for each file below `deploy/` that no reader is given.
fn nobodys(root: &Path) -> anyhow::Result<Vec<String>> {
    let mut read = BTreeSet::new();
    for reader in READERS {
        read.extend(reader.places(root)?);
    }
    let mut problems = Vec::new();
    let mut folders = vec![root.join("deploy")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))? {
            let path = entry.with_context(|| format!("reading {}", folder.display()))?.path();
            let is_unread = UNREAD.iter().any(|end| path.to_string_lossy().ends_with(end));
            if path.is_dir() {
                folders.push(path);
            } else if !is_unread && !read.contains(&path) {
                let path = path.strip_prefix(root).unwrap_or(&path).display();
                problems.push(format!("{path} has no reader; give it one in xtask/src/deploy/readers.rs"));
            }
        }
    }
    Ok(problems)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_deploy_has_a_reader_and_every_reader_a_broken_file() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        assert_eq!(nobodys(root).unwrap(), Vec::<String>::new());
        for reader in READERS {
            let (broken, complaint) = reader.broken;
            assert!(root.join("xtask/broken").join(broken).is_file(), "{broken}");
            assert!(!complaint.is_empty(), "{}", reader.name);
        }
    }

    /// An alert that nobody has seen fire, that fires always, or that leaves whoever it wakes alone with it, is none.
    #[test]
    fn every_alert_is_seen_to_fire_and_to_stay_silent_and_has_a_page() {
        use std::collections::BTreeMap;

        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let read = |file: &str| -> serde_json::Value {
            serde_saphyr::from_str(&fs::read_to_string(root.join("deploy/prometheus").join(file)).unwrap())
                .unwrap()
        };
        let list = |value: &serde_json::Value| value.as_array().cloned().unwrap_or_default();
        let rules = read("rules/alerts.yml");
        let rules: Vec<_> = list(&rules["groups"]).iter().flat_map(|group| list(&group["rules"])).collect();
        let mut seen: BTreeMap<String, (u32, u32)> = BTreeMap::new();
        for case in list(&read("tests/alerts.yml")["tests"]) {
            for test in list(&case["alert_rule_test"]) {
                let (fires, silent) = seen.entry(test["alertname"].as_str().unwrap().to_owned()).or_default();
                if list(&test["exp_alerts"]).is_empty() {
                    *silent += 1;
                } else {
                    *fires += 1;
                }
            }
        }
        assert!(rules.len() > 10, "{rules:?}");
        let index = fs::read_to_string(root.join("docs/runbooks/README.md")).unwrap();
        for rule in rules {
            let name = rule["alert"].as_str().unwrap();
            let (fires, silent) = seen.remove(name).unwrap_or_default();
            assert!(fires > 0 && silent > 0, "{name} fires in {fires} cases and is silent in {silent}");
            let page = rule["annotations"]["runbook_url"].as_str().unwrap();
            assert_eq!(page, format!("docs/runbooks/{name}.md"));
            assert!(root.join(page).is_file(), "{page}");
            assert!(index.contains(&format!("({name}.md)")), "{name} is not in docs/runbooks/README.md");
        }
        assert!(seen.is_empty(), "tests of alerts that there are not: {seen:?}");
    }

    /// The operator's collectors have their configuration inside the manifest, so it stands there a second time.
    #[test]
    fn the_operators_collectors_are_configured_as_the_files_say() {
        let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("deploy");
        let text = |file: &str| fs::read_to_string(deploy.join(file)).unwrap();
        let objects: Vec<serde_json::Value> =
            serde_saphyr::from_multiple(&text("kubernetes/base/collectors.yaml")).unwrap();
        for (name, file) in [("agent", "collector/agent.yaml"), ("sampler", "collector/gateway.yaml")] {
            let is_it = |object: &&serde_json::Value| {
                object["kind"] == "OpenTelemetryCollector" && object["metadata"]["name"] == name
            };
            let configured = &objects.iter().find(is_it).unwrap()["spec"]["config"];
            let written: serde_json::Value = serde_saphyr::from_str(&text(file)).unwrap();
            assert_eq!(configured, &written, "{file}; copy it into kubernetes/base/collectors.yaml");
        }
    }

    /// A manifest that no kustomization names is applied by nobody.
    #[test]
    fn every_manifest_is_named_by_the_kustomization_of_its_folder() {
        let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("deploy");
        let folders = [
            "kubernetes/base",
            "kubernetes/components/mesh",
            "kubernetes/overlays/dev",
            "kubernetes/overlays/prod",
            "istio",
            "linkerd",
        ];
        for folder in folders {
            let kustomization = fs::read_to_string(deploy.join(folder).join("kustomization.yaml")).unwrap();
            for entry in fs::read_dir(deploy.join(folder)).unwrap() {
                let path = entry.unwrap().path();
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                let is_manifest =
                    path.extension().is_some_and(|end| end == "yaml") && name != "kustomization.yaml";
                assert!(!is_manifest || kustomization.contains(&name), "{folder}/{name}");
            }
        }
    }
}
