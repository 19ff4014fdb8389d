//! What never leaves the process in a span: secrets in URLs and headers, and text without an end.
//!
//! For every edge of the kit that writes down something a caller put into a URL or a header. Query strings keep
//! their keys and lose the values of the keys known to carry secrets; user names and passwords in URLs are
//! replaced; headers that carry credentials are never captured, not even when asked for by name; every text is
//! cut to a length. Paths are kept as they are: a secret belongs into neither a path nor a log.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use http::uri::Authority;
use http::{HeaderName, Uri};

/// What stands where a secret stood.
const REDACTED: &str = "REDACTED";

/// The longest text an edge records of what a caller sent, in bytes.
///
/// ```
/// use waypost_telemetry::redact::{MAX_TEXT, bounded};
///
/// assert_eq!(bounded(&"x".repeat(5_000)).len(), MAX_TEXT);
/// ```
pub const MAX_TEXT: usize = 2048;

/// Keys whose values are replaced unless a list of one's own is given: those of the semantic conventions
/// (`url.query`, v1.44) and the usual names of tokens and passwords.
const DEFAULT_KEYS: [&str; 17] = [
    "AWSAccessKeyId",
    "Signature",
    "sig",
    "X-Goog-Signature",
    "X-Amz-Signature",
    "X-Amz-Credential",
    "X-Amz-Security-Token",
    "access_token",
    "refresh_token",
    "id_token",
    "token",
    "api_key",
    "apikey",
    "password",
    "passwd",
    "secret",
    "client_secret",
];

/// Headers and metadata that carry credentials. Capturing them is refused whatever the allow-list says.
const NEVER_CAPTURED: [&str; 12] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "set-cookie",
    "x-api-key",
    "api-key",
    "apikey",
    "x-auth-token",
    "x-access-token",
    "x-csrf-token",
    "x-amz-security-token",
    "grpcgateway-authorization",
];

/// The query keys whose values are replaced. Compared without regard to case and after percent-decoding, which
/// redacts a little more than the conventions ask for.
///
/// ```
/// use waypost_telemetry::redact::{SensitiveKeys, query};
///
/// let keys = SensitiveKeys::default();
/// assert_eq!(query("page=2&sig=abc", &keys), "page=2&sig=REDACTED");
/// assert_eq!(query("page=2", &SensitiveKeys::new(["page"])), "page=REDACTED");
/// ```
#[derive(Clone, Debug)]
pub struct SensitiveKeys(Arc<[Box<str>]>);

impl SensitiveKeys {
    /// A list in place of the default one.
    pub fn new<K: Into<Box<str>>>(keys: impl IntoIterator<Item = K>) -> Self {
        Self(keys.into_iter().map(Into::into).collect())
    }

    fn contains(&self, key: &str) -> bool {
        let key = percent_decoded(key);
        self.0.iter().any(|sensitive| sensitive.as_bytes().eq_ignore_ascii_case(&key))
    }
}

impl Default for SensitiveKeys {
    fn default() -> Self {
        static DEFAULT: LazyLock<SensitiveKeys> = LazyLock::new(|| SensitiveKeys::new(DEFAULT_KEYS));
        DEFAULT.clone()
    }
}

/// The query string with the values of sensitive keys replaced, cut to [`MAX_TEXT`].
///
/// ```
/// use waypost_telemetry::redact::{SensitiveKeys, query};
///
/// assert_eq!(query("page=2&access_token=t", &SensitiveKeys::default()), "page=2&access_token=REDACTED");
/// ```
pub fn query<'a>(query: &'a str, keys: &SensitiveKeys) -> Cow<'a, str> {
    let query = bounded(query);
    let is_sensitive = |pair: &str| pair.split_once('=').is_some_and(|(key, _)| keys.contains(key));
    if !query.split('&').any(is_sensitive) {
        return Cow::Borrowed(query);
    }
    let mut redacted = String::with_capacity(query.len());
    for (index, pair) in query.split('&').enumerate() {
        if index > 0 {
            redacted.push('&');
        }
        match pair.split_once('=') {
            Some((key, _)) if keys.contains(key) => {
                redacted.push_str(key);
                redacted.push('=');
                redacted.push_str(REDACTED);
            }
            _ => redacted.push_str(pair),
        }
    }
    Cow::Owned(redacted)
}

/// The absolute URL without credentials and with its query redacted, for `url.full`. A URI in origin form keeps its
/// path and query only.
///
/// ```
/// use waypost_telemetry::redact::{SensitiveKeys, url};
///
/// let uri = "http://bob:hunter2@[::1]:8080/charges?token=t&page=1".parse().unwrap();
/// assert_eq!(
///     url(&uri, &SensitiveKeys::default()),
///     "http://REDACTED:REDACTED@[::1]:8080/charges?token=REDACTED&page=1",
/// );
/// ```
pub fn url(uri: &Uri, keys: &SensitiveKeys) -> String {
    written(uri.scheme_str(), uri.authority(), uri, keys)
}

