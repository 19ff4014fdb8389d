//! The section `tls`: who the roles are to each other.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use waypost_identity::{Files, Names};
use waypost_settings::{Complaint, Duration, settings};

use super::Listen;
use crate::roles::Role;

settings! {
    /// Mutual TLS between the roles: on at the listeners of order, user, inventory and payment, and for all calls to them.
    pub(crate) struct Tls {
        /// `auto`: on when certificates are named below; without them a role does not start to listen beyond loopback.
        /// `required`: on, and a configuration without certificates is refused. `off`: never, wherever a role listens: for a
        /// network that a mesh protects, or that nobody else reaches.
        pub(crate) mode: TlsMode = TlsMode::Auto,
        /// File of a role's certificate, PEM, with those between it and its authority. `{role}` stands for the role's name, so
        /// that one configuration serves all: `/etc/waypost/tls/{role}.pem`.
        pub(crate) certificate: Option<PathBuf> = None,
        /// File of the certificate's private key, PEM; `{role}` as above.
        pub(crate) key: Option<PathBuf> = None,
        /// File of the authorities' certificates, PEM. Whoever they sign a role's name for is that role, so it is to be an
        /// authority of this shop and not of the whole company; `{role}` as above.
        pub(crate) ca: Option<PathBuf> = None,
        /// How often the files are looked at for a renewed certificate.
        pub(crate) refresh_interval: Duration = Duration::from_secs(5),
        /// How long before a certificate ends `/readyz?verbose` warns. Less than a certificate lives.
        pub(crate) warn_before: Duration = Duration::from_secs(7 * 24 * 3600),
        /// What the roles are called in certificates.
        pub(crate) names: TlsNames = TlsNames::default(),
    }
}

/// When TLS is spoken between roles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum TlsMode {
    /// When there are certificates.
    #[default]
    Auto,
    /// Always.
    Required,
    /// Never.
    Off,
}

settings! {
    /// Names of the roles in certificates (`subjectAltName`): DNS names, and URIs such as `spiffe://shop.example/order`. One of
    /// a role's names is enough; each is compared as a whole. No name may be two roles'.
    pub(crate) struct TlsNames {
        /// The gateway.
        pub(crate) gateway: Vec<String> = vec!["gateway".to_owned()],
        /// The order service.
        pub(crate) order: Vec<String> = vec!["order".to_owned()],
        /// The user service.
        pub(crate) user: Vec<String> = vec!["user".to_owned()],
        /// The inventory service.
        pub(crate) inventory: Vec<String> = vec!["inventory".to_owned()],
        /// The payment service.
        pub(crate) payment: Vec<String> = vec!["payment".to_owned()],
    }
}

/// What stands for a role's name in a path.
const ROLE: &str = "{role}";

impl TlsNames {
    /// Each role with its names.
    pub(crate) fn each(&self) -> [(&'static str, &Vec<String>); 5] {
        [
            ("gateway", &self.gateway),
            ("order", &self.order),
            ("user", &self.user),
            ("inventory", &self.inventory),
            ("payment", &self.payment),
        ]
    }
}

impl Tls {
    /// Rules that no type can state.
    pub(super) fn check(&self) -> Vec<Complaint> {
        let mut complaints = Vec::new();
        let mut complain = |key: &str, reason: String| complaints.push(Complaint::new(key, reason));
        let files = [("certificate", &self.certificate), ("key", &self.key), ("ca", &self.ca)];
        let is_any = files.iter().any(|(_, file)| file.is_some());
        for (key, file) in files {
            if file.is_none() && (is_any || self.mode == TlsMode::Required) {
                complain(key, "certificate, key and ca go together; name this file too".to_owned());
            }
        }
        let names = self.names.each();
        for (place, (role, own)) in names.iter().enumerate() {
            let key = format!("names.{role}");
            if own.iter().all(|name| name.trim().is_empty()) {
                complain(&key, "without a name nobody can be this role".to_owned());
            }
            let earlier = names.iter().take(place);
            for (other, taken) in earlier {
                if let Some(name) = own.iter().find(|name| taken.contains(name)) {
                    complain(&key, format!("{name:?} is a name of {other} too, which would make them one"));
                }
            }
        }
        complaints
    }

    /// Whether the roles speak TLS to each other.
    pub(crate) fn is_on(&self) -> bool {
        self.mode != TlsMode::Off && self.certificate.is_some()
    }

