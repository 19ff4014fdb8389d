//! `Resource` and `InstrumentationScope`.

use super::{
    attributes::{self, Attributes, next_attribute},
    set_number, set_text,
};
use crate::{
    Attribute, Resource, Scope, Text, Value,
    json::{Context, Items, Object, each, skip},
};
use serde::de::{MapAccess, SeqAccess};
use serde_json::{Map, json};

/// What was read of a resource.
#[derive(Debug, Default)]
pub(super) struct ResourceFields {
    attributes: Vec<Attribute>,
    dropped_attributes: u32,
    /// The service, which is looked for also when the resource is beyond the limits.
    service: Option<Text>,
}

impl ResourceFields {
    /// The service that is named in it, and the resource.
    pub(super) fn into_resource(self, schema_url: Text) -> (Option<Text>, Resource) {
        (self.service, Resource::new(self.attributes, self.dropped_attributes, schema_url))
    }
}

impl Object for ResourceFields {
    fn field<'de, A: MapAccess<'de>>(
        &mut self,
        name: &str,
        map: &mut A,
        context: &mut Context<'_>,
    ) -> Result<(), A::Error> {
        match name {
            "attributes" => each(self, map, context),
            "droppedAttributesCount" | "dropped_attributes_count" => {
                set_number(&mut self.dropped_attributes, map)
            }
            _ => skip(map),
        }
    }

    fn is_wanted(&self, name: &str) -> bool {
        name == "attributes"
    }
}

/// Its attributes.
impl Items for ResourceFields {
    const IS_WANTED: bool = true;

    fn item<'de, A: SeqAccess<'de>>(
        &mut self,
        seq: &mut A,
        context: &mut Context<'_>,
    ) -> Result<bool, A::Error> {
        let refused_before = context.refused.take();
        let read = next_attribute(seq, context)?;
        context.refused = refused_before.or(context.refused);
        let Some(attribute) = read else { return Ok(false) };
        if let ("service.name", Value::Text(service)) = (&*attribute.key, &attribute.value)
            && !service.is_empty()
        {
            self.service.get_or_insert_with(|| service.clone());
        }
        if context.refused.is_none() {
            let allowed = context.admission.attribute(self.attributes.len());
            if context.allow(allowed).is_some() {
                self.attributes.push(attribute);
            }
        }
        Ok(true)
    }
}

/// What was read of a scope; its schema stands beside it.
#[derive(Debug, Default)]
pub(super) struct ScopeFields(pub(super) Scope);

impl Object for ScopeFields {
    fn field<'de, A: MapAccess<'de>>(
        &mut self,
        name: &str,
        map: &mut A,
        context: &mut Context<'_>,
    ) -> Result<(), A::Error> {
        let scope = &mut self.0;
        match name {
            "name" => set_text(&mut scope.name, map, context),
            "version" => set_text(&mut scope.version, map, context),
            "attributes" => each(&mut Attributes(&mut scope.attributes), map, context),
            "droppedAttributesCount" | "dropped_attributes_count" => {
                set_number(&mut scope.dropped_attributes, map)
            }
            _ => skip(map),
        }
    }
}

/// A resource as JSON, without its schema.
pub(super) fn write_resource(resource: &Resource) -> serde_json::Value {
    let mut object = Map::new();
    write_attributes(&mut object, &resource.attributes, resource.dropped_attributes);
    object.into()
}

/// A scope as JSON, without its schema.
pub(super) fn write_scope(scope: &Scope) -> serde_json::Value {
    let mut object = Map::new();
    write_text(&mut object, "name", &scope.name);
    write_text(&mut object, "version", &scope.version);
    write_attributes(&mut object, &scope.attributes, scope.dropped_attributes);
    object.into()
}

/// Writes a text unless it is empty.
pub(super) fn write_text(object: &mut Map<String, serde_json::Value>, name: &str, text: &str) {
    if !text.is_empty() {
        object.insert(name.to_owned(), json!(text));
    }
}

/// Writes a number unless it is 0.
pub(super) fn write_count(object: &mut Map<String, serde_json::Value>, name: &str, number: u32) {
    if number != 0 {
        object.insert(name.to_owned(), json!(number));
    }
}

/// Writes attributes, and how many were dropped, unless there are none.
pub(super) fn write_attributes(
    object: &mut Map<String, serde_json::Value>,
    attributes: &[Attribute],
    dropped_attributes: u32,
) {
    if !attributes.is_empty() {
        object.insert("attributes".to_owned(), attributes::write(attributes));
    }
    write_count(object, "droppedAttributesCount", dropped_attributes);
}
