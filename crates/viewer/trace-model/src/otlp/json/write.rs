//! Groups of records as JSON.

use super::{
    JsonRecord,
    origin::{write_resource, write_scope, write_text},
};
use crate::otlp::group::{ResourceGroup, ScopeGroup, by_origin};
use serde_json::{Map, Value, json};

/// The records as one request: an object with one list of groups.
pub(in crate::otlp) fn write<R: JsonRecord>(records: &[R]) -> Value {
    let groups: Value = by_origin(records).iter().map(write_resource_group).collect();
    json!({ R::NAMES[0]: groups })
}

fn write_resource_group<R: JsonRecord>(group: &ResourceGroup<'_, R>) -> Value {
    let mut object = Map::new();
    object.insert("resource".to_owned(), write_resource(group.resource));
    object.insert(R::NAMES[1].to_owned(), group.scopes.iter().map(write_scope_group).collect());
    write_text(&mut object, "schemaUrl", &group.resource.schema_url);
    object.into()
}

fn write_scope_group<R: JsonRecord>(group: &ScopeGroup<'_, R>) -> Value {
    let mut object = Map::new();
    object.insert("scope".to_owned(), write_scope(group.scope));
    object.insert(R::NAMES[2].to_owned(), group.records.iter().map(|record| record.to_json()).collect());
    write_text(&mut object, "schemaUrl", &group.scope.schema_url);
    object.into()
}
