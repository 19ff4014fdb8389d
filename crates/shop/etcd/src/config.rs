//! Where etcd is.

use std::path::PathBuf;

use http::Uri;
use waypost_settings::{Complaint, Duration, settings};

/// What an endpoint begins with that speaks TLS.
const TLS: &str = "https://";

settings! {
    /// etcd, where replicas register themselves and find each other.
    pub struct Settings {
        /// Members of the etcd cluster, `http://host:port`, with TLS `https://host:port`; the next one is taken when one does not
        /// answer. Empty for no etcd.
        pub endpoints: Vec<String> = Vec::new(),
        /// What all keys begin with, so that several installations can share an etcd.
        pub prefix: String = "/waypost".to_owned(),
        /// How long a replica stays registered that has died without a word, in whole seconds.
        pub lease: Duration = Duration::from_secs(10),
        /// The user of etcd, where it asks for one.
        pub user: String = String::new(),
        /// The file that holds the user's password. A line break at its end does not belong to it.
        pub password_file: Option<PathBuf> = None,
        /// A file with the certificates (PEM) of the authorities that are trusted for `https://`, instead of the system's. The
        /// files are read for each connection, so new ones need no restart.
        pub ca_file: Option<PathBuf> = None,
        /// A file with the certificate (PEM) to show to etcd, with `client_key_file`.
        pub client_certificate_file: Option<PathBuf> = None,
        /// A file with the key (PEM) of `client_certificate_file`.
        pub client_key_file: Option<PathBuf> = None,
    }
}

impl Settings {
    /// Rules that the types cannot state.
    pub fn check(&self) -> Vec<Complaint> {
        let mut complaints = Vec::new();
        for endpoint in &self.endpoints {
            let uri = endpoint.parse::<Uri>().ok();
            let is_known = |uri: &Uri| matches!(uri.scheme_str(), Some("http" | "https"));
            if !uri.is_some_and(|uri| is_known(&uri) && uri.authority().is_some()) {
                let reason = format!("{endpoint:?} is not of the form http://host:port or https://host:port");
                complaints.push(Complaint::new("endpoints", reason));
            }
        }
        if !self.prefix.starts_with('/') {
            complaints.push(Complaint::new("prefix", "must begin with /"));
        }
        if self.lease.as_secs() < 2 {
            complaints.push(Complaint::new("lease", "must be at least 2s"));
        }
        if self.user.is_empty() != self.password_file.is_none() {
            complaints.push(Complaint::new("user", "a user and a password_file go together"));
        }
        if self.uses_tls() && !self.endpoints.iter().all(|endpoint| endpoint.starts_with(TLS)) {
            let reason = "some are `http://` and some `https://`: all have to be one of them";
            complaints.push(Complaint::new("endpoints", reason));
        }
        if self.client_certificate_file.is_some() != self.client_key_file.is_some() {
            complaints.push(Complaint::new("client_key_file", "a certificate and its key go together"));
        }
        let has_files = self.ca_file.is_some() || self.client_certificate_file.is_some();
        if has_files && !self.uses_tls() {
            let reason = "certificates are for endpoints that begin with https://";
            complaints.push(Complaint::new("ca_file", reason));
        }
        complaints
    }

    pub(crate) fn uses_tls(&self) -> bool {
        self.endpoints.iter().any(|endpoint| endpoint.starts_with(TLS))
    }
}
