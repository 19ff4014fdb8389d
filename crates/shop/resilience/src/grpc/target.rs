//! What a target may look like in a configuration.

use std::str::FromStr;

use http::{Uri, uri::InvalidUri};

use super::Address;

/// Where the replicas of a service are found.
///
/// - `http://host:port`: one address. What stands behind it, such as a load balancer, is not looked into.
/// - `unix:/path`: a Unix-domain socket of this host. A path without a slash before it begins in the folder that the process
///   was started in.
/// - `http://a:9091,http://b:9091`: so many replicas, for good; sockets may be among them.
/// - `dns:///host:port`: one replica for each address of the name, looked up again and again. For the headless services
///   of Kubernetes.
/// - `etcd:///name`, or another scheme that the process has a registry for: the replicas that have registered themselves
///   under the name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// One or more addresses.
    Fixed(Vec<Address>),
    /// A name with an address for each replica.
    Dns {
        /// The name.
        host: String,
        /// The port of every replica.
        port: u16,
    },
    /// A name in a registry.
    Registered {
        /// Which registry.
        scheme: String,
        /// The service's name there.
        name: String,
    },
}

/// No channel can be made to the target.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// The target is not a URI.
    #[error("cannot read the target {target:?} as http://host:port")]
    InvalidTarget {
        /// The target as it was given.
        target: String,
        /// What is wrong with it.
        #[source]
        source: InvalidUri,
    },
    /// The target is a URI, but of no form that is known.
    #[error(
        "the target {target:?} is not of the form http://host:port, unix:/path, several of them with commas between, \
         dns:///host:port, or etcd:///name"
    )]
    UnusableTarget {
        /// The target as it was given.
        target: String,
    },
    /// The target asks for TLS.
    #[error(
        "the target {target:?} asks for TLS, which a target does not decide: give http://host:port; between roles, [tls] \
         turns it on, and elsewhere a proxy beside the service encrypts"
    )]
    TlsTarget {
        /// The target as it was given.
        target: String,
    },
    /// The target is a name in a registry that this process was not given.
    #[error("the target {target:?} is a name in a registry ({scheme}) that this process is not connected to")]
    NoRegistry {
        /// The target as it was given.
        target: String,
        /// The scheme of the target.
        scheme: String,
    },
}

/// What a target has to be for a [`Channel`](super::Channel); see [`Target`]. For a check of settings, before anything is
/// bound.
pub fn check_target(target: &str) -> Result<(), ChannelError> {
    target.parse::<Target>().map(drop)
}

impl FromStr for Target {
    type Err = ChannelError;

    fn from_str(target: &str) -> Result<Self, ChannelError> {
        let unusable = || ChannelError::UnusableTarget { target: target.to_owned() };
        match target.split_once(":///") {
            Some(("dns", authority)) => {
                let (host, port) = authority.rsplit_once(':').ok_or_else(unusable)?;
                let port = port.parse().map_err(|_| unusable())?;
                if host.is_empty() || host.contains(['/', ',']) {
                    return Err(unusable());
                }
                Ok(Self::Dns { host: host.to_owned(), port })
            }
            Some((scheme, name)) if !matches!(scheme, "http" | "https" | "unix") => {
                let is_plain = |text: &str, others: &[char]| {
                    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || others.contains(&c))
                };
                if !is_plain(scheme, &[]) || !is_plain(name, &['-', '_', '.']) {
                    return Err(unusable());
                }
                Ok(Self::Registered { scheme: scheme.to_owned(), name: name.to_owned() })
            }
            _ => target.split(',').map(|one| address(one.trim())).collect::<Result<_, _>>().map(Self::Fixed),
        }
    }
}

/// An address that is `http://host:port` or `unix:/path`.
pub(super) fn address(target: &str) -> Result<Address, ChannelError> {
    if target.starts_with("unix:") {
        let path = Address::unix_path(target);
        return path
            .map(|path| Address::Unix(path.into()))
            .ok_or_else(|| ChannelError::UnusableTarget { target: target.to_owned() });
    }
    let uri: Uri =
        target.parse().map_err(|source| ChannelError::InvalidTarget { target: target.to_owned(), source })?;
    let has_only_authority = matches!(uri.path(), "" | "/") && uri.query().is_none();
    let has_host = uri.authority().is_some_and(|authority| !authority.host().is_empty());
    match uri.scheme_str() {
        Some("http") if has_host && has_only_authority => Ok(uri.into()),
        Some("https") => Err(ChannelError::TlsTarget { target: target.to_owned() }),
        _ => Err(ChannelError::UnusableTarget { target: target.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(target: &str) -> Target {
        target.parse().unwrap()
    }

    #[test]
    fn each_form_is_told_from_the_others() {
        let http = |uri: &str| Address::Http(uri.parse().unwrap());
        assert_eq!(parsed("http://a:1"), Target::Fixed(vec![http("http://a:1")]));
        let socket = |path: &str| Address::Unix(std::path::Path::new(path).into());
        assert_eq!(parsed("unix:/run/order.sock"), Target::Fixed(vec![socket("/run/order.sock")]));
        assert_eq!(parsed("unix:///run/order.sock"), Target::Fixed(vec![socket("/run/order.sock")]));
        let mixed = vec![socket("order.sock"), http("http://b:2")];
        assert_eq!(parsed("unix:order.sock, http://b:2"), Target::Fixed(mixed));
        let both = ["http://a:1", "http://b:2"].map(http);
        assert_eq!(parsed("http://a:1, http://b:2"), Target::Fixed(both.to_vec()));
        assert_eq!(parsed("dns:///orders:9091"), Target::Dns { host: "orders".to_owned(), port: 9091 });
        assert_eq!(parsed("dns:///[::1]:9091"), Target::Dns { host: "[::1]".to_owned(), port: 9091 });
        let registered = Target::Registered { scheme: "etcd".to_owned(), name: "order".to_owned() };
        assert_eq!(parsed("etcd:///order"), registered);
    }

    #[test]
    fn what_has_no_form_is_refused_with_the_forms() {
        for target in [
            "",
            "dns:///orders",
            "dns:///:1",
            "dns:///orders:x",
            "dns:///a/b:1",
            "etcd:///",
            "etcd:///a b",
            ":///a",
            "http://a:1,",
            "http://a:1,b:2",
            "http:///a",
            "unix:",
            "unix://",
            "unix://host/run/order.sock",
        ] {
            assert!(target.parse::<Target>().is_err(), "{target}");
        }
        let error = "127.0.0.1:9091".parse::<Target>().unwrap_err().to_string();
        assert!(error.contains("dns:///host:port"), "{error}");
    }
}
