//! The attributes HTTP and gRPC edges read from requests, in the spelling of the semantic conventions.

use std::borrow::Cow;
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::{Extensions, HeaderMap, HeaderName, Method, StatusCode, Uri, Version, header, uri::Authority};
use opentelemetry::{Array, Key, KeyValue, StringValue, Value};

pub(crate) use crate::base::attributes::ERROR_TYPE;
use crate::base::redact;
use crate::base::slots::Slots;
use crate::core::exchange::headers;
use crate::core::exchange::unix_socket::CameBy;

pub(crate) const SERVER_ADDRESS: &str = "server.address";
pub(crate) const SERVER_PORT: &str = "server.port";

/// What stands for a method, route or RPC that is not known: the cardinality of an outsider's wishes is one.
pub(crate) const OTHER: &str = "_OTHER";

/// The methods of RFC 9110, PATCH (RFC 5789) and QUERY.
const KNOWN_METHODS: [&str; 10] =
    ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "CONNECT", "TRACE", "QUERY"];

/// The methods that appear by name; every other is [`OTHER`]. Case matters, as it does in HTTP.
#[derive(Clone, Debug)]
pub(crate) struct KnownMethods(Cow<'static, [&'static str]>);

impl Default for KnownMethods {
    fn default() -> Self {
        Self(Cow::Borrowed(&KNOWN_METHODS))
    }
}

impl KnownMethods {
    pub(crate) fn new(methods: impl IntoIterator<Item = &'static str>) -> Self {
        Self(methods.into_iter().collect())
    }

    /// The method as `http.request.method` has it.
    pub(crate) fn name(&self, method: &Method) -> &'static str {
        self.0.iter().copied().find(|known| *known == method.as_str()).unwrap_or(OTHER)
    }
}

/// The method as a span's name has it.
pub(crate) fn verb(method: &'static str) -> &'static str {
    if method == OTHER { "HTTP" } else { method }
}

/// `network.protocol.version`.
pub(crate) fn protocol_version(version: Version) -> Option<&'static str> {
    match version {
        Version::HTTP_09 => Some("0.9"),
        Version::HTTP_10 => Some("1.0"),
        Version::HTTP_11 => Some("1.1"),
        Version::HTTP_2 => Some("2"),
        Version::HTTP_3 => Some("3"),
        _ => None,
    }
}

/// A host and its port, if it has one. An IPv6 host has no brackets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Host<'a> {
    pub(crate) address: &'a str,
    pub(crate) port: Option<u16>,
}

impl<'a> Host<'a> {
    pub(crate) fn of(authority: &'a Authority) -> Self {
        let host = authority.host();
        let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        Self { address: redact::bounded_to(address, 255), port: authority.port_u16() }
    }

    /// The port, or that of the scheme.
    pub(crate) fn port_or_default(&self, scheme: &str) -> Option<u16> {
        self.port.or(match scheme {
            "http" => Some(80),
            "https" => Some(443),
            _ => None,
        })
    }
}

/// The authority a request was sent to: of its URI (absolute form, HTTP/2), else of its `Host` header.
pub(crate) fn authority<'a>(uri: &'a Uri, headers: &HeaderMap) -> Option<Cow<'a, Authority>> {
    if let Some(authority) = uri.authority() {
        return Some(Cow::Borrowed(authority));
    }
    let host = headers::first(headers, &header::HOST)?;
    Authority::try_from(host.as_bytes()).ok().map(Cow::Owned)
}

/// The address the connection came from, as axum's or tonic's server put it into the request, with or without TLS.
/// `came_by` is what these extensions say.
pub(crate) fn peer(extensions: &Extensions, came_by: CameBy<'_>) -> Option<SocketAddr> {
    if came_by.is_unix() {
        return None;
    }
    #[cfg(feature = "axum")]
    if let Some(axum::extract::ConnectInfo(peer)) = extensions.get() {
        return Some(*peer);
    }
    #[cfg(feature = "grpc")]
    if let Some(plain) = extensions.get::<tonic::transport::server::TcpConnectInfo>() {
        return plain.remote_addr();
    }
    // What stands there behind TLS has a type that only tonic's own TLS features show; tonic reads it for us.
    #[cfg(feature = "grpc")]
    {
        let mut asked = tonic::Request::new(());
        *asked.extensions_mut() = extensions.clone();
        if let Some(peer) = asked.remote_addr() {
            return Some(peer);
        }
    }
    // A program with neither says itself who called.
    extensions.get::<SocketAddr>().copied()
}

