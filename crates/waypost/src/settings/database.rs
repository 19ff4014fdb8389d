//! The section `database`: which database the roles keep their data in.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use waypost_durable::postgres::{Address, Password, Server, Tls, TlsMode, parse_url};
use waypost_settings::{Complaint, Duration, Secret, settings};

/// Which kind of database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum DatabaseKind {
    /// SQLite, one file per role in the data folder.
    #[default]
    Embedded,
    /// A PostgreSQL server.
    Postgres,
}

/// How a connection is protected, in the words of PostgreSQL's clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum SslMode {
    Disable,
    #[default]
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

settings! {
    /// Which database the roles keep their data in.
    pub(crate) struct Database {
        /// `embedded`: SQLite, one file per role in the data folder. `postgres`: a PostgreSQL server, 14 or newer, with a
        /// schema per role; the other settings of this section are for it.
        pub(crate) kind: DatabaseKind = DatabaseKind::Embedded,
        /// `postgres://user:password@host:5432/database?sslmode=verify-full`, in place of `host`, `port`, `name`, `user` and,
        /// where it names one, `sslmode`.
        pub(crate) url: Option<Secret<String>> = None,
        /// Name or address of the server, or the folder of its Unix-domain socket.
        pub(crate) host: String = "127.0.0.1".to_owned(),
        /// Its port.
        pub(crate) port: u16 = 5432,
        /// The database on it. It must exist.
        pub(crate) name: String = "waypost".to_owned(),
        /// The role that logs in. It must be able to create a schema in the database, or own the schemas of its services.
        pub(crate) user: String = "waypost".to_owned(),
        /// File that holds the password and nothing else; a newline at its end does not count. None when the server asks for
        /// no password.
        pub(crate) password_file: Option<PathBuf> = None,
        /// `disable`, `prefer`, `require`, `verify-ca` or `verify-full`, as in PostgreSQL's own clients. Only `verify-full` is
        /// safe on a network that somebody else can reach.
        pub(crate) sslmode: SslMode = SslMode::Prefer,
        /// Certificates that the server's is checked with, PEM. Those of the system when none is named.
        pub(crate) ca_file: Option<PathBuf> = None,
        /// Certificate that is shown to the server, PEM.
        pub(crate) client_certificate: Option<PathBuf> = None,
        /// Its key, PEM.
        pub(crate) client_key: Option<PathBuf> = None,
        /// The schema of a role is this and the role's name, such as `waypost_order`.
        pub(crate) schema_prefix: String = "waypost_".to_owned(),
        /// What the server shows of who is connected; the role's name is added.
        pub(crate) application_name: String = "waypost".to_owned(),
        /// Most connections of one role of this process at once. The order service has up to two beside them.
        pub(crate) max_connections: u32 = 10,
        /// How long a new connection may take.
        pub(crate) connect_timeout: Duration = Duration::from_secs(5),
        /// How long a request waits for a connection that is free.
        pub(crate) acquire_timeout: Duration = Duration::from_secs(2),
        /// How long a connection is kept that nobody needs.
        pub(crate) idle_timeout: Duration = Duration::from_secs(60),
        /// How long one statement may take.
        pub(crate) statement_timeout: Duration = Duration::from_secs(15),
        /// How long a statement waits for a lock that another one holds.
        pub(crate) lock_timeout: Duration = Duration::from_secs(5),
    }
}

/// The longest prefix: names of the server have 63 bytes, and a role's name and `_outbox` follow.
const MAX_PREFIX_LENGTH: usize = 40;

impl Database {
    /// Rules that no type can state.
    pub(super) fn check(&self) -> Vec<Complaint> {
        let mut complaints = Vec::new();
        let mut complain = |key: &str, reason: String| complaints.push(Complaint::new(key, reason));
        if let Some(Err(problem)) = self.url.as_ref().map(|url| parse_url(url.expose())) {
            complain("url", format!("it cannot be read: {problem}"));
        }
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if self.schema_prefix.len() > MAX_PREFIX_LENGTH || !self.schema_prefix.chars().all(is_plain) {
            let reason = format!("a prefix has up to {MAX_PREFIX_LENGTH} lower-case letters, digits and `_`");
            complain("schema_prefix", reason);
        }
        if self.max_connections == 0 {
            complain(
                "max_connections",
                "without a connection nothing can be kept; set at least 1".to_owned(),
            );
        }
        if self.client_certificate.is_some() != self.client_key.is_some() {
            complain(
                "client_key",
                "a client's certificate and its key go together; set both or none".to_owned(),
            );
        }
        complaints
    }

