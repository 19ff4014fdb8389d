//! What a trusted proxy says of the request before it: whose it is, and which host and scheme it was sent to.
//!
//! Anybody can write these headers, so they count only on a connection from an address that the program trusts. The
//! client is the nearest address that is not trusted itself. Host and scheme are those that the first proxy saw; a
//! proxy that is trusted must set or remove the headers that its own caller sends. `X-Forwarded-*` is read before
//! `Forwarded` (RFC 7239), as that is what most proxies write.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::HeaderMap;
use http::uri::Authority;

use super::asked::Asked;

/// Who is trusted. Nobody by default; addresses are canonical when they are asked for, so that an IPv4 proxy is known
/// on a listener for both families.
#[derive(Clone, Debug, Default)]
pub(crate) struct TrustedProxies(Option<Arc<Asked<IsTrusted>>>);

type IsTrusted = dyn Fn(IpAddr) -> bool + Send + Sync;

impl TrustedProxies {
    pub(crate) fn new(is_trusted: impl Fn(IpAddr) -> bool + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(Asked::new("`trusted_proxies` of a layer", is_trusted))))
    }

    /// Whether what a peer reports is believed.
    pub(crate) fn trust(&self, address: IpAddr) -> bool {
        self.0.as_ref().is_some_and(|asked| asked.ask(false, |is_trusted| is_trusted(address.to_canonical())))
    }

    /// The caller's address behind `peer`.
    pub(crate) fn client(&self, headers: &HeaderMap, peer: IpAddr) -> IpAddr {
        client_address(headers, peer, |address| self.trust(address))
    }
}

/// The address of the client behind `peer`: the nearest address in `X-Forwarded-For`, or else in `Forwarded`, that is
/// not trusted itself. What stands further left was written by whoever sent the request.
///
/// It is what [`ServerLayer::trusted_proxies`](crate::http::ServerLayer::trusted_proxies) puts on a span, for a program
/// that also limits or counts by address. `is_trusted` is asked for canonical addresses.
///
/// ```
/// use std::net::IpAddr;
/// use waypost_telemetry::http::client_address;
///
/// let mut headers = http::HeaderMap::new();
/// headers.insert("x-forwarded-for", "198.51.100.1, 203.0.113.7".parse()?);
/// let proxy: IpAddr = "10.0.0.1".parse()?;
/// let client = client_address(&headers, proxy, |address| address == proxy);
/// assert_eq!(client, "203.0.113.7".parse::<IpAddr>()?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn client_address(headers: &HeaderMap, peer: IpAddr, is_trusted: impl Fn(IpAddr) -> bool) -> IpAddr {
    let mut client = peer.to_canonical();
    if !is_trusted(client) {
        return client;
    }
    let forwarded_for: Vec<&str> = values(headers, "x-forwarded-for").map(str::trim).collect();
    let hops = if forwarded_for.is_empty() { elements(headers, "for") } else { forwarded_for };
    for hop in hops.into_iter().rev() {
        let Some(address) = node_address(hop) else { return client };
        client = address.to_canonical();
        if !is_trusted(client) {
            return client;
        }
    }
    client
}

/// The scheme the caller used, if it is one of the two that are known.
pub(crate) fn scheme(headers: &HeaderMap) -> Option<&'static str> {
    let known =
        |text: &str| ["http", "https"].into_iter().find(|scheme| text.trim().eq_ignore_ascii_case(scheme));
    let said = values(headers, "x-forwarded-proto").next();
    said.or_else(|| elements(headers, "proto").into_iter().next()).and_then(known)
}

/// The host the caller meant.
pub(crate) fn host(headers: &HeaderMap) -> Option<Authority> {
    let said = values(headers, "x-forwarded-host").next();
    let said = said.or_else(|| elements(headers, "host").into_iter().next())?;
    Authority::try_from(said.trim()).ok()
}

/// The parts of a comma-separated header, from its first line on.
fn values<'a>(headers: &'a HeaderMap, name: &'static str) -> impl Iterator<Item = &'a str> {
    headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','))
}