    /// The files of a role, if TLS is on.
    pub(crate) fn files(&self, role: Role) -> Option<Files> {
        let of_role = |path: &Path| PathBuf::from(path.to_string_lossy().replace(ROLE, role.name()));
        match (&self.certificate, &self.key, &self.ca) {
            (Some(certificate), Some(key), Some(ca)) if self.is_on() => {
                Some(Files { certificate: of_role(certificate), key: of_role(key), authorities: of_role(ca) })
            }
            _ => None,
        }
    }

    /// The names of all roles.
    pub(crate) fn names(&self) -> Names {
        Names::new(self.names.each().map(|(role, names)| (role, names.clone())))
    }

    /// Which of the roles would listen where others than this machine reach them and nobody is asked who they are.
    pub(crate) fn exposed(&self, listen: &Listen, roles: &[Role]) -> Vec<Complaint> {
        if self.is_on() || self.mode == TlsMode::Off {
            return Vec::new();
        }
        let listeners = [
            (Role::Order, listen.order.tcp()),
            (Role::User, listen.user.tcp()),
            (Role::Inventory, listen.inventory.tcp()),
            (Role::Payment, listen.payment.tcp()),
        ];
        // Who reaches a Unix-domain socket is decided by its file.
        let listeners = listeners.into_iter().filter_map(|(role, address)| Some((role, address?)));
        let is_exposed = |(role, address): &(Role, std::net::SocketAddr)| {
            roles.contains(role) && !address.ip().to_canonical().is_loopback()
        };
        let complaint = |(role, address): (Role, std::net::SocketAddr)| {
            let reason = format!(
                "at {address}, beyond loopback, whoever reaches the role {} could call it as any other role; name \
                 tls.certificate, tls.key and tls.ca (`waypost certificates DIR` makes some to begin with), listen on \
                 loopback, or say tls.mode = \"off\" where something else protects the network",
                role.name()
            );
            Complaint::new(format!("listen.{}", role.name()), reason)
        };
        listeners.filter(is_exposed).map(complaint).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete() -> Tls {
        Tls {
            certificate: Some("tls/{role}.pem".into()),
            key: Some("tls/{role}.key".into()),
            ca: Some("tls/ca.pem".into()),
            ..Tls::default()
        }
    }

    fn keys(complaints: &[Complaint]) -> Vec<&str> {
        complaints.iter().map(|complaint| complaint.key.as_str()).collect()
    }

    #[test]
    fn one_configuration_names_the_files_of_each_role() {
        let files = complete().files(Role::Payment).unwrap();
        assert_eq!(files.certificate, Path::new("tls/payment.pem"));
        assert_eq!(files.key, Path::new("tls/payment.key"));
        assert_eq!(files.authorities, Path::new("tls/ca.pem"));
        assert_eq!(Tls { mode: TlsMode::Off, ..complete() }.files(Role::Order), None);
    }

    #[test]
    fn what_is_missing_or_means_two_roles_is_named() {
        assert!(Tls::default().check().is_empty() && complete().check().is_empty());
        assert_eq!(keys(&Tls { key: None, ..complete() }.check()), ["key"]);
        let required = Tls { mode: TlsMode::Required, ..Tls::default() };
        assert_eq!(keys(&required.check()), ["certificate", "key", "ca"]);
        let names = TlsNames { user: vec!["order".to_owned()], payment: Vec::new(), ..TlsNames::default() };
        assert_eq!(keys(&Tls { names, ..complete() }.check()), ["names.user", "names.payment"]);
    }

    #[test]
    fn only_a_service_beyond_loopback_without_tls_is_exposed() {
        let mut listen = Listen { order: ([10, 0, 0, 7], 9090).into(), ..Listen::default() };
        listen.gateway = ([0, 0, 0, 0], 8080).into();
        let exposed = |tls: &Tls, roles: &[Role]| tls.exposed(&listen, roles).len();
        assert_eq!(keys(&Tls::default().exposed(&listen, &Role::ALL)), ["listen.order"]);
        assert_eq!(exposed(&Tls::default(), &[Role::Gateway, Role::User]), 0);
        assert_eq!(exposed(&complete(), &Role::ALL), 0);
        assert_eq!(exposed(&Tls { mode: TlsMode::Off, ..Tls::default() }, &Role::ALL), 0);
    }
}
