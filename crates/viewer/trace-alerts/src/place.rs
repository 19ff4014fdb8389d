//! What an alert is about, as it is written: in files, in answers of the API and as labels.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use waypost_trace_model::{Kind, Text};
use waypost_trace_statistics::{Peer, PeerKind, Subject};

/// A service, an operation or an edge of the map. An end of an edge is written as on the map: `database:sqlite/orders`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Place {
    /// The service; `None` for an edge.
    pub service: Option<Text>,
    /// The name of the operation.
    pub operation: Option<Text>,
    /// The kind of its spans, when only spans of one kind are meant.
    pub kind: Option<Kind>,
    /// Who calls.
    pub edge_from: Option<Text>,
    /// Who is called.
    pub edge_to: Option<Text>,
}

/// A point of the map by its id; `None` when it is not written as one.
pub(crate) fn peer(id: &str) -> Option<Peer> {
    let (kind, name) = id.split_once(':')?;
    Some(Peer { kind: PeerKind::from_name(kind)?, name: Text::from(name) })
}

impl From<&Subject> for Place {
    fn from(subject: &Subject) -> Place {
        match subject {
            Subject::Service(service) => Place { service: Some(service.clone()), ..Place::default() },
            Subject::Operations { service, name, kinds } => Place {
                service: Some(service.clone()),
                operation: name.clone(),
                kind: kinds.first().copied(),
                ..Place::default()
            },
            Subject::Edge { from, to } => {
                Place { edge_from: Some(from.id().into()), edge_to: Some(to.id().into()), ..Place::default() }
            }
        }
    }
}

impl Place {
    /// As labels: `service`, `operation`, `span_kind`, `edge_from`, `edge_to`, as far as there are such.
    pub fn labels(&self) -> BTreeMap<String, String> {
        let kind = self.kind.map(|kind| Text::from(kind.name()));
        let Place { service, operation, edge_from, edge_to, .. } = self;
        let all = [
            ("service", service),
            ("operation", operation),
            ("span_kind", &kind),
            ("edge_from", edge_from),
            ("edge_to", edge_to),
        ];
        let there = all.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
        there.map(|(name, value)| (name.to_owned(), value.to_string())).collect()
    }

    /// As a person reads it: `checkout POST /orders`, `order-service to database sqlite/orders`.
    pub fn words(&self) -> String {
        if let (Some(from), Some(to)) = (&self.edge_from, &self.edge_to) {
            return format!("{} to {}", end_words(from), end_words(to));
        }
        let service = self.service.as_deref().unwrap_or("every service");
        match &self.operation {
            None => service.to_owned(),
            Some(operation) => format!("{service} {operation}"),
        }
    }

    /// As the statistics name it; `None` for a place that is no one thing.
    pub fn subject(&self) -> Option<Subject> {
        if let (Some(from), Some(to)) = (&self.edge_from, &self.edge_to) {
            return Some(Subject::Edge { from: peer(from)?, to: peer(to)? });
        }
        let service = self.service.clone()?;
        if self.operation.is_none() && self.kind.is_none() {
            return Some(Subject::Service(service));
        }
        let kinds = self.kind.iter().copied().collect();
        Some(Subject::Operations { service, name: self.operation.clone(), kinds })
    }

    /// Whether this is the other place, or a part of it: an operation is a part of its service, and so is an edge
    /// that begins there.
    pub fn is_within(&self, other: &Place) -> bool {
        fn fits<T: PartialEq>(wanted: Option<&T>, own: Option<&T>) -> bool {
            wanted.is_none() || wanted == own
        }
        let from = self.edge_from.as_deref().and_then(|from| from.strip_prefix("service:")).map(Text::from);
        fits(other.service.as_ref(), self.service.as_ref().or(from.as_ref()))
            && fits(other.operation.as_ref(), self.operation.as_ref())
            && fits(other.kind.as_ref(), self.kind.as_ref())
            && fits(other.edge_from.as_ref(), self.edge_from.as_ref())
            && fits(other.edge_to.as_ref(), self.edge_to.as_ref())
    }
}

fn end_words(id: &str) -> String {
    match id.split_once(':') {
        Some(("service", name)) => name.to_owned(),
        Some((kind, name)) => format!("{kind} {name}"),
        None => id.to_owned(),
    }
}