/// The values of one parameter in all elements of `Forwarded`, from the first proxy on. Quotes are taken away; an
/// escaped character within them ends the search, as no address, host or scheme has one.
fn elements<'a>(headers: &'a HeaderMap, parameter: &str) -> Vec<&'a str> {
    let lines = headers.get_all("forwarded").iter().filter_map(|value| value.to_str().ok());
    let pairs =
        lines.flat_map(|line| split_unquoted(line, ',')).flat_map(|element| split_unquoted(element, ';'));
    pairs
        .filter_map(|pair| pair.split_once('='))
        .filter(|(name, _)| name.trim().eq_ignore_ascii_case(parameter))
        .map(|(_, value)| value.trim().trim_matches('"'))
        .filter(|value| !value.contains('\\'))
        .collect()
}

fn split_unquoted(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut is_quoted = false;
    text.split(move |character| {
        is_quoted ^= character == '"';
        character == separator && !is_quoted
    })
}

/// The address of a hop: bare, or with a port, or in the brackets of IPv6. Others are names that say nothing.
fn node_address(node: &str) -> Option<IpAddr> {
    let bare = node.strip_prefix('[').and_then(|node| node.strip_suffix(']')).unwrap_or(node);
    bare.parse().ok().or_else(|| node.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    fn inside() -> TrustedProxies {
        TrustedProxies::new(|address| address.to_string().starts_with("10."))
    }

    fn client(peer: &str, lines: &[(&'static str, &str)]) -> String {
        inside().client(&headers(lines), peer.parse().unwrap()).to_string()
    }

    #[test]
    fn the_client_is_the_nearest_that_is_no_proxy() {
        let hops = [("x-forwarded-for", "6.6.6.6, 9.9.9.9"), ("x-forwarded-for", "10.0.0.2")];
        assert_eq!(client("8.8.8.8", &hops), "8.8.8.8");
        assert_eq!(client("10.0.0.1", &hops), "9.9.9.9");
        assert_eq!(client("10.0.0.1", &[("x-forwarded-for", "unknown")]), "10.0.0.1");
        assert_eq!(client("10.0.0.1", &[("x-forwarded-for", "9.9.9.9:4711")]), "9.9.9.9");
        assert_eq!(client("10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn a_proxy_is_known_by_its_canonical_address() {
        let hops = [("x-forwarded-for", "9.9.9.9, ::ffff:10.0.0.2")];
        assert_eq!(client("::ffff:10.0.0.1", &hops), "9.9.9.9");
        assert_eq!(client("::ffff:8.8.8.8", &hops), "8.8.8.8");
        assert!(inside().trust("::ffff:10.0.0.1".parse().unwrap()));
    }

    #[test]
    fn forwarded_is_read_where_it_stands_alone() {
        let forwarded =
            [("forwarded", "for=6.6.6.6;proto=HTTPS;host=\"shop.example:8443\", For=\"[2001:db8::1]:47\"")];
        assert_eq!(client("10.0.0.1", &forwarded), "2001:db8::1");
        assert_eq!(scheme(&headers(&forwarded)), Some("https"));
        assert_eq!(host(&headers(&forwarded)).unwrap(), "shop.example:8443");
        let hidden = [("forwarded", "for=_hidden;by=\"a,b;for=6.6.6.6\"")];
        assert_eq!(client("10.0.0.1", &hidden), "10.0.0.1");
    }

    #[test]
    fn the_first_proxy_knows_scheme_and_host() {
        let said = [("x-forwarded-proto", "https, http"), ("x-forwarded-host", "shop.example, inner")];
        assert_eq!(scheme(&headers(&said)), Some("https"));
        assert_eq!(host(&headers(&said)).unwrap(), "shop.example");
        let odd = [("x-forwarded-proto", "gopher"), ("x-forwarded-host", "a b")];
        assert_eq!((scheme(&headers(&odd)), host(&headers(&odd))), (None, None));
    }

    #[test]
    fn a_closure_that_panics_trusts_nobody() {
        let broken = TrustedProxies::new(|_| panic!("as the test wants it"));
        let headers = headers(&[("x-forwarded-for", "9.9.9.9")]);
        assert_eq!(broken.client(&headers, "10.0.0.1".parse().unwrap()).to_string(), "10.0.0.1");
    }
}
