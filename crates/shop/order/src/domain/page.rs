//! Pages of a list: each begins after the last order of the page before, so that orders that are added meanwhile
//! neither repeat nor hide any.

use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use std::fmt::{self, Write as _};
use waypost_api::{Error, ErrorCode, OrderId, Timestamp, UserId};

/// Most orders of one page.
pub const MAX_PAGE_SIZE: u32 = 100;
const DEFAULT_PAGE_SIZE: u32 = 20;

/// How many orders a page has when so many were asked for; 0 asks for the usual number.
pub fn page_size(asked: u32) -> Option<u32> {
    match asked {
        0 => Some(DEFAULT_PAGE_SIZE),
        1..=MAX_PAGE_SIZE => Some(asked),
        _ => None,
    }
}

/// A place in a list that runs from the newest order to the oldest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// When the last order before the place was created.
    pub created_at: Timestamp,
    /// Its id, which decides between orders of one millisecond.
    pub id: OrderId,
}

/// Signs page tokens, so that a token is one that a page of the same list gave out (HMAC-SHA-256).
#[derive(Clone, PartialEq, Eq)]
pub struct TokenKey([u8; 32]);

/// Not the key.
impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenKey")
    }
}

/// What of the signature a token carries, in bytes: 128 bits are as many as can be guessed at.
const SIGNATURE: usize = 16;
/// Longer than any token of ours; not to be decoded for nothing.
const MAX_TOKEN: usize = 300;

impl TokenKey {
    /// Of random bytes.
    pub fn new(key: [u8; 32]) -> TokenKey {
        TokenKey(key)
    }

    /// The token that goes on with the list of a user's orders at a place. The place is not secret.
    pub fn to_token(&self, user: &UserId, cursor: &Cursor) -> Result<String, Error> {
        let place = format!("{}/{}", cursor.created_at.unix_millis(), cursor.id);
        let signature = self.signature(user, &place)?.finalize().into_bytes();
        let signature = signature.get(..SIGNATURE).ok_or_else(Error::internal)?;
        Ok(format!("{}.{}", hex(place.as_bytes()), hex(signature)))
    }

    /// The place that a token says; `None` for the empty token of the first page. What no page of this user's list
    /// gave out is refused.
    pub fn from_token(&self, user: &UserId, token: &str) -> Result<Option<Cursor>, Error> {
        if token.is_empty() {
            return Ok(None);
        }
        let read = || {
            let (place, signature) = token.split_once('.').filter(|_| token.len() <= MAX_TOKEN)?;
            let (place, signature) = (String::from_utf8(bytes(place)?).ok()?, bytes(signature)?);
            // A shorter one would be easier to guess.
            (signature.len() == SIGNATURE).then_some(())?;
            self.signature(user, &place).ok()?.verify_truncated_left(&signature).ok()?;
            let (millis, id) = place.split_once('/')?;
            let created_at = Timestamp::from_unix_millis(millis.parse().ok()?).ok()?;
            Some(Cursor { created_at, id: OrderId::parse(id).ok()? })
        };
        read().map(Some).ok_or_else(|| Error::of(ErrorCode::InvalidPageToken))
    }

    /// Over everything that makes lists different. No user id has a line break.
    fn signature(&self, user: &UserId, place: &str) -> Result<Hmac<Sha256>, Error> {
        let mut signature = Hmac::<Sha256>::new_from_slice(&self.0).map_err(|_| Error::internal())?;
        signature.update(format!("orders of {user}\n{place}").as_bytes());
        Ok(signature)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| (byte as char).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let byte = |pair: &[u8]| Some(digit(*pair.first()?)? << 4 | digit(*pair.get(1)?)?);
    hex.as_bytes().chunks(2).map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(id: &str) -> UserId {
        UserId::parse(id).unwrap()
    }

    fn cursor() -> Cursor {
        Cursor {
            created_at: Timestamp::from_unix_millis(1_763_710_000_123).unwrap(),
            id: OrderId::parse("0199c3f4-7e11-7a52-9d51-3f0a3c1f6b7e").unwrap(),
        }
    }

    #[test]
    fn a_token_leads_back_to_its_place_with_the_same_key() {
        let token = TokenKey::new([7; 32]).to_token(&user("user123"), &cursor()).unwrap();
        assert_eq!(TokenKey::new([7; 32]).from_token(&user("user123"), &token), Ok(Some(cursor())));
        assert_eq!(TokenKey::new([7; 32]).from_token(&user("user123"), ""), Ok(None));
    }

    #[test]
    fn a_token_of_another_list_or_key_is_refused() {
        let key = TokenKey::new([7; 32]);
        let token = key.to_token(&user("user123"), &cursor()).unwrap();
        assert!(key.from_token(&user("user456"), &token).is_err());
        assert!(TokenKey::new([8; 32]).from_token(&user("user123"), &token).is_err());
    }

    #[test]
    fn a_token_that_is_not_ours_is_refused() {
        let key = TokenKey::new([7; 32]);
        let token = key.to_token(&user("user123"), &cursor()).unwrap();
        let (place, signature) = token.split_once('.').unwrap();
        let strange = [
            "x".to_owned(),
            "zz.zz".to_owned(),
            "é.é".to_owned(),
            "a".repeat(10_000),
            place.to_owned(),
            format!("{place}."),
            format!("{place}.{}", &signature[..30]),
            format!("{place}.{signature}00"),
            format!("{}.{signature}", hex(b"1763710000124/0199c3f4-7e11-7a52-9d51-3f0a3c1f6b7e")),
        ];
        for token in strange {
            let refused = key.from_token(&user("user123"), &token).unwrap_err();
            assert_eq!(refused.code, ErrorCode::InvalidPageToken, "{token}");
        }
    }

    #[test]
    fn a_page_has_between_one_and_a_hundred_orders() {
        assert_eq!(page_size(0), Some(20));
        assert_eq!(page_size(1), Some(1));
        assert_eq!(page_size(100), Some(100));
        assert_eq!(page_size(101), None);
    }
}
