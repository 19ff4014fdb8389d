//! To whom trace context may be sent.

use std::sync::Arc;

use http::uri::Authority;

use crate::core::exchange::attributes::Host;

/// The hosts that a client's context may reach; every one unless they are listed.
#[derive(Clone, Debug, Default)]
pub(super) struct Destinations(Option<Arc<[Destination]>>);

#[derive(Debug)]
struct Destination {
    /// In lower case; of a domain the dot before it as well.
    name: Box<str>,
    is_domain: bool,
    port: Option<u16>,
}

impl Destinations {
    /// Each `host`, `host:port` or `*.domain`.
    pub(super) fn new<H: AsRef<str>>(hosts: impl IntoIterator<Item = H>) -> Self {
        Self(Some(hosts.into_iter().filter_map(|host| Destination::read(host.as_ref())).collect()))
    }

    /// Whether context may be sent there.
    pub(super) fn has(&self, authority: Option<&Authority>, scheme: &str) -> bool {
        let Some(listed) = &self.0 else { return true };
        let host = authority.map(Host::of);
        host.is_some_and(|host| listed.iter().any(|destination| destination.is(&host, scheme)))
    }
}

impl Destination {
    fn read(text: &str) -> Option<Self> {
        let (is_domain, text) = match text.strip_prefix('*') {
            Some(domain) if domain.starts_with('.') => (true, domain),
            _ => (false, text),
        };
        let bare = text.trim_start_matches('.');
        let authority: Authority = bare.parse().ok()?;
        let host = Host::of(&authority);
        let name = host.address.to_ascii_lowercase();
        let name = if is_domain { format!(".{name}") } else { name };
        Some(Self { name: name.into(), is_domain, port: host.port })
    }

    fn is(&self, host: &Host<'_>, scheme: &str) -> bool {
        let name = host.address;
        let is_named = if self.is_domain {
            let at = name.len().checked_sub(self.name.len()).filter(|at| *at > 0);
            at.and_then(|at| name.get(at..)).is_some_and(|end| end.eq_ignore_ascii_case(&self.name))
        } else {
            name.eq_ignore_ascii_case(&self.name)
        };
        is_named && self.port.is_none_or(|port| host.port_or_default(scheme) == Some(port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listed_hosts_are_reached() {
        let listed =
            Destinations::new(["payment", "*.svc.cluster.local", "10.0.0.1:8080", "[::1]", "web:80"]);
        let has = |authority: &str| listed.has(Some(&authority.parse().unwrap()), "http");
        for inside in [
            "payment",
            "Payment:9095",
            "a.svc.cluster.local",
            "a.b.SVC.cluster.local:1",
            "10.0.0.1:8080",
            "[::1]:7",
            "web",
        ] {
            assert!(has(inside), "{inside}");
        }
        for outside in [
            "payment.example",
            "svc.cluster.local",
            "evilsvc.cluster.local",
            "a.svc.cluster.local.example",
            "10.0.0.1",
            "10.0.0.1:80",
            "user:payment@example",
        ] {
            assert!(!has(outside), "{outside}");
        }
        assert!(!listed.has(None, "http"));
        assert!(Destinations::default().has(None, "http"));
        assert!(!Destinations::new([""; 0]).has(Some(&"payment".parse().unwrap()), "http"));
    }
}