    /// The server of these settings.
    ///
    /// # Errors
    /// In words, which file cannot be read or which setting is wrong.
    pub(crate) fn server(&self) -> Result<Server, String> {
        let (mut address, mode) = if let Some(url) = &self.url {
            parse_url(url.expose()).map_err(|problem| format!("database.url: {problem}"))?
        } else {
            let Database { host, port, name, user, .. } = self.clone();
            (Address { host, port, database: name, user, password: None }, None)
        };
        if let Some(file) = &self.password_file {
            address.password = Some(password(file)?);
        }
        for (key, file) in [
            ("ca_file", &self.ca_file),
            ("client_certificate", &self.client_certificate),
            ("client_key", &self.client_key),
        ] {
            if let Some(file) = file {
                std::fs::File::open(file)
                    .map_err(|error| format!("database.{key}: cannot read {}: {error}", file.display()))?;
            }
        }
        let client = self.client_certificate.clone().zip(self.client_key.clone());
        Ok(Server {
            address,
            tls: Tls { mode: mode.unwrap_or(self.sslmode.into()), ca_file: self.ca_file.clone(), client },
            schema_prefix: self.schema_prefix.clone(),
            application_name: self.application_name.clone(),
            max_connections: self.max_connections,
            connect_timeout: self.connect_timeout.get(),
            acquire_timeout: self.acquire_timeout.get(),
            idle_timeout: self.idle_timeout.get(),
            statement_timeout: self.statement_timeout.get(),
            lock_timeout: self.lock_timeout.get(),
        })
    }
}

fn password(file: &Path) -> Result<Password, String> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| format!("database.password_file: cannot read {}: {error}", file.display()))?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(Password::new(text.strip_suffix('\r').unwrap_or(text)))
}

impl From<SslMode> for TlsMode {
    fn from(mode: SslMode) -> TlsMode {
        match mode {
            SslMode::Disable => TlsMode::Disable,
            SslMode::Prefer => TlsMode::Prefer,
            SslMode::Require => TlsMode::Require,
            SslMode::VerifyCa => TlsMode::VerifyCa,
            SslMode::VerifyFull => TlsMode::VerifyFull,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_comes_from_its_file_and_is_never_printed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        std::fs::write(&file, "hunter2\n").unwrap();
        let settings = Database { password_file: Some(file), ..Database::default() };
        let server = settings.server().unwrap();
        assert_eq!(server.address.password, Some(Password::new("hunter2")));
        assert!(!format!("{server:?}").contains("hunter2"));
        let missing = Database { password_file: Some("/nowhere".into()), ..Database::default() };
        assert!(missing.server().unwrap_err().contains("/nowhere"));
    }

    #[test]
    fn a_url_stands_for_the_parts_it_names() {
        let url = "postgres://ada:pw@db:6432/shop?sslmode=require".to_owned();
        let server = Database { url: Some(Secret::new(url)), ..Database::default() }.server().unwrap();
        assert_eq!(server.place(), "db:6432/shop");
        assert_eq!(server.tls.mode, TlsMode::Require);
    }

    #[test]
    fn each_rule_names_its_setting() {
        let wrong = Database {
            url: Some(Secret::new("mysql://x".to_owned())),
            schema_prefix: "Way post".to_owned(),
            max_connections: 0,
            client_key: Some("key.pem".into()),
            ..Database::default()
        };
        let complaints = format!("{:?}", wrong.check());
        for key in ["url", "schema_prefix", "max_connections", "client_key"] {
            assert!(complaints.contains(key), "{complaints}");
        }
        assert!(Database::default().check().is_empty());
    }
}
