//! Where a database is, as the URL says it that a connection is established with.

use std::sync::Arc;

use percent_encoding::percent_decode_str;

use super::super::target::Description;

/// What a SQLite without a file is called.
const IN_MEMORY: &str = ":memory:";

/// What a URL says. Users, passwords and options are not read.
#[derive(Debug, Default, PartialEq, Eq)]
struct Place {
    address: Option<Arc<str>>,
    port: Option<u16>,
    namespace: Option<Arc<str>>,
}

/// With what the URL says, but for what the program said itself.
pub(super) fn described(mut description: Description, url: &str) -> Description {
    let Place { address, port, namespace } =
        if description.system() == "sqlite" { file(url) } else { server(url) };
    if let Some(namespace) = namespace.filter(|_| !description.has_namespace()) {
        description = description.namespace(namespace);
    }
    if let Some(address) = address.filter(|_| !description.has_server()) {
        description = description.server((address, port));
    }
    description
}

/// A file, without its folders, which tell of the machine.
fn file(url: &str) -> Place {
    let path = url.strip_prefix("file:").or(url.strip_prefix("sqlite://")).unwrap_or(url);
    let (path, options) = path.split_once('?').unwrap_or((path, ""));
    let name = path.rsplit(['/', '\\']).next().unwrap_or_default();
    let is_in_memory = name.is_empty() || name == IN_MEMORY || options.contains("mode=memory");
    let namespace = if is_in_memory { IN_MEMORY.into() } else { decoded(name) };
    Place { namespace: Some(namespace), ..Place::default() }
}

/// `scheme://user:password@host:port/name?options`, or PostgreSQL's `host=.. port=.. dbname=..`.
fn server(url: &str) -> Place {
    let Some((_, whole)) = url.split_once("://") else { return words(url) };
    // Options may hold a password.
    let rest = whole.find(['?', '#']).and_then(|end| whole.get(..end)).unwrap_or(whole);
    let (place, name) = rest.split_once('/').unwrap_or((rest, ""));
    // A password with a character in it that ends it: what stands here may be its beginning.
    if whole.contains('@') && !place.contains('@') {
        return Place::default();
    }
    // It may have this one in it.
    let place = place.rsplit('@').next().unwrap_or_default();
    let (host, port) = match place.strip_prefix('[').and_then(|place| place.split_once(']')) {
        Some((host, port)) => (host, port.strip_prefix(':')),
        None => place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port))),
    };
    // Of several hosts nobody knows which one was taken.
    let is_one = !place.contains(',') && !host.is_empty();
    Place {
        address: is_one.then(|| decoded(host)),
        port: port.filter(|_| is_one).and_then(|port| port.parse().ok()),
        namespace: Some(decoded(name)).filter(|name| !name.is_empty()),
    }
}

fn words(text: &str) -> Place {
    // A value in quotes may hold words of its own, such as a password; then nothing is read.
    if text.contains('\'') {
        return Place::default();
    }
    let value = |key: &str| {
        text.split_whitespace()
            .filter_map(|word| word.split_once('='))
            .find(|(name, _)| *name == key)
            .map(|(_, value)| value)
            .filter(|value| !value.contains(','))
    };
    Place {
        address: value("host").map(Into::into),
        port: value("port").and_then(|port| port.parse().ok()),
        namespace: value("dbname").map(Into::into),
    }
}

fn decoded(text: &str) -> Arc<str> {
    percent_decode_str(text).decode_utf8_lossy().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(address: Option<&str>, port: Option<u16>, namespace: Option<&str>) -> Place {
        Place { address: address.map(Into::into), port, namespace: namespace.map(Into::into) }
    }

    #[test]
    fn a_server_has_an_address_a_port_and_a_name() {
        for (url, expected) in [
            (
                "postgres://ann:pa@ss:w@db.internal:6432/shop?x=y",
                place(Some("db.internal"), Some(6432), Some("shop")),
            ),
            ("mysql://db/shop%20one", place(Some("db"), None, Some("shop one"))),
            ("postgres://[::1]:1/", place(Some("::1"), Some(1), None)),
            ("postgres://a:1,b:2/shop", place(None, None, Some("shop"))),
            ("postgres:///shop", place(None, None, Some("shop"))),
            ("postgres://db?user=ann&password=x", place(Some("db"), None, None)),
            ("postgres://ann:pa/ss@db/shop", Place::default()),
            ("postgres://ann:12?4@db/shop", Place::default()),
            ("host=db port=6432 dbname=shop password=x", place(Some("db"), Some(6432), Some("shop"))),
            ("password='a host=b' dbname=shop", Place::default()),
            ("", Place::default()),
        ] {
            assert_eq!(server(url), expected, "{url}");
        }
    }

    #[test]
    fn a_file_is_known_without_its_folders() {
        for (url, namespace) in [
            ("/home/ann/orders.db", "orders.db"),
            ("file:data/orders.db?mode=ro", "orders.db"),
            ("sqlite://data/orders.db", "orders.db"),
            (":memory:", ":memory:"),
            ("file:shared?mode=memory&cache=shared", ":memory:"),
            ("", ":memory:"),
        ] {
            assert_eq!(file(url), place(None, None, Some(namespace)), "{url}");
        }
    }
}