/// The route that axum's router has matched.
pub(crate) fn matched_route(extensions: &Extensions) -> Option<&str> {
    #[cfg(feature = "axum")]
    return extensions.get::<axum::extract::MatchedPath>().map(axum::extract::MatchedPath::as_str);
    #[cfg(not(feature = "axum"))]
    {
        let _ = extensions;
        None
    }
}

/// Bytes of a host that is kept; callers write what they like.
const MAX_KEPT_HOST: usize = 255;

/// The hosts that a server was asked for, each read once, for most programs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hosts(Arc<Slots<Box<[u8]>, KnownHost>>);

/// Address and port.
type KnownHost = (Box<str>, Option<u16>);

impl Hosts {
    /// Shows the host that a request was sent to, as [`authority`] finds it.
    pub(crate) fn show(&self, uri: &Uri, headers: &HeaderMap, show: impl FnOnce(&Host<'_>)) {
        let text = match uri.authority() {
            Some(authority) => authority.as_str().as_bytes(),
            None => match headers::first(headers, &header::HOST) {
                Some(host) => host.as_bytes(),
                None => return,
            },
        };
        if let Some((address, port)) = self.0.find_with(&text, |known| **known == *text) {
            return show(&Host { address, port: *port });
        }
        if let Some(authority) = authority(uri, headers) {
            let host = Host::of(&authority);
            if text.len() <= MAX_KEPT_HOST {
                self.0.keep(text.into(), (host.address.into(), host.port));
            }
            show(&host);
        }
    }
}

/// An address as text, with nothing allocated.
#[derive(Debug)]
pub(crate) struct AddressText {
    text: [u8; 45],
    len: usize,
}

impl AddressText {
    /// In its canonical form.
    pub(crate) fn of(address: IpAddr) -> Self {
        let mut made = Self { text: [0; 45], len: 0 };
        match address.to_canonical() {
            IpAddr::V4(address) => {
                for (place, octet) in address.octets().into_iter().enumerate() {
                    if place > 0 {
                        made.push(b'.');
                    }
                    if octet >= 100 {
                        made.push(b'0' + octet / 100);
                    }
                    if octet >= 10 {
                        made.push(b'0' + octet / 10 % 10);
                    }
                    made.push(b'0' + octet % 10);
                }
            }
            IpAddr::V6(address) => {
                let mut free = made.text.as_mut_slice();
                // There is room for the longest one.
                let _ = write!(free, "{address}");
                made.len = 45 - free.len();
            }
        }
        made
    }

    fn push(&mut self, byte: u8) {
        if let Some(free) = self.text.get_mut(self.len) {
            *free = byte;
            self.len += 1;
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        self.text.get(..self.len).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default()
    }
}

/// `network.peer.address` and `network.peer.port`.
pub(crate) fn network_peer(peer: SocketAddr) -> [KeyValue; 2] {
    [
        KeyValue::new("network.peer.address", peer.ip().to_canonical().to_string()),
        KeyValue::new("network.peer.port", i64::from(peer.port())),
    ]
}

/// The same, of which copies share their text.
#[cfg(feature = "grpc")]
pub(crate) fn shared_network_peer(peer: SocketAddr) -> [KeyValue; 2] {
    let [text, port] = network_peer(peer);
    [KeyValue::new(text.key, Arc::<str>::from(text.value.as_str())), port]
}

/// The `error.type` of an answer whose status says that it failed: the code.
pub(crate) fn status_class(status: StatusCode) -> Cow<'static, str> {
    match status.as_u16() {
        400 => Cow::Borrowed("400"),
        401 => Cow::Borrowed("401"),
        403 => Cow::Borrowed("403"),
        404 => Cow::Borrowed("404"),
        409 => Cow::Borrowed("409"),
        422 => Cow::Borrowed("422"),
        429 => Cow::Borrowed("429"),
        500 => Cow::Borrowed("500"),
        502 => Cow::Borrowed("502"),
        503 => Cow::Borrowed("503"),
        504 => Cow::Borrowed("504"),
        other => Cow::Owned(other.to_string()),
    }
}

/// Headers to capture, each with the key of its attribute. Credentials are never among them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Capture(Vec<(HeaderName, Key)>);

impl Capture {
    pub(crate) fn new(prefix: &str, names: impl IntoIterator<Item = HeaderName>) -> Self {
        let allowed = names.into_iter().filter(|name| !redact::is_never_captured(name));
        let mut captured: Vec<(HeaderName, Key)> = Vec::new();
        for name in allowed {
            if captured.iter().all(|(known, _)| *known != name) {
                let key = Key::from(format!("{prefix}{name}"));
                captured.push((name, key));
            }
        }
        Self(captured)
    }

