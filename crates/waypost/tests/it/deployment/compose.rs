//! The compose files.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Container, read, texts};

/// A service of ours in a compose file.
#[derive(Clone, Debug)]
pub(super) struct Service {
    pub(super) container: Container,
    /// Services that have to be there first.
    pub(super) after: Vec<String>,
    /// What asks whether it is well, without the program's name.
    pub(super) health: Vec<String>,
}

/// The services that run Waypost, by name.
pub(super) fn services(file: &str) -> BTreeMap<String, Service> {
    let file = read(&format!("compose/{file}"));
    let services = file["services"].as_object().unwrap();
    let ours = services
        .iter()
        .filter(|(_, service)| service["image"].as_str().is_some_and(|image| image.starts_with("waypost:")));
    ours.map(|(name, service)| (name.clone(), service_of(name, service))).collect()
}

fn service_of(name: &str, service: &Value) -> Service {
    let environment = service["environment"].as_object().cloned().unwrap_or_default();
    let environment =
        environment.into_iter().map(|(key, value)| (key, interpolated(value.as_str().unwrap()))).collect();
    let arguments = texts(&service["command"]);
    let container = Container { name: name.to_owned(), arguments, environment };
    let after = service["depends_on"].as_object().cloned().unwrap_or_default();
    let test = texts(&service["healthcheck"]["test"]);
    let health = test.iter().skip_while(|word| *word != super::PROGRAM).skip(1).cloned().collect();
    Service { container, after: after.into_iter().map(|(name, _)| name).collect(), health }
}

/// A value as compose hands it on when nothing is set: `${NAME:-default}` is the default.
fn interpolated(value: &str) -> String {
    let inner = value.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
    inner.map_or(value, |inner| inner.split_once(":-").unwrap().1).to_owned()
}

pub(super) fn assert_accepted(file: &str) -> BTreeMap<String, Service> {
    let services = services(file);
    for service in services.values() {
        assert_eq!(service.container.check(), Ok(()), "{file}");
    }
    services
}

#[test]
fn the_small_compose_file_has_no_setting_that_there_is_not() {
    assert_eq!(assert_accepted("compose.yaml").len(), 1);
}

#[test]
fn a_setting_that_there_is_not_would_be_seen() {
    let mut service = services("compose.yaml").remove("waypost").unwrap();
    service.container.environment.insert("WAYPOST_LISTEN__GATWAY".to_owned(), "0.0.0.0:1".to_owned());
    let refused = service.container.check().unwrap_err();
    assert!(refused.contains("did you mean `gateway`"), "{refused}");
}
