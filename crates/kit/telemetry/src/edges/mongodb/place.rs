//! What the names of commands and connections are made of, once for each command of a collection and each server.

use std::borrow::Cow;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use mongodb::options::ServerAddress;
use opentelemetry::{KeyValue, StringValue};

use super::Shared;
use crate::base::slots::Slots;

/// The port of a MongoDB that is told no other.
const DEFAULT_PORT: u16 = 27017;

/// A command of one database, about one of its collections if it is about one. Made for each command where there is no room
/// to keep it.
#[derive(Debug)]
pub(super) struct Place {
    /// The command in names, or what stands for too many of them.
    pub(super) operation: StringValue,
    pub(super) namespace: StringValue,
    pub(super) collection: Option<StringValue>,
    /// Whether metrics and the span's name show the collection.
    pub(super) is_shown: bool,
    /// The span's name.
    pub(super) title: String,
}

/// Places that are known.
pub(super) type Places = Slots<Key, Arc<Place>>;

/// A command, its database and its collection, as the driver has them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Key {
    command: Box<str>,
    database: Box<str>,
    collection: Option<Box<str>>,
}

/// As the borrowed parts do, by which it is found.
impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&*self.command, &*self.database, self.collection.as_deref()).hash(state);
    }
}

impl Place {
    /// The place of a command, made if it is not known.
    pub(super) fn of(shared: &Shared, command: &str, database: &str, collection: Option<&str>) -> Arc<Self> {
        let is_it = |key: &Key| {
            *key.command == *command && *key.database == *database && key.collection.as_deref() == collection
        };
        if let Some(known) = shared.places.find_with(&(command, database, collection), is_it) {
            return Arc::clone(known);
        }
        let made = Arc::new(Self::new(shared, command, database, collection));
        // What is not shown may be as many as there are requests.
        if made.is_shown && made.operation.as_str() == command {
            let key = Key {
                command: command.into(),
                database: database.into(),
                collection: collection.map(Box::from),
            };
            shared.places.keep(key, Arc::clone(&made));
        }
        made
    }

    fn new(shared: &Shared, command: &str, database: &str, collection: Option<&str>) -> Self {
        let is_named = shared.commands.takes(command);
        let operation = if is_named { command } else { "_OTHER" };
        let place = collection.map_or_else(|| database.to_owned(), |own| format!("{database}.{own}"));
        let is_shown = shared.collections.takes(&place);
        let title = match collection.filter(|_| is_shown) {
            Some(own) => format!("{operation} {own}"),
            None => operation.to_owned(),
        };
        Self {
            operation: shareable(operation),
            namespace: shareable(database),
            collection: collection.map(shareable),
            is_shown,
            title,
        }
    }
}

/// A server in labels.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Host {
    pub(super) address: StringValue,
    /// `None` for the port that every client would try.
    pub(super) port: Option<u16>,
}

/// Servers that are known.
pub(super) type Hosts = Slots<ServerAddress, Host>;

impl Host {
    /// The labels of a server, made if it is not known.
    pub(super) fn of(hosts: &Hosts, address: &ServerAddress) -> Self {
        if let Some(known) = hosts.find(address) {
            return known.clone();
        }
        let (host, port) = match address {
            ServerAddress::Tcp { host, port } => {
                (Cow::Borrowed(host.as_str()), port.filter(|port| *port != DEFAULT_PORT))
            }
            other => (Cow::Owned(other.to_string()), None),
        };
        let made = Self { address: shareable(&host), port };
        hosts.keep(address.clone(), made.clone());
        made
    }

    pub(super) fn labels(&self) -> impl Iterator<Item = KeyValue> {
        let port = self.port.map(|port| KeyValue::new("server.port", i64::from(port)));
        std::iter::once(KeyValue::new("server.address", self.address.clone())).chain(port)
    }
}

/// A text whose clones are not copies.
fn shareable(text: &str) -> StringValue {
    Arc::<str>::from(text).into()
}