    /// Whether there is nothing to capture.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The attributes of those headers that are there: `string[]`, one entry a value, sensitive values left out.
    pub(crate) fn read<'a>(&'a self, headers: &'a HeaderMap) -> impl Iterator<Item = KeyValue> + 'a {
        self.0.iter().filter_map(|(name, key)| {
            let values: Vec<StringValue> = headers
                .get_all(name)
                .iter()
                .filter(|value| !value.is_sensitive())
                .filter_map(|value| value.to_str().ok())
                .map(|value| StringValue::from(redact::bounded(value).to_owned()))
                .collect();
            (!values.is_empty()).then(|| KeyValue::new(key.clone(), Value::Array(Array::String(values))))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(authority: &str) -> (String, Option<u16>) {
        let authority = authority.parse().unwrap();
        let host = Host::of(&authority);
        (host.address.to_owned(), host.port)
    }

    #[test]
    fn a_host_is_split_from_its_port_also_when_it_is_ipv6() {
        assert_eq!(host("shop.example"), ("shop.example".to_owned(), None));
        assert_eq!(host("shop.example:8080"), ("shop.example".to_owned(), Some(8080)));
        assert_eq!(host("[::1]:8080"), ("::1".to_owned(), Some(8080)));
        assert_eq!(host("user:pass@10.0.0.1:1"), ("10.0.0.1".to_owned(), Some(1)));
    }

    #[test]
    fn a_host_is_the_same_when_it_is_asked_for_again() {
        let hosts = Hosts::default();
        let shown = |uri: &'static str, host: Option<&'static str>| {
            let headers = host.map(|host| (header::HOST, http::HeaderValue::from_static(host)));
            let mut shown = None;
            hosts.show(&Uri::from_static(uri), &headers.into_iter().collect(), |host| {
                shown = Some((host.address.to_owned(), host.port));
            });
            shown
        };
        for _ in 0..2 {
            assert_eq!(shown("/a", Some("[::1]:8080")), Some(("::1".to_owned(), Some(8080))));
            assert_eq!(
                shown("http://shop.example/a", Some("other")),
                Some(("shop.example".to_owned(), None))
            );
            assert_eq!(shown("/a", Some("no host")), None);
            assert_eq!(shown("/a", None), None);
        }
    }

    #[test]
    fn an_address_is_written_as_everywhere() {
        for address in
            ["0.0.0.0", "255.255.255.255", "10.9.99.100", "::1", "2001:db8:1:2:3:4:5:6", "::ffff:1.2.3.4"]
        {
            let address: IpAddr = address.parse().unwrap();
            assert_eq!(AddressText::of(address).as_str(), address.to_canonical().to_string());
        }
    }

    #[test]
    fn only_the_known_methods_have_a_name() {
        let known = KnownMethods::default();
        assert_eq!(known.name(&Method::PATCH), "PATCH");
        assert_eq!(known.name(&Method::from_bytes(b"get").unwrap()), OTHER);
        assert_eq!(verb(OTHER), "HTTP");
        let known = KnownMethods::new(["PURGE"]);
        assert_eq!(known.name(&Method::from_bytes(b"PURGE").unwrap()), "PURGE");
        assert_eq!(known.name(&Method::GET), OTHER);
    }

    #[test]
    fn credentials_and_repeated_names_are_not_captured() {
        let names = ["x-request-id", "authorization", "x-request-id"].map(HeaderName::from_static);
        let capture = Capture::new("http.request.header.", names);
        let mut headers = HeaderMap::new();
        headers.append("x-request-id", "a".parse().unwrap());
        headers.append("x-request-id", "b".parse().unwrap());
        headers.append("authorization", "Bearer t".parse().unwrap());
        let found: Vec<_> = capture.read(&headers).collect();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].key.as_str(), "http.request.header.x-request-id");
        assert_eq!(found[0].value.as_str(), r#"["a","b"]"#);
    }
}
