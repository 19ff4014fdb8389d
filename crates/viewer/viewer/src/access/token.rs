//! The token, and the ways in which a request carries it.

use crate::Error;
use axum::http::{HeaderMap, header};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use sha2::{Digest as _, Sha256};

/// What must be known to look at anything.
pub(super) struct Token {
    text: String,
    digest: [u8; 32],
    /// What the cookie holds: random, so that guessing tokens by it is of no use, and gone with the process.
    cookie: String,
}

/// What a request carries.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Credentials {
    None,
    /// As a bearer token, or as the password of basic authentication.
    Token(String),
    Cookie(String),
    /// An `Authorization` that cannot be read.
    Unreadable,
}

impl Token {
    pub(super) fn new(text: String) -> Result<Token, Error> {
        let digest = Sha256::digest(&text).into();
        Ok(Token { text, digest, cookie: random()? })
    }

    /// 256 random bits.
    pub(super) fn random() -> Result<Token, Error> {
        Token::new(random()?)
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn cookie(&self) -> &str {
        &self.cookie
    }

    pub(super) fn admits(&self, credentials: &Credentials) -> bool {
        match credentials {
            Credentials::None | Credentials::Unreadable => false,
            Credentials::Token(text) => self.is(text),
            Credentials::Cookie(text) => {
                are_same(&Sha256::digest(text).into(), &Sha256::digest(&self.cookie).into())
            }
        }
    }

    /// Takes the same time whatever the text is.
    pub(super) fn is(&self, text: &str) -> bool {
        are_same(&Sha256::digest(text).into(), &self.digest)
    }
}

/// Letters, digits, `-` and `_`: nothing that a link or a cookie must escape.
fn random() -> Result<String, Error> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).map_err(|source| Error::RandomToken { source })?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

fn are_same(left: &[u8; 32], right: &[u8; 32]) -> bool {
    left.iter().zip(right).fold(0, |differences, (left, right)| differences | (left ^ right)) == 0
}

impl Credentials {
    /// Whether it says that it is right. A browser that still has a cookie of an earlier process does not.
    pub(super) fn is_claim(&self) -> bool {
        matches!(self, Credentials::Token(_) | Credentials::Unreadable)
    }

    /// `Authorization` counts before the cookie.
    pub(super) fn of(headers: &HeaderMap, cookie_name: &str) -> Credentials {
        if let Some(value) = headers.get(header::AUTHORIZATION) {
            return value.to_str().ok().and_then(authorization).unwrap_or(Credentials::Unreadable);
        }
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let pairs = cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.split_once('='));
        let mut ours = pairs.filter(|(name, _)| name.trim() == cookie_name);
        ours.next().map_or(Credentials::None, |(_, value)| Credentials::Cookie(value.trim().to_owned()))
    }
}

/// RFC 6750 and RFC 7617; the user of basic authentication may be anybody.
fn authorization(value: &str) -> Option<Credentials> {
    let (scheme, rest) = value.trim().split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(Credentials::Token(rest.to_owned()));
    }
    if scheme.eq_ignore_ascii_case("basic") {
        let decoded = String::from_utf8(STANDARD.decode(rest).ok()?).ok()?;
        let (_, password) = decoded.split_once(':')?;
        return Some(Credentials::Token(password.to_owned()));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn carried(name: header::HeaderName, value: &str) -> Credentials {
        let headers = [(name, value.parse().unwrap())].into_iter().collect();
        Credentials::of(&headers, "waypost_1")
    }

    #[test]
    fn the_token_is_admitted_however_it_is_carried() {
        let token = Token::new("correct: horse".to_owned()).unwrap();
        let basic = format!("Basic {}", STANDARD.encode("anybody:correct: horse"));
        assert!(token.admits(&carried(header::AUTHORIZATION, "bearer correct: horse")));
        assert!(token.admits(&carried(header::AUTHORIZATION, &basic)));
        let cookie = format!("waypost_2=x; waypost_1={}; other=y", token.cookie());
        assert!(token.admits(&carried(header::COOKIE, &cookie)));
    }

    #[test]
    fn nothing_else_is_admitted() {
        let token = Token::new("correct horse".to_owned()).unwrap();
        for value in
            ["Bearer correct hors", "Bearer", "Basic correct horse", "Basic !", "Digest correct horse"]
        {
            assert!(!token.admits(&carried(header::AUTHORIZATION, value)), "{value}");
        }
        assert!(!token.admits(&carried(header::COOKIE, "waypost_1=correct horse")));
        assert!(!token.admits(&carried(header::COOKIE, &format!("waypost_2={}", token.cookie()))));
        assert!(!token.admits(&Credentials::None));
    }

    #[test]
    fn a_random_token_has_256_bits_and_no_letter_that_a_link_must_escape() {
        let (one, other) = (Token::random().unwrap(), Token::random().unwrap());
        assert_eq!(one.text().len(), 43);
        assert!(one.text().bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
        assert_ne!(one.text(), other.text());
    }
}
