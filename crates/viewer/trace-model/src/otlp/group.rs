//! Records by resource and scope, for the encoders.

use super::{
    protobuf::origin::{encode_resource, encode_scope},
    record::{Origin, Record},
};
use crate::{Resource, Scope, wire::Writer};
use std::{collections::HashMap, sync::Arc};

/// The records of one resource.
#[derive(Debug)]
pub(super) struct ResourceGroup<'r, R> {
    pub(super) resource: &'r Resource,
    pub(super) scopes: Vec<ScopeGroup<'r, R>>,
}

/// Those of them with one scope.
#[derive(Debug)]
pub(super) struct ScopeGroup<'r, R> {
    pub(super) scope: &'r Scope,
    pub(super) records: Vec<&'r R>,
}

/// Groups records whose resources and scopes are equal, each group at the place of its first record.
pub(super) fn by_origin<R: Record>(records: &[R]) -> Vec<ResourceGroup<'_, R>> {
    let mut groups: Vec<ResourceGroup<'_, R>> = Vec::new();
    let mut resources = Places::default();
    let mut scopes = Places::default();
    for record in records {
        let Origin { resource, scope } = record.origin();
        let resource_at = resources.place(0, address(resource), groups.len(), |writer| {
            encode_resource(resource, writer);
            writer.present_bytes(u32::MAX >> 3, resource.schema_url.as_bytes());
        });
        if resource_at == groups.len() {
            groups.push(ResourceGroup { resource, scopes: Vec::new() });
        }
        let Some(group) = groups.get_mut(resource_at) else { continue };
        let scope_at = scopes.place(resource_at, address(scope), group.scopes.len(), |writer| {
            encode_scope(scope, writer);
            writer.present_bytes(u32::MAX >> 3, scope.schema_url.as_bytes());
        });
        if scope_at == group.scopes.len() {
            group.scopes.push(ScopeGroup { scope, records: Vec::new() });
        }
        if let Some(group) = group.scopes.get_mut(scope_at) {
            group.records.push(record);
        }
    }
    groups
}

fn address<T>(shared: &Arc<T>) -> usize {
    Arc::as_ptr(shared).addr()
}

/// Finds the group of a resource or scope: mostly it is the one before, or one that was seen at the same address. Only
/// for a new address is the content compared, by its encoding, in which also a NaN is equal to itself.
#[derive(Debug, Default)]
struct Places {
    last: Option<((usize, usize), usize)>,
    by_address: HashMap<(usize, usize), usize>,
    by_content: HashMap<(usize, Vec<u8>), usize>,
}

impl Places {
    /// The place of what stands at `address` among those with the same `parent`; `next` if it is a new one.
    fn place(
        &mut self,
        parent: usize,
        address: usize,
        next: usize,
        encode: impl FnOnce(&mut Writer),
    ) -> usize {
        let key = (parent, address);
        if let Some((last, place)) = self.last
            && last == key
        {
            return place;
        }
        let by_content = &mut self.by_content;
        let place = *self.by_address.entry(key).or_insert_with(|| {
            let mut writer = Writer::default();
            encode(&mut writer);
            *by_content.entry((parent, writer.into_vec())).or_insert(next)
        });
        self.last = Some((key, place));
        place
    }
}