/// As [`url`], for a request whose target may name neither scheme nor host: those it is sent to by other means.
pub(crate) fn url_at(scheme: &str, authority: &Authority, uri: &Uri, keys: &SensitiveKeys) -> String {
    written(Some(scheme), Some(authority), uri, keys)
}

fn written(scheme: Option<&str>, authority: Option<&Authority>, uri: &Uri, keys: &SensitiveKeys) -> String {
    let mut full = String::with_capacity(64);
    if let Some(scheme) = scheme {
        full.push_str(scheme);
        full.push_str("://");
    }
    if let Some(authority) = authority {
        match authority.as_str().rsplit_once('@') {
            Some((_, host)) => {
                full.push_str("REDACTED:REDACTED@");
                full.push_str(host);
            }
            None => full.push_str(authority.as_str()),
        }
    }
    full.push_str(bounded(uri.path()));
    if let Some(text) = uri.query() {
        full.push('?');
        full.push_str(&query(text, keys));
    }
    full
}

/// Whether a header or metadata key carries credentials and is therefore never captured.
///
/// ```
/// use http::header;
/// use waypost_telemetry::redact::is_never_captured;
///
/// assert!(is_never_captured(&header::AUTHORIZATION) && is_never_captured(&header::COOKIE));
/// assert!(!is_never_captured(&header::CONTENT_TYPE));
/// ```
pub fn is_never_captured(name: &HeaderName) -> bool {
    NEVER_CAPTURED.contains(&name.as_str())
}

/// The text, cut to [`MAX_TEXT`] at the border of a character.
///
/// ```
/// assert_eq!(waypost_telemetry::redact::bounded("short"), "short");
/// ```
pub fn bounded(text: &str) -> &str {
    bounded_to(text, MAX_TEXT)
}

/// The text, cut to `limit` bytes at the border of a character.
pub(crate) fn bounded_to(text: &str, limit: usize) -> &str {
    text.get(..text.floor_char_boundary(limit)).unwrap_or(text)
}

fn percent_decoded(text: &str) -> Cow<'_, [u8]> {
    if !text.contains('%') {
        return Cow::Borrowed(text.as_bytes());
    }
    let digit = |byte: Option<&u8>| {
        byte.and_then(|byte| char::from(*byte).to_digit(16)).and_then(|digit| u8::try_from(digit).ok())
    };
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut index = 0;
    while let Some(byte) = bytes.get(index) {
        let escape = (digit(bytes.get(index + 1)), digit(bytes.get(index + 2)));
        if let (b'%', (Some(high), Some(low))) = (byte, escape) {
            decoded.push(high * 16 + low);
            index += 3;
        } else {
            decoded.push(*byte);
            index += 1;
        }
    }
    Cow::Owned(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_without_secrets_is_borrowed() {
        let keys = SensitiveKeys::default();
        assert!(matches!(query("page=2&order=asc&flag", &keys), Cow::Borrowed("page=2&order=asc&flag")));
    }

    #[test]
    fn sensitive_values_go_and_keys_stay_however_they_are_written() {
        let keys = SensitiveKeys::default();
        assert_eq!(query("a=1&SIG=x&token=y=z&&b", &keys), "a=1&SIG=REDACTED&token=REDACTED&&b");
        assert_eq!(query("%74oken=secret", &keys), "%74oken=REDACTED");
        assert_eq!(query("design=blue&signal=1", &keys), "design=blue&signal=1");
        assert_eq!(query("%zz=1&%7=2", &keys), "%zz=1&%7=2");
    }

    #[test]
    fn text_is_cut_at_a_character() {
        assert_eq!(bounded_to("aä", 2), "a");
        assert_eq!(bounded_to("aä", 3), "aä");
        assert_eq!(bounded(&"x".repeat(MAX_TEXT + 1)).len(), MAX_TEXT);
    }

    #[test]
    fn credentials_are_never_captured() {
        for name in ["authorization", "cookie", "set-cookie", "x-api-key"] {
            assert!(is_never_captured(&HeaderName::from_static(name)), "{name}");
        }
        assert!(!is_never_captured(&HeaderName::from_static("x-request-id")));
    }

    #[test]
    fn a_url_without_authority_keeps_its_path() {
        assert_eq!(
            url(&Uri::from_static("/charges?sig=1"), &SensitiveKeys::default()),
            "/charges?sig=REDACTED"
        );
        let (host, target) =
            (Authority::from_static("bob:hunter2@shop:81"), Uri::from_static("/charges?page=1"));
        assert_eq!(
            url_at("http", &host, &target, &SensitiveKeys::default()),
            "http://REDACTED:REDACTED@shop:81/charges?page=1"
        );
    }
}
