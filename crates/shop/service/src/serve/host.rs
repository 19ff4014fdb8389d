//! Which host a request is for: one answer, or the request is refused.
//!
//! A request that names none, or two, is read differently by whatever stands in front of us, which is how requests are
//! smuggled past its rules. RFC 9112, section 3.2: a server MUST answer 400 to an HTTP/1.1 request without `Host`, and to
//! any request with more than one or with one that is not valid; RFC 9113, section 8.3.1, says the same of HTTP/2, where
//! `:authority` stands for it. HTTP/1.0 knew no `Host`, so there it may be absent.

use http::{HeaderMap, Request, Uri, Version, header, uri::Authority};

/// True when a request says which host it is for as its version has to.
pub(super) fn is_named<B>(request: &Request<B>) -> bool {
    let Ok(host) = single(request.headers()) else { return false };
    match (request.version(), host) {
        (Version::HTTP_2, None) => request.uri().authority().is_some(),
        (Version::HTTP_2, Some(host)) => is_same(request.uri(), host),
        (Version::HTTP_11, None) => false,
        (_, None) => true,
        (_, Some(host)) => is_valid(host),
    }
}

/// The one `Host` header, if there is one; an error when there are more, or it is no text.
fn single(headers: &HeaderMap) -> Result<Option<&str>, ()> {
    let mut values = headers.get_all(header::HOST).iter();
    let first = values.next().map(|value| value.to_str().map_err(drop)).transpose()?;
    if values.next().is_some() { Err(()) } else { Ok(first) }
}

/// `host [":" port]`, without user information. Empty is valid: the target has no authority then. A comma is what two
/// headers look like that somebody has joined; no host has one.
fn is_valid(host: &str) -> bool {
    host.is_empty() || (!host.contains(['@', ',']) && host.parse::<Authority>().is_ok())
}

/// HTTP/2 may carry both; they must mean the same.
fn is_same(uri: &Uri, host: &str) -> bool {
    let is_equal = |authority: &Authority| authority.as_str().eq_ignore_ascii_case(host);
    is_valid(host) && uri.authority().is_none_or(is_equal)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_taken(version: Version, uri: &str, hosts: &[&str]) -> bool {
        let mut request = Request::builder().version(version).uri(uri);
        for host in hosts {
            request = request.header(header::HOST, *host);
        }
        is_named(&request.body(()).unwrap())
    }

    #[test]
    fn a_request_names_one_host() {
        let http1 = |hosts: &[&str]| is_taken(Version::HTTP_11, "/", hosts);
        for host in ["localhost", "127.0.0.1:8080", "[::1]:8080", "shop.example", ""] {
            assert!(http1(&[host]), "{host}");
        }
        assert!(!http1(&[]) && !http1(&["a", "a"]) && !http1(&["a", "b"]));
        for host in ["a b", "user@host", "a/b", "a,b"] {
            assert!(!http1(&[host]), "{host}");
        }
        assert!(!is_taken(Version::HTTP_11, "http://localhost/", &[]), "the target does not stand for it");
    }

    #[test]
    fn http_1_0_may_leave_it_out() {
        assert!(is_taken(Version::HTTP_10, "/", &[]));
        assert!(!is_taken(Version::HTTP_10, "/", &["a", "a"]));
    }

    #[test]
    fn http_2_names_it_in_the_target() {
        let http2 = |uri: &str, hosts: &[&str]| is_taken(Version::HTTP_2, uri, hosts);
        assert!(http2("http://shop.example/", &[]) && http2("http://shop.example/", &["Shop.example"]));
        assert!(http2("/", &["shop.example"]));
        assert!(!http2("/", &[]) && !http2("http://shop.example/", &["other.example"]));
    }
}
