//! The address of an OTLP receiver.
//!
//! What the specification asks for: scheme, host, port and path are kept, a query stays behind the path, and an
//! address without a scheme is one for gRPC. Credentials in an address are refused; they belong into headers.

use http::Uri;
use http::uri::{Authority, Scheme};

/// An address that was found usable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// `None` for `collector:4317`, which only gRPC takes.
    scheme: Option<Scheme>,
    authority: Authority,
    path: String,
    query: Option<String>,
}

impl Endpoint {
    /// The reason, as a sentence without its subject, if it cannot be used.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        const NO_ADDRESS: &str = "is not an address such as http://collector:4318";
        let uri: Uri = text.parse().map_err(|_| NO_ADDRESS)?;
        let parts = uri.into_parts();
        let authority = parts.authority.filter(|authority| !authority.host().is_empty()).ok_or(NO_ADDRESS)?;
        if authority.as_str().contains('@') {
            return Err("must not hold credentials; they belong into headers");
        }
        let port = authority.as_str().strip_prefix(authority.host()).unwrap_or_default();
        if port.len() > 1 && authority.port_u16().is_none() {
            return Err(NO_ADDRESS);
        }
        let is_http = |scheme: &Scheme| [Scheme::HTTP, Scheme::HTTPS].contains(scheme);
        if parts.scheme.as_ref().is_some_and(|scheme| !is_http(scheme)) {
            return Err(NO_ADDRESS);
        }
        let path = parts.path_and_query.as_ref().map_or("/", |path| path.path()).to_owned();
        let query = parts.path_and_query.as_ref().and_then(|path| path.query()).map(str::to_owned);
        Ok(Self { scheme: parts.scheme, authority, path, query })
    }

    /// Whether it says `http` or `https`, as OTLP over HTTP needs.
    pub(crate) fn has_scheme(&self) -> bool {
        self.scheme.is_some()
    }

    /// With a signal's path (`/v1/traces`) behind that of a common address.
    pub(crate) fn for_signal(&self, path: &str) -> Uri {
        let path = format!("{}{path}", self.path.trim_end_matches('/'));
        self.uri(self.scheme.clone().unwrap_or(Scheme::HTTP), &path)
    }

    /// As it was given, as a signal's own address is used.
    pub(crate) fn as_given(&self) -> Uri {
        self.uri(self.scheme.clone().unwrap_or(Scheme::HTTP), &self.path)
    }

    /// Scheme, host and port of a gRPC receiver; without a scheme it is TLS unless `insecure`.
    pub(crate) fn for_grpc(&self, insecure: bool) -> Uri {
        let otherwise = if insecure { Scheme::HTTP } else { Scheme::HTTPS };
        self.uri(self.scheme.clone().unwrap_or(otherwise), &self.path)
    }

    fn uri(&self, scheme: Scheme, path: &str) -> Uri {
        let path = self.query.as_ref().map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
        let uri =
            Uri::builder().scheme(scheme).authority(self.authority.clone()).path_and_query(path).build();
        // Every part was one of an address already.
        uri.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signal(text: &str) -> String {
        Endpoint::parse(text).unwrap().for_signal("/v1/traces").to_string()
    }

    #[test]
    fn a_signals_path_goes_behind_the_path_and_before_the_query() {
        assert_eq!(signal("http://collector:4318"), "http://collector:4318/v1/traces");
        assert_eq!(signal("https://collector/my/"), "https://collector/my/v1/traces");
        assert_eq!(signal("http://h/my?token=abc"), "http://h/my/v1/traces?token=abc");
        assert_eq!(signal("http://[::1]:4318"), "http://[::1]:4318/v1/traces");
    }

    #[test]
    fn a_signals_own_address_stays_as_it_is() {
        let given = |text: &str| Endpoint::parse(text).unwrap().as_given().to_string();
        assert_eq!(given("http://collector:4318"), "http://collector:4318/");
        assert_eq!(given("https://h/v1/metrics/?a=b"), "https://h/v1/metrics/?a=b");
    }

    #[test]
    fn without_a_scheme_grpc_is_encrypted_unless_told_otherwise() {
        let bare = Endpoint::parse("collector:4317").unwrap();
        assert!(!bare.has_scheme());
        assert_eq!(bare.for_grpc(false).to_string(), "https://collector:4317/");
        assert_eq!(bare.for_grpc(true).to_string(), "http://collector:4317/");
        let plain = Endpoint::parse("http://collector:4317").unwrap();
        assert_eq!(plain.for_grpc(false).to_string(), "http://collector:4317/");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in ["", "/v1/traces", "ftp://h", "unix:///run/x", "http://h:99999", "http://", "a b"] {
            assert!(Endpoint::parse(text).is_err(), "{text}");
        }
        assert!(Endpoint::parse("http://user:secret@h").unwrap_err().contains("credentials"));
    }
}
