//! Rules about resources: an entity that is there is there with all that identifies it.

use opentelemetry::KeyValue;

use super::attribute::{self, Attributes};
use super::report::{Findings, Signal};
use super::table::{Entity, Table};

/// Entities without which nobody knows where telemetry comes from.
const ALWAYS: [&str; 2] = ["service", "telemetry.sdk"];

/// Checks the attributes of a resource.
pub(super) fn check(table: &Table, resource: &[KeyValue], findings: &mut Findings) {
    for attribute in resource {
        attribute::check(table, (Signal::Resource, "resource"), attribute, findings);
    }
    for entity in &table.entities {
        if ALWAYS.contains(&entity.name.as_str()) || is_there(entity, resource) {
            let at = (Signal::Resource, entity.name.as_str());
            attribute::check_presence(&entity.attributes, at, Attributes(resource), findings);
        }
    }
}

/// By one of the attributes that identify it; by any, if the conventions do not say which identify it.
fn is_there(entity: &Entity, resource: &[KeyValue]) -> bool {
    let has_identity = entity.attributes.iter().any(|wanted| wanted.is_identifying);
    let telling = entity.attributes.iter().filter(|wanted| wanted.is_identifying || !has_identity);
    telling.into_iter().any(|wanted| Attributes(resource).has(&wanted.name))
}
