//! How roles find the replicas of each other.

use waypost_resilience::grpc::Target;
use waypost_settings::{Complaint, Duration, settings};

settings! {
    /// How roles find the replicas of each other. A target such as `order.inventory_target` is `http://host:port`, or
    /// `unix:/path` for a Unix-domain socket of this machine; several of them with commas between, one for each replica;
    /// `dns:///host:port`, one replica for each address of the name; or `etcd:///inventory`, every replica that has registered
    /// itself.
    pub(crate) struct Discovery {
        /// How often the name of a `dns:///` target is looked up.
        pub(crate) dns_refresh: Duration = Duration::from_secs(5),
        /// The host name or address under which others call the roles of this process, for the registry. Empty takes the
        /// address that a role listens at, which must then not be 0.0.0.0 or ::.
        pub(crate) advertise: String = String::new(),
        /// etcd. With endpoints, the roles of this process register there as `order`, `user`, `inventory` and `payment`.
        pub(crate) etcd: waypost_etcd::Settings = waypost_etcd::Settings::default(),
    }
}

impl Discovery {
    /// What cannot be used.
    pub(crate) fn check(&self) -> Vec<Complaint> {
        let mut complaints = Vec::new();
        let is_host = |c: char| c.is_ascii_alphanumeric() || "-_.:[]".contains(c);
        if !self.advertise.chars().all(is_host) {
            complaints
                .push(Complaint::new("advertise", "must be a host name or an IP address, without a port"));
        }
        if self.dns_refresh.is_zero() {
            complaints.push(Complaint::new("dns_refresh", "must be more than 0s"));
        }
        complaints.extend(self.etcd.check().into_iter().map(|complaint| complaint.under("etcd")));
        complaints
    }

    /// What is wrong with looking this target up, if it is to be looked up in a registry.
    pub(crate) fn check_target(&self, key: &str, target: &str) -> Option<Complaint> {
        let Ok(Target::Registered { scheme, .. }) = target.parse() else { return None };
        if scheme != "etcd" {
            return Some(Complaint::new(key, format!("there is no registry `{scheme}`; known is `etcd`")));
        }
        let reason = "is looked up in etcd, and discovery.etcd.endpoints names none";
        self.etcd.endpoints.is_empty().then(|| Complaint::new(key, reason))
    }
}
