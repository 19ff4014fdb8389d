//! What an operator can set.

use std::fmt;
use std::path::PathBuf;

use redis::IntoConnectionInfo as _;
use serde::{Deserialize, Serialize};
use waypost_settings::{Complaint, Duration, settings};

/// What the addresses lead to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Topology {
    /// Servers that are each as good: the first that answers is taken.
    #[default]
    Single,
    /// Nodes of a cluster, which tell of the others.
    Cluster,
    /// Sentinels, which tell of the server that is the master at the moment.
    Sentinel,
}

impl fmt::Display for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Topology::Single => "single",
            Topology::Cluster => "cluster",
            Topology::Sentinel => "sentinel",
        })
    }
}

settings! {
    /// A Redis, version 7 or newer.
    pub struct Settings {
        /// Where it is: `redis://host:port`, with TLS `rediss://host:port`. User and password do not belong here.
        pub urls: Vec<String> = vec!["redis://127.0.0.1:6379".to_owned()],
        /// What the addresses lead to. `single`: servers that are each as good, the first that answers is taken. `cluster`:
        /// nodes of a cluster. `sentinel`: sentinels, which tell of the master.
        pub topology: Topology = Topology::Single,
        /// The name under which the sentinels know the master.
        pub master: String = String::new(),
        /// The user (ACL); empty for the default one.
        pub username: String = String::new(),
        /// A file that holds the password and nothing else. It is read for each connection, so a new password is found there.
        pub password_file: Option<PathBuf> = None,
        /// The number of the database. A cluster has only 0.
        pub database: u8 = 0,
        /// A file with the certificates (PEM) of the authorities that are trusted for `rediss://`, instead of the system's.
        pub ca_file: Option<PathBuf> = None,
        /// A file with the certificate (PEM) to show to the server, with `client_key_file`.
        pub client_certificate_file: Option<PathBuf> = None,
        /// A file with the key (PEM) of `client_certificate_file`.
        pub client_key_file: Option<PathBuf> = None,
        /// Time for a connection to stand.
        pub connect_timeout: Duration = Duration::from_millis(500),
        /// Time for an answer. Beyond it a request goes on as if Redis were away.
        pub command_timeout: Duration = Duration::from_millis(100),
        /// Answers in a row that do not come in time, until nobody asks any more and the connection is made anew.
        pub failures: u32 = 3,
        /// Longest pause between two attempts to connect; the first ones are quicker.
        pub retry_pause: Duration = Duration::from_secs(1),
        /// What every key begins with: another for each system that shares the server, the same for all processes of one.
        pub prefix: String = "waypost:".to_owned(),
    }
}

impl Settings {
    /// Rules that the types cannot state.
    pub fn check(&self) -> Vec<Complaint> {
        let mut complaints = Vec::new();
        let mut complain = |key: &str, reason: String| complaints.push(Complaint::new(key, reason));
        if self.urls.is_empty() {
            complain("urls", "names no server; write `redis://host:port`".to_owned());
        }
        for url in &self.urls {
            if let Err(reason) = check_url(url) {
                complain("urls", reason);
            }
        }
        let tls = self.urls.iter().filter(|url| url.starts_with("rediss://")).count();
        if tls > 0 && tls < self.urls.len() {
            complain(
                "urls",
                "some are `redis://` and some `rediss://`: all have to be one of them".to_owned(),
            );
        }
        if (self.topology == Topology::Sentinel) == self.master.is_empty() {
            let reason =
                "goes with `topology = \"sentinel\"`: the name under which the sentinels know the master";
            complain("master", reason.to_owned());
        }
        if self.topology == Topology::Cluster && self.database != 0 {
            complain("database", "a cluster has only 0".to_owned());
        }
        if !self.username.is_empty() && self.password_file.is_none() {
            complain("username", "a user needs a password: set `password_file`".to_owned());
        }
        if self.client_certificate_file.is_some() != self.client_key_file.is_some() {
            complain("client_key_file", "a certificate and its key go together".to_owned());
        }
        for (key, time) in [
            ("connect_timeout", self.connect_timeout),
            ("command_timeout", self.command_timeout),
            ("retry_pause", self.retry_pause),
        ] {
            if time.is_zero() {
                complain(key, "must be longer than nothing".to_owned());
            }
        }
        if self.failures == 0 {
            complain("failures", "must be at least 1".to_owned());
        }
        complaints
    }

    pub(crate) fn uses_tls(&self) -> bool {
        self.urls.iter().any(|url| url.starts_with("rediss://"))
    }
}

fn check_url(url: &str) -> Result<(), String> {
    // The text itself is not repeated: it may hold a password.
    let wrong = || "an address is written `redis://host:port`, with TLS `rediss://host:port`".to_owned();
    if !url.starts_with("redis://") && !url.starts_with("rediss://") {
        return Err(wrong());
    }
    let parsed = redis::parse_redis_url(url).ok_or_else(wrong)?;
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return Err("holds a user or a password: set `username` and `password_file` instead".to_owned());
    }
    if !matches!(parsed.path(), "" | "/") || parsed.query().is_some() || parsed.fragment().is_some() {
        return Err(format!(
            "{}: the number of the database is `database`, and there are no further parts",
            wrong()
        ));
    }
    url.into_connection_info().map_err(|_| wrong())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(change: impl FnOnce(&mut Settings)) -> Vec<String> {
        let mut settings = Settings::default();
        change(&mut settings);
        settings
            .check()
            .into_iter()
            .map(|complaint| format!("{}: {}", complaint.key, complaint.reason))
            .collect()
    }

    #[test]
    fn the_defaults_are_without_complaint() {
        assert_eq!(complaints(|_| ()), Vec::<String>::new());
    }

    #[test]
    fn an_address_with_a_password_is_refused_without_showing_it() {
        for url in [
            "redis://:hunter2@h:1",
            "redis://waypost@h:1",
            "rediss://a:hunter2@h",
            "http://hunter2",
            "redis://h/hunter2",
            "redis://h?x=hunter2",
        ] {
            let found = complaints(|settings| settings.urls = vec![url.to_owned()]);
            assert_eq!(found.len(), 1, "{url}: {found:?}");
            assert!(!found[0].contains("hunter2"), "{found:?}");
        }
    }

    #[test]
    fn what_goes_together_is_asked_for_together() {
        let found = complaints(|settings| settings.topology = Topology::Sentinel);
        assert!(found[0].starts_with("master: goes with"), "{found:?}");
        let found = complaints(|settings| settings.username = "waypost".to_owned());
        assert!(found[0].contains("password_file"), "{found:?}");
        let found =
            complaints(|settings| settings.urls = vec!["redis://a:1".to_owned(), "rediss://b:1".to_owned()]);
        assert!(found[0].starts_with("urls: some are"), "{found:?}");
        let found = complaints(|settings| {
            settings.topology = Topology::Cluster;
            settings.database = 1;
        });
        assert_eq!(found, ["database: a cluster has only 0"]);
    }
}
