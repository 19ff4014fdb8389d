//! Which PostgreSQL server, and what a process may ask of it.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgSslMode};

use super::error::NO_CONNECTION_LEFT;
use crate::Error;
use crate::error::Cause;

/// The oldest version of the server that there are tests of: `server_version_num` of 14.0.
pub(super) const OLDEST: i32 = 140_000;

/// A server and what a process may ask of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Where it is and who asks.
    pub address: Address,
    /// What the connection is protected by.
    pub tls: Tls,
    /// Each service keeps its tables in a schema of its own: this and its name, such as `waypost_order`.
    pub schema_prefix: String,
    /// What the server shows of who is connected; the service's name is added.
    pub application_name: String,
    /// Most connections of one service of this process at once.
    pub max_connections: u32,
    /// How long a new connection may take.
    pub connect_timeout: Duration,
    /// How long a unit waits for a connection that is free.
    pub acquire_timeout: Duration,
    /// How long a connection is kept that nobody needs.
    pub idle_timeout: Duration,
    /// How long one statement may take.
    pub statement_timeout: Duration,
    /// How long a statement waits for a lock of another unit.
    pub lock_timeout: Duration,
}

/// Where a server is and who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// A name, an address, or the folder of a Unix-domain socket.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The database on it, which must exist.
    pub database: String,
    /// The role that logs in.
    pub user: String,
    /// Its password, unless the server asks for none.
    pub password: Option<Password>,
}

/// A password. It never prints.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    /// A password.
    pub fn new(text: impl Into<String>) -> Password {
        Password(text.into())
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// How a connection is protected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// How much.
    pub mode: TlsMode,
    /// Certificates that the server's is checked with, PEM. `None`: those of the system.
    pub ca_file: Option<PathBuf>,
    /// The certificate to show and its key, PEM.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// The words of `sslmode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsMode {
    /// None.
    Disable,
    /// When the server offers it; nothing is checked.
    #[default]
    Prefer,
    /// Always; the server's certificate is not checked.
    Require,
    /// The server's certificate is checked, not its name.
    VerifyCa,
    /// The server's certificate and its name are checked.
    VerifyFull,
}

impl Server {
    /// With the defaults for everything but where it is.
    pub fn new(address: Address) -> Server {
        Server {
            address,
            tls: Tls::default(),
            schema_prefix: "waypost_".to_owned(),
            application_name: "waypost".to_owned(),
            max_connections: 10,
            connect_timeout: Duration::from_secs(5),
            acquire_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_mins(1),
            statement_timeout: Duration::from_secs(30),
            lock_timeout: Duration::from_secs(5),
        }
    }

    /// The schema of a service.
    pub fn schema(&self, name: &str) -> String {
        format!("{}{name}", self.schema_prefix)
    }

    /// The database and the schema of a service, as people and spans call it.
    pub(super) fn namespace(&self, name: &str) -> String {
        format!("{}|{}", self.address.database, self.schema(name))
    }

    /// `host:port/database`, for messages.
    pub fn place(&self) -> String {
        let Address { host, port, database, .. } = &self.address;
        format!("{host}:{port}/{database}")
    }

    /// For connections of the service of this name.
    pub(super) fn connect_options(&self, name: &str) -> PgConnectOptions {
        let Address { host, port, database, user, password } = &self.address;
        // Statements of one schema; a name of a table never leaves it.
        let schema = format!("\"{}\"", self.schema(name));
        let mut options = PgConnectOptions::new_without_pgpass()
            .host(host)
            .port(*port)
            .database(database)
            .username(user)
            .application_name(&format!("{} {name}", self.application_name))
            .statement_cache_capacity(256)
            .ssl_mode(self.tls.mode.into())
            .options([
                ("search_path", schema),
                ("timezone", "UTC".to_owned()),
                ("statement_timeout", self.statement_timeout.as_millis().to_string()),
                ("lock_timeout", self.lock_timeout.as_millis().to_string()),
                // A process that stands still does not keep its locks for ever.
                ("idle_in_transaction_session_timeout", self.statement_timeout.as_millis().to_string()),
                // In a literal a backslash is a backslash.
                ("standard_conforming_strings", "on".to_owned()),
                // Off would lose acknowledged commits when the server crashes.
                ("synchronous_commit", "on".to_owned()),
                // A plan is made once and kept, whatever the tables held at that time: by index, as they grow. The cost that
                // stands for "never" would have such a plan compiled.
                ("plan_cache_mode", "force_generic_plan".to_owned()),
                ("enable_seqscan", "off".to_owned()),
                ("enable_hashjoin", "off".to_owned()),
                ("enable_mergejoin", "off".to_owned()),
                ("jit", "off".to_owned()),
            ]);
        if host.starts_with('/') {
            options = options.socket(host);
        }
        if let Some(Password(password)) = password {
            options = options.password(password);
        }
        if let Some(file) = &self.tls.ca_file {
            options = options.ssl_root_cert(file);
        }
        if let Some((certificate, key)) = &self.tls.client {
            options = options.ssl_client_cert(certificate).ssl_client_key(key);
        }
        options
    }

