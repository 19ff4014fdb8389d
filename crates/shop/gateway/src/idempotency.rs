//! The `Idempotency-Key` header and what it binds.
//!
//! The gateway only reads the key and says what the request was; the row that makes it once belongs to the order
//! service's database and commits with the order (I1, I2). A key kept here could only be a hint.

use axum::http::HeaderMap;
use sha2::{Digest as _, Sha256};
use waypost_api::{Error, ErrorCode, http_bodies::CreateOrderBody, order::v1::Idempotency};

/// The header's name.
pub(crate) const HEADER: &str = "idempotency-key";
/// Set on an answer that is the one to an earlier request with the same key.
pub(crate) const REPLAYED: &str = "idempotent-replayed";
const MAX_KEY_LENGTH: usize = 255;

/// What the client's key binds, if it sent one.
pub(crate) fn read(
    headers: &HeaderMap,
    is_required: bool,
    principal: &str,
    route: &str,
    body: &CreateOrderBody,
) -> Result<Option<Idempotency>, Error> {
    let key = key(headers)?;
    if key.is_none() && is_required {
        return Err(ErrorCode::IdempotencyKeyRequired.into());
    }
    Ok(key.map(|key| Idempotency {
        key,
        principal: principal.to_owned(),
        fingerprint: fingerprint("POST", route, body).to_vec(),
    }))
}

/// The key, quoted as the IETF draft has it (a Structured Field String) or bare as most clients send it.
fn key(headers: &HeaderMap) -> Result<Option<String>, Error> {
    let mut values = headers.get_all(HEADER).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().ok().map(str::trim).filter(|_| values.next().is_none());
    let key = text.and_then(|text| match text.strip_prefix('"') {
        Some(quoted) => unescaped(quoted.strip_suffix('"')?),
        None => Some(text.to_owned()),
    });
    let is_fit = |key: &String| {
        (1..=MAX_KEY_LENGTH).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic())
    };
    key.filter(is_fit).map(Some).ok_or_else(|| {
        let detail =
            format!("Idempotency-Key takes one value of 1 to {MAX_KEY_LENGTH} visible ASCII characters");
        Error::new(ErrorCode::InvalidRequest, detail)
    })
}

/// RFC 9651, section 3.3.3: a backslash stands before a quote or a backslash, and nowhere else.
fn unescaped(text: &str) -> Option<String> {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => plain.push(characters.next().filter(|next| matches!(next, '"' | '\\'))?),
            '"' => return None,
            other => plain.push(other),
        }
    }
    Some(plain)
}

/// SHA-256 over method, route and what the body means: `2` and `2.0`, or another order of the members, are the
/// same request. Each part is preceded by its length, so that no two requests have one text.
fn fingerprint(method: &str, route: &str, body: &CreateOrderBody) -> [u8; 32] {
    let CreateOrderBody { user_id, product_id, quantity, amount } = body;
    let (quantity, amount) = (quantity.to_string(), amount.ten_thousandths().to_string());
    let currency = body.amount.currency().to_string();
    let parts = [method, route, user_id.as_str(), product_id.as_str(), &quantity, &amount, &currency];
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    digest.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use waypost_api::http_bodies::parse_create_order;

    fn key_of(value: &str) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, value.parse().unwrap());
        key(&headers).ok().flatten()
    }

    #[test]
    fn a_quoted_and_a_bare_key_are_one_key() {
        assert_eq!(key_of("\"8e03978e-40d5\"").as_deref(), Some("8e03978e-40d5"));
        assert_eq!(key_of("8e03978e-40d5").as_deref(), Some("8e03978e-40d5"));
        assert_eq!(key_of(r#""a\"b\\c""#).as_deref(), Some(r#"a"b\c"#));
    }

    #[test]
    fn a_key_that_is_empty_long_or_not_visible_is_refused() {
        for value in ["\"\"", "\"a", "a b", r#""a\b""#, r#""a"b""#, &"k".repeat(256)] {
            assert_eq!(key_of(value), None, "{value}");
        }
        assert!(key_of(&"k".repeat(255)).is_some());
    }

    #[test]
    fn the_fingerprint_is_of_the_meaning_and_not_of_the_text() {
        let of =
            |text: &str| fingerprint("POST", "/api/orders", &parse_create_order(text.as_bytes()).unwrap());
        let one = of(r#"{"user_id":"u","product_id":"p","quantity":2,"amount":99.9}"#);
        assert_eq!(one, of(r#"{ "amount": "99.90", "quantity": 2, "product_id": "p", "user_id": "u" }"#));
        assert_ne!(one, of(r#"{"user_id":"u","product_id":"p","quantity":2,"amount":99.91}"#));
        assert_ne!(one, of(r#"{"user_id":"up","product_id":"p","quantity":2,"amount":99.9}"#));
    }
}
