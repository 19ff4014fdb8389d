//! Where a pool's database is and what it is called, as the pool's options say it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use percent_encoding::percent_decode_str;
use sqlx::{ConnectOptions as _, Database, Pool};

use super::Settings;

/// sqlx's name of SQLite.
const SQLITE: &str = "SQLite";

/// What a database without a name is called in the name of its pool.
const NAMELESS: &str = "default";

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Origin {
    /// `db.system.name`.
    pub(super) system: &'static str,
    pub(super) namespace: Arc<str>,
    /// Address and port of a database in another process; a socket has no port.
    pub(super) server: Option<(Arc<str>, Option<u16>)>,
}

/// A URL of options, in parts.
struct Place<'a> {
    scheme: &'a str,
    user: &'a str,
    host: Option<&'a str>,
    port: Option<u16>,
    path: &'a str,
    is_in_memory: bool,
}

impl Origin {
    pub(super) fn of<DB: Database>(pool: &Pool<DB>, settings: &Settings) -> Self {
        let options = pool.connect_options();
        if DB::NAME == SQLITE {
            return Self::of_file(&format!("{options:?}")).with(settings);
        }
        // The driver makes a URL of its options and panics where it cannot; without one there is less to show.
        let url = catch_unwind(AssertUnwindSafe(|| options.to_url_lossy())).ok();
        let place = url.as_ref().map(|url| Place {
            scheme: url.scheme(),
            user: url.username(),
            host: url.host_str(),
            port: url.port(),
            path: url.path(),
            is_in_memory: url.query_pairs().any(|(key, value)| key == "mode" && value == "memory"),
        });
        Self::at(DB::NAME, place).with(settings)
    }

    /// With what the program says itself.
    fn with(mut self, settings: &Settings) -> Self {
        if let Some(namespace) = &settings.namespace {
            self.namespace = Arc::clone(namespace);
        }
        if let Some((address, port)) = &settings.server {
            self.server = Some((Arc::clone(address), Some(*port)));
        }
        self
    }

    /// SQLite's, from how its options show themselves: sqlx 0.9 panics when it makes a URL of the name that it gives a
    /// database in memory, and its type is known only to those who build that driver.
    fn of_file(options: &str) -> Self {
        let name = options
            .split_once("filename: \"")
            .and_then(|(_, rest)| rest.split_once('"'))
            .map(|(name, _)| name);
        let is_in_memory = options.contains("in_memory: true");
        let path = name.unwrap_or_default();
        Self::at(
            SQLITE,
            Some(Place { scheme: "sqlite", user: "", host: None, port: None, path, is_in_memory }),
        )
    }

    fn at(driver: &str, place: Option<Place<'_>>) -> Self {
        let system = system(driver, place.as_ref().map_or("", |place| place.scheme));
        let Some(place) = place else { return Self { system, namespace: "".into(), server: None } };
        // SQLite's own is no URL.
        let path = if driver == SQLITE { place.path.to_owned() } else { decoded(place.path) };
        if system == "sqlite" {
            // A relative path is where the host is in other URLs.
            let path = format!("{}{path}", decoded(place.host.unwrap_or_default()));
            let is_in_memory = place.is_in_memory || path.contains(":memory:");
            // Without its folders, which tell of the machine.
            let file = path.rsplit(['/', '\\']).next().unwrap_or_default();
            let namespace = if is_in_memory { ":memory:" } else { file };
            return Self { system, namespace: namespace.into(), server: None };
        }
        let name = path.trim_start_matches('/');
        // PostgreSQL's default.
        let user = decoded(place.user);
        let namespace = if name.is_empty() && system == "postgresql" { user.as_str() } else { name };
        let address = place.host.map(decoded).filter(|host| !host.is_empty());
        let server = address.map(|address| {
            let port = place.port.filter(|_| !address.starts_with('/'));
            (address.trim_matches(['[', ']']).into(), port)
        });
        Self { system, namespace: namespace.into(), server }
    }

    /// The database's address and name, as the conventions make a pool's name of them.
    pub(super) fn pool_name(&self) -> Arc<str> {
        let namespace = if self.namespace.is_empty() { NAMELESS } else { &*self.namespace };
        match &self.server {
            Some((address, Some(port))) => format!("{address}:{port}/{namespace}").into(),
            Some((address, None)) => format!("{address}/{namespace}").into(),
            None => namespace.into(),
        }
    }
}

fn system(driver: &str, scheme: &str) -> &'static str {
    match (driver, scheme) {
        ("PostgreSQL", _) | (_, "postgres" | "postgresql") => "postgresql",
        (_, "mariadb") => "mariadb",
        ("MySQL", _) | (_, "mysql") => "mysql",
        (SQLITE, _) | (_, "sqlite") => "sqlite",
        _ => "other_sql",
    }
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(driver: &str, scheme: &str, host: Option<&str>, port: Option<u16>, path: &str) -> Origin {
        let is_in_memory = false;
        Origin::at(driver, Some(Place { scheme, user: "waypost", host, port, path, is_in_memory }))
    }

    #[test]
    fn a_server_has_an_address_a_port_and_a_name() {
        let origin = at("PostgreSQL", "postgres", Some("db.internal"), Some(6432), "/shop%20one");
        let server = Some(("db.internal".into(), Some(6432)));
        assert_eq!(origin, Origin { system: "postgresql", namespace: "shop one".into(), server });
        assert_eq!(&*origin.pool_name(), "db.internal:6432/shop one");
    }

    #[test]
    fn what_is_left_out_is_what_the_client_takes_then() {
        let origin = at("PostgreSQL", "postgres", Some("%2Fvar%2Frun"), Some(5432), "");
        assert_eq!((&*origin.namespace, origin.server.clone()), ("waypost", Some(("/var/run".into(), None))));
        assert_eq!(&*origin.pool_name(), "/var/run/waypost");
        let mysql = at("MySQL", "mysql", Some("[::1]"), None, "/");
        assert_eq!((&*mysql.namespace, mysql.server), ("", Some(("::1".into(), None))));
        assert_eq!(&*Origin::at("MySQL", None).pool_name(), "default");
    }

    #[test]
    fn a_file_is_known_without_its_folders() {
        let options = |url: &str| format!("{:?}", url.parse::<sqlx::sqlite::SqliteConnectOptions>().unwrap());
        for (url, namespace) in [
            ("sqlite:///home/ann/orders.db?mode=ro", "orders.db"),
            ("sqlite:data/50%25.db", "50%.db"),
            ("sqlite::memory:", ":memory:"),
            ("sqlite://shared?mode=memory&cache=shared", ":memory:"),
        ] {
            let origin = Origin { system: "sqlite", namespace: namespace.into(), server: None };
            assert_eq!(Origin::of_file(&options(url)), origin, "{url}");
        }
        let plain = sqlx::sqlite::SqliteConnectOptions::new();
        assert_eq!(&*Origin::of_file(&format!("{plain:?}")).namespace, ":memory:");
        assert_eq!(&*Origin::of_file("").namespace, "");
        // Of the driver for any database it is a URL, in which a folder may be where the host is.
        assert_eq!(&*at("Any", "sqlite", Some("data"), None, "/a.db").namespace, "a.db");
    }

    #[test]
    fn any_driver_is_known_by_its_url() {
        assert_eq!(at("Any", "mariadb", Some("db"), None, "/shop").system, "mariadb");
        assert_eq!(at("Any", "postgres", Some("db"), None, "/shop").system, "postgresql");
        assert_eq!(at("Other", "other", Some("db"), None, "/shop").system, "other_sql");
    }
}
