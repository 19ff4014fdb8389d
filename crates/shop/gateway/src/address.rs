//! The address of the client, seen through the proxies that are ours.

use axum::{
    extract::ConnectInfo,
    http::{Extensions, HeaderMap},
};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use waypost_service::Network;
use waypost_telemetry::http::client_address;

/// The peer, or the client that our proxies say they forward for; the same as on the request's span.
pub(crate) fn client(extensions: &Extensions, headers: &HeaderMap, trusted_proxies: &[Network]) -> IpAddr {
    let peer = extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip());
    // Without a socket (a test that calls the router) nobody is known.
    let peer = peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    client_address(headers, peer, |address| trusted_proxies.iter().any(|proxy| proxy.contains(address)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client_behind(peer: &str, forwarded: &str) -> String {
        let mut extensions = Extensions::new();
        extensions.insert(ConnectInfo(SocketAddr::new(peer.parse().unwrap(), 1)));
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", forwarded.parse().unwrap());
        let proxies = ["10.0.0.1".parse().unwrap(), "10.0.0.2/31".parse().unwrap()];
        client(&extensions, &headers, &proxies).to_string()
    }

    #[test]
    fn a_forged_forwarded_header_changes_nothing() {
        assert_eq!(client_behind("203.0.113.7", "198.51.100.1"), "203.0.113.7");
        assert_eq!(client_behind("10.0.0.1", "198.51.100.1, 203.0.113.7, 10.0.0.2"), "203.0.113.7");
        assert_eq!(client_behind("10.0.0.3", "198.51.100.1, 203.0.113.7, 10.0.0.2"), "203.0.113.7");
        assert_eq!(client_behind("10.0.0.4", "203.0.113.7"), "10.0.0.4", "beyond the network");
    }

    #[test]
    fn a_hop_that_is_no_address_ends_the_search() {
        assert_eq!(client_behind("10.0.0.1", "203.0.113.7, unknown"), "10.0.0.1");
    }
}
