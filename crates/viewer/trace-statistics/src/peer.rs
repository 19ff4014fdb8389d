//! Who a span talks to, as far as its own attributes say.
//!
//! The current semantic conventions and the names that they replaced are both read.

use crate::PeerKind;
use waypost_trace_model::Attribute;

/// Values of `db.system.name` that are caches: what they hold can be had from elsewhere.
const CACHES: &[&str] = &[
    "caffeine",
    "dragonfly",
    "ehcache",
    "hazelcast",
    "infinispan",
    "keydb",
    "memcached",
    "moka",
    "redis",
    "valkey",
];

/// What the attributes say.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Hints<'a> {
    db_system: Option<&'a str>,
    db_namespace: Option<&'a str>,
    cache_name: Option<&'a str>,
    messaging_system: Option<&'a str>,
    destination: Option<&'a str>,
    address: Option<&'a str>,
    peer_service: Option<&'a str>,
    /// The span takes messages from the destination and does not send to it.
    pub(crate) is_receive: bool,
}

impl<'a> Hints<'a> {
    pub(crate) fn read(attributes: &'a [Attribute]) -> Hints<'a> {
        let mut hints = Hints::default();
        for attribute in attributes {
            let slot = match &*attribute.key {
                "db.system.name" => &mut hints.db_system,
                // The old name does not win over the new one.
                "db.system" if hints.db_system.is_none() => &mut hints.db_system,
                "db.namespace" => &mut hints.db_namespace,
                "db.name" if hints.db_namespace.is_none() => &mut hints.db_namespace,
                "cache.name" => &mut hints.cache_name,
                "messaging.system" => &mut hints.messaging_system,
                "messaging.destination.name" => &mut hints.destination,
                "messaging.destination" if hints.destination.is_none() => &mut hints.destination,
                "server.address" => &mut hints.address,
                "net.peer.name" if hints.address.is_none() => &mut hints.address,
                "peer.service" => &mut hints.peer_service,
                "messaging.operation.type" | "messaging.operation" => {
                    hints.is_receive = attribute.value.as_text() == Some("receive");
                    continue;
                }
                _ => continue,
            };
            *slot = attribute.value.as_text().filter(|text| !text.is_empty());
        }
        hints
    }

    /// A database, a cache or a broker: certain whatever else comes. Writes its name.
    pub(crate) fn certain(&self, name: &mut String) -> Option<PeerKind> {
        if let Some(cache) = self.cache_name {
            join(name, cache, None);
            return Some(PeerKind::Cache);
        }
        if let Some(system) = self.db_system {
            join(name, system, self.db_namespace.or(self.address));
            return Some(if CACHES.contains(&system) { PeerKind::Cache } else { PeerKind::Database });
        }
        self.messaging(name)
    }

    /// The broker's destination. Writes its name.
    pub(crate) fn messaging(&self, name: &mut String) -> Option<PeerKind> {
        match (self.messaging_system, self.destination) {
            (Some(system), destination) => join(name, system, destination),
            (None, Some(destination)) => join(name, destination, None),
            (None, None) => return None,
        }
        Some(PeerKind::Messaging)
    }

    /// A cache inside the process, for spans that call nobody else.
    pub(crate) fn cache(&self, name: &mut String) -> Option<PeerKind> {
        join(name, self.cache_name?, None);
        Some(PeerKind::Cache)
    }

    /// The host that was called, if nobody there turns out to send spans.
    pub(crate) fn host(&self) -> Option<&'a str> {
        self.address.or(self.peer_service)
    }
}

fn join(name: &mut String, first: &str, second: Option<&str>) {
    name.clear();
    name.push_str(first);
    if let Some(second) = second {
        name.push('/');
        name.push_str(second);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use waypost_trace_model::Value;

    fn certain(pairs: &[(&str, &str)]) -> Option<(PeerKind, String)> {
        let attributes: Vec<Attribute> = pairs
            .iter()
            .map(|(key, value)| Attribute { key: (*key).into(), value: Value::Text((*value).into()) })
            .collect();
        let mut name = String::new();
        Hints::read(&attributes).certain(&mut name).map(|kind| (kind, name))
    }

    #[test]
    fn databases_caches_and_brokers_are_told_by_new_and_by_old_names() {
        let named = |kind: PeerKind, name: &str| Some((kind, name.to_owned()));
        let shop = [("db.system.name", "postgresql"), ("server.address", "db1"), ("db.namespace", "shop")];
        assert_eq!(certain(&shop), named(PeerKind::Database, "postgresql/shop"));
        let old = [("db.name", "shop"), ("db.system", "mysql")];
        assert_eq!(certain(&old), named(PeerKind::Database, "mysql/shop"));
        let both = [("db.system.name", "postgresql"), ("db.system", "other_sql")];
        assert_eq!(certain(&both), named(PeerKind::Database, "postgresql"));
        let redis = [("db.system.name", "redis"), ("server.address", "cache1")];
        assert_eq!(certain(&redis), named(PeerKind::Cache, "redis/cache1"));
        assert_eq!(certain(&[("cache.name", "users")]), named(PeerKind::Cache, "users"));
        let kafka = [("messaging.system", "kafka"), ("messaging.destination.name", "orders")];
        assert_eq!(certain(&kafka), named(PeerKind::Messaging, "kafka/orders"));
        let old = [("messaging.system", "rabbitmq"), ("messaging.destination", "mail")];
        assert_eq!(certain(&old), named(PeerKind::Messaging, "rabbitmq/mail"));
        assert_eq!(certain(&[("server.address", "example.com")]), None);
    }
}
