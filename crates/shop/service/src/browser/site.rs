//! Requests that pages of other sites make in the user's browser.
//!
//! Browsers say where a request comes from: `Sec-Fetch-Site` to loopback and over TLS, `Origin` with every POST. Programs
//! that are no browsers say neither and are let through.

use http::{HeaderMap, Method, Request, header, uri::Authority};

/// True for what a page of another site fetches or sends. Following a link is fine.
pub fn is_foreign<B>(request: &Request<B>) -> bool {
    let headers = request.headers();
    let is_safe = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if let Some(site) = text(headers, "sec-fetch-site") {
        // `same-site` is another port of this machine: not ours.
        let is_own = matches!(site, "same-origin" | "none");
        let follows_a_link = is_safe && text(headers, "sec-fetch-mode") == Some("navigate");
        return !is_own && !follows_a_link;
    }
    let Some(origin) = text(headers, header::ORIGIN.as_str()) else { return false };
    let authority = request.uri().authority().map(Authority::as_str);
    let host = text(headers, header::HOST.as_str()).or(authority);
    let own = origin.split_once("://").map(|(_, own)| own);
    !is_safe && (own.is_none() || own != host)
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    // What is not text is not what is expected.
    headers.get(name).map(|value| value.to_str().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str, headers: &[(&str, &str)]) -> Request<()> {
        let builder =
            Request::builder().method(method).uri("/api/v1/traces").header("host", "localhost:16686");
        let builder = headers.iter().fold(builder, |builder, (name, value)| builder.header(*name, *value));
        builder.body(()).unwrap()
    }

    #[test]
    fn what_other_sites_fetch_or_send_is_foreign() {
        for (method, headers) in [
            ("POST", vec![("sec-fetch-site", "cross-site")]),
            ("POST", vec![("sec-fetch-site", "same-site")]),
            ("POST", vec![("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")]),
            ("GET", vec![("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "cors")]),
            ("POST", vec![("origin", "http://evil.example")]),
            ("POST", vec![("origin", "http://localhost:3000")]),
            ("POST", vec![("origin", "null")]),
        ] {
            assert!(is_foreign(&request(method, &headers)), "{method} {headers:?}");
        }
    }

    #[test]
    fn the_page_itself_links_and_programs_are_not_foreign() {
        for (method, headers) in [
            ("POST", vec![]),
            ("POST", vec![("sec-fetch-site", "same-origin"), ("origin", "null")]),
            ("POST", vec![("origin", "http://localhost:16686")]),
            ("GET", vec![("sec-fetch-site", "none"), ("sec-fetch-mode", "navigate")]),
            ("GET", vec![("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")]),
            ("GET", vec![("origin", "http://evil.example")]),
        ] {
            assert!(!is_foreign(&request(method, &headers)), "{method} {headers:?}");
        }
    }
}
