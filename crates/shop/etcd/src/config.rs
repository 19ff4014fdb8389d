//! Where etcd is.

use std::path::PathBuf;

use http::Uri;
use waypost_settings::{Complaint, Duration, settings};

settings! {
    /// etcd, where replicas register themselves and find each other.
    pub struct Settings {
        /// Members of the etcd cluster, `http://host:port`; the next one is taken when one does not answer. Empty for no etcd.
        pub endpoints: Vec<String> = Vec::new(),
        /// What all keys begin with, so that several installations can share an etcd.
        pub prefix: String = "/waypost".to_owned(),
        /// How long a replica stays registered that has died without a word, in whole seconds.
        pub lease: Duration = Duration::from_secs(10),
        /// The user of etcd, where it asks for one.
        pub user: String = String::new(),
        /// The file that holds the user's password. A line break at its end does not belong to it.
        pub password_file: Option<PathBuf> = None,
    }
}

impl Settings {
    /// Rules that the types cannot state.
    pub fn check(&self) -> Vec<Complaint> {
        let mut complaints = Vec::new();
        for endpoint in &self.endpoints {
            let uri = endpoint.parse::<Uri>().ok();
            if !uri.is_some_and(|uri| uri.scheme_str() == Some("http") && uri.authority().is_some()) {
                let reason = format!("{endpoint:?} is not of the form http://host:port");
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
        complaints
    }
}