    /// What a connection that could not be had says about the start: where, why, and what to do.
    pub(super) fn explain(&self, error: Error) -> Error {
        let (cause, is_tls) = match &error {
            Error::Statement(cause) | Error::Unavailable(cause) | Error::Busy(cause) => {
                (cause.code().to_owned(), is_about_tls(cause))
            }
            _ => (String::new(), false),
        };
        let hint = match cause.as_str() {
            "28P01" | "28000" => {
                "the server refused the user, its password or its certificate; see database.user, \
                 database.password_file, database.client_certificate and the server's pg_hba.conf"
            }
            "3D000" => "there is no such database; make it, or set database.name",
            "42501" => {
                "the user may not do that; let it create a schema in the database, or make the service's schema and give \
                 it to the user"
            }
            NO_CONNECTION_LEFT => {
                "the server has no connection left; raise its max_connections, or lower database.max_connections"
            }
            _ if is_tls => {
                "it is there, but TLS with it fails; see database.sslmode, database.ca_file, the name in database.host, \
                 and database.client_certificate where it asks for one"
            }
            _ => {
                "it cannot be reached; see whether it runs there, and database.host, database.port and database.sslmode"
            }
        };
        match error {
            Error::Migration { .. } | Error::Server { .. } => error,
            error => Error::Server { place: self.place(), hint, source: Arc::new(error) },
        }
    }
}

/// Whether the server and this program could not agree on who they are.
fn is_about_tls(cause: &Cause) -> bool {
    match cause.downcast_ref() {
        Some(sqlx::Error::Tls(_)) => true,
        // As rustls tells of a certificate that it does not take.
        Some(sqlx::Error::Io(error)) => error.kind() == std::io::ErrorKind::InvalidData,
        _ => false,
    }
}

impl From<TlsMode> for PgSslMode {
    fn from(mode: TlsMode) -> PgSslMode {
        match mode {
            TlsMode::Disable => PgSslMode::Disable,
            TlsMode::Prefer => PgSslMode::Prefer,
            TlsMode::Require => PgSslMode::Require,
            TlsMode::VerifyCa => PgSslMode::VerifyCa,
            TlsMode::VerifyFull => PgSslMode::VerifyFull,
        }
    }
}

/// Reads `postgres://user:password@host:port/database?sslmode=verify-full`.
///
/// # Errors
/// In words, what of it is wrong. They do not hold the password.
pub fn parse_url(url: &str) -> Result<(Address, Option<TlsMode>), String> {
    let rest = url
        .strip_prefix("postgres://")
        .or_else(|| url.strip_prefix("postgresql://"))
        .ok_or("it must begin with postgres://")?;
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    let (user, password) =
        user.split_once(':').map_or((user, None), |(user, password)| (user, Some(password)));
    let (host, port) = match host.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => {
            (host, port.parse().map_err(|_| "the port is no number")?)
        }
        _ => (host, 5432),
    };
    let mut mode = None;
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some(("sslmode", value)) => mode = Some(value.parse()?),
            _ => {
                return Err(format!(
                    "of parameters only sslmode is known, not {pair}; there are settings for the rest"
                ));
            }
        }
    }
    let text = |text: &str| decoded(text).ok_or("it holds a % that is no code of a character");
    let host = text(host.trim_start_matches('[').trim_end_matches(']'))?;
    if user.is_empty() || host.is_empty() || database.is_empty() {
        return Err("it must name user, host and database: postgres://user@host:5432/database".to_owned());
    }
    let password = password.map(text).transpose()?.map(Password::new);
    Ok((Address { host, port, database: text(database)?, user: text(user)?, password }, mode))
}

/// `%2F` as what it stands for.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
            bytes.push(u8::try_from(digit(rest.next())? * 16 + digit(rest.next())?).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

impl std::str::FromStr for TlsMode {
    type Err = String;

    fn from_str(text: &str) -> Result<TlsMode, String> {
        match text {
            "disable" => Ok(TlsMode::Disable),
            "prefer" => Ok(TlsMode::Prefer),
            "require" => Ok(TlsMode::Require),
            "verify-ca" => Ok(TlsMode::VerifyCa),
            "verify-full" => Ok(TlsMode::VerifyFull),
            _ => Err(format!("sslmode {text} is none of disable, prefer, require, verify-ca, verify-full")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_read_into_its_parts() {
        let (address, mode) =
            parse_url("postgres://ada:a%2Fb@db.internal:6432/shop?sslmode=verify-full").unwrap();
        assert_eq!(
            (address.host.as_str(), address.port, address.database.as_str()),
            ("db.internal", 6432, "shop")
        );
        assert_eq!((address.user.as_str(), &address.password), ("ada", &Some(Password::new("a/b"))));
        assert_eq!(mode, Some(TlsMode::VerifyFull));
        let (address, mode) = parse_url("postgresql://ada@[::1]/shop").unwrap();
        assert_eq!((address.host.as_str(), address.port, mode), ("::1", 5432, None));
    }

    #[test]
    fn what_is_wrong_with_a_url_is_said_without_its_password() {
        for url in [
            "mysql://ada:secret@h/d",
            "postgres://ada:secret@h:port/d",
            "postgres://:secret@h/d",
            "postgres://ada:secret@h/d?sslmode=maybe",
            "postgres://ada:secret%zz@h/d",
            "postgres://ada:secret@h/d?a=b",
        ] {
            let problem = parse_url(url).unwrap_err();
            assert!(!problem.contains("secret"), "{problem}");
        }
        assert!(!format!("{:?}", Password::new("secret")).contains("secret"));
    }
}
