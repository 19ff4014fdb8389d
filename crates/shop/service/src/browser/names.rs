//! The names that a listener on loopback answers to.
//!
//! A page of any origin can make its own name point to 127.0.0.1 and then read what answers there as its own
//! (DNS rebinding). Its requests still carry its name, so a name that is not known is refused.

use http::{Request, header, uri::Authority};
use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

/// Names of one listener.
#[derive(Debug)]
pub struct Names {
    bound: IpAddr,
    /// In lower case, without a port.
    extra: Vec<String>,
}

/// The request was sent to a name that is none of the listener's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownHost {
    /// `None` when the request names no host.
    host: Option<String>,
    bound: IpAddr,
}

impl fmt::Display for UnknownHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(host) = &self.host else { return f.write_str("the request has no Host header") };
        let bound = self.bound;
        write!(
            f,
            "`{host}` is not a name of this listener: use localhost or {bound}, or add the name to `hosts` in its \
             configuration"
        )
    }
}

impl std::error::Error for UnknownHost {}

impl Names {
    /// The names of loopback, the address itself, and `extra` ones, without regard to a port.
    pub fn new(bound: SocketAddr, extra: &[String]) -> Names {
        let extra = extra.iter().map(|name| without_port(name).to_ascii_lowercase());
        Names { bound: bound.ip(), extra: extra.collect() }
    }

    /// Refuses a request that names no host, or one that is not known.
    pub fn check<B>(&self, request: &Request<B>) -> Result<(), UnknownHost> {
        let header = request.headers().get(header::HOST).map(|value| value.to_str().unwrap_or_default());
        // HTTP/2 has the name in the URI.
        let authority = request.uri().authority().map(Authority::as_str);
        let host = header.or(authority);
        let is_known = host.is_some_and(|host| self.is_known(host))
            && authority.is_none_or(|authority| self.is_known(authority));
        if is_known { Ok(()) } else { Err(UnknownHost { host: host.map(str::to_owned), bound: self.bound }) }
    }

    fn is_known(&self, host: &str) -> bool {
        let name = without_port(host).to_ascii_lowercase();
        let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        let is_loopback = address.is_ok_and(|address| {
            address == self.bound || matches!(address.to_string().as_str(), "127.0.0.1" | "::1")
        });
        is_loopback || name == "localhost" || self.extra.contains(&name)
    }
}

/// `[::1]:80` is `[::1]`, `localhost:80` is `localhost`. The port is the sender's view of it: a tunnel may have another.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.ends_with(':') => {
            // An address of IPv6 without brackets has more colons.
            if name.contains(':') && !name.ends_with(']') { host } else { name }
        }
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_its_names_and_those_that_were_added_are_known() {
        let names = Names::new(([127, 0, 0, 7], 16686).into(), &["Traces.Example.org".to_owned()]);
        for host in [
            "localhost",
            "LOCALHOST:16686",
            "localhost:9",
            "127.0.0.1",
            "127.0.0.1:16686",
            "127.0.0.7:16686",
            "[::1]:16686",
            "[::1]",
            "traces.example.org",
            "traces.example.org:443",
        ] {
            assert!(names.is_known(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "evil.example:16686",
            "localhost:evil",
            "127.0.0.8",
            "[::2]",
            "0.0.0.0",
        ] {
            assert!(!names.is_known(host), "{host}");
        }
    }
}
