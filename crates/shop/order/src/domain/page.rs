//! Pages of a list: each begins after the last order of the page before, so that orders that are added meanwhile
//! neither repeat nor hide any.

use std::fmt::Write as _;
use waypost_api::{Error, ErrorCode, OrderId, Timestamp};

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

impl Cursor {
    /// As a token for the client. It is not secret and not signed: it only says where to go on, and whose orders are
    /// shown does not follow from it.
    pub fn to_token(&self) -> String {
        hex(&format!("{}/{}", self.created_at.unix_millis(), self.id))
    }

    /// The place that a token of ours says; `None` for the empty token of the first page.
    pub fn from_token(token: &str) -> Result<Option<Cursor>, Error> {
        if token.is_empty() {
            return Ok(None);
        }
        read(token).map(Some).ok_or_else(|| Error::of(ErrorCode::InvalidPageToken))
    }
}

fn hex(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len() * 2), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

fn read(token: &str) -> Option<Cursor> {
    // Longer than any of ours; not to be decoded for nothing.
    if token.len() > 200
        || !token.len().is_multiple_of(2)
        || !token.bytes().all(|byte| byte.is_ascii_hexdigit())
    {
        return None;
    }
    let digit = |byte: u8| (byte as char).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let byte = |pair: &[u8]| Some(digit(*pair.first()?)? << 4 | digit(*pair.get(1)?)?);
    let bytes = token.as_bytes().chunks(2).map(byte).collect::<Option<Vec<u8>>>()?;
    let text = String::from_utf8(bytes).ok()?;
    let (millis, id) = text.split_once('/')?;
    let created_at = Timestamp::from_unix_millis(millis.parse().ok()?).ok()?;
    Some(Cursor { created_at, id: OrderId::parse(id).ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_leads_back_to_its_place() {
        let cursor = Cursor {
            created_at: Timestamp::from_unix_millis(1_763_710_000_123).unwrap(),
            id: OrderId::parse("0199c3f4-7e11-7a52-9d51-3f0a3c1f6b7e").unwrap(),
        };
        assert_eq!(Cursor::from_token(&cursor.to_token()), Ok(Some(cursor)));
        assert_eq!(Cursor::from_token(""), Ok(None));
    }

    #[test]
    fn a_token_that_is_not_ours_is_refused() {
        let strange = [
            "x".to_owned(),
            "zz".to_owned(),
            "é".to_owned(),
            "a".repeat(10_000),
            hex("no number/order-1"),
            hex("-5/order-1"),
            hex("5/or der"),
            hex("5"),
            "ff".to_owned(),
        ];
        for token in strange {
            let refused = Cursor::from_token(&token).unwrap_err();
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
