//! Issues and verifies the tokens of users.
//!
//! Invariant: one algorithm, HS256; a token must name one of our keys and carry `exp`, `nbf`, `iss`, `aud` and
//! `sub`, each checked. jsonwebtoken 11 checks neither `nbf` nor `iss` unless told to.

mod keys;

pub(crate) use keys::Keys;

use crate::{Error, config::TokenSettings};
use jsonwebtoken::{Algorithm, Header, Validation, errors::ErrorKind};
use serde::{Deserialize, Serialize};
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};
use waypost_api::{ErrorCode, UserId};

/// Longest token that is looked at; ours have about 300 bytes.
const MAX_TOKEN_LENGTH: usize = 2048;

/// Who a token was issued to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Principal {
    pub(crate) user_id: UserId,
    pub(crate) is_admin: bool,
}

/// What tokens are made and judged with.
pub(crate) struct Tokens {
    keys: Arc<Keys>,
    validation: Validation,
    issuer: String,
    audience: String,
    lifetime: Duration,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: UserId,
    exp: u64,
    nbf: u64,
    iat: u64,
    role: Role,
}

#[derive(Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Role {
    User,
    Admin,
}

impl Tokens {
    /// Takes the keys of the file, those of the configuration, or makes one.
    pub(crate) fn new(settings: &TokenSettings) -> Result<Tokens, Error> {
        let keys = Arc::new(Keys::open(settings)?);
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
        validation.set_issuer(&[&settings.issuer]);
        validation.set_audience(&[&settings.audience]);
        validation.validate_nbf = true;
        validation.leeway = settings.leeway.as_secs();
        Ok(Tokens {
            keys,
            validation,
            issuer: settings.issuer.clone(),
            audience: settings.audience.clone(),
            lifetime: settings.lifetime.get(),
        })
    }

    /// The keys.
    pub(crate) fn keys(&self) -> &Arc<Keys> {
        &self.keys
    }

    /// Seconds that a token lasts.
    pub(crate) fn lifetime(&self) -> Duration {
        self.lifetime
    }

    /// A token for a user who has just proved to be that user.
    pub(crate) fn issue(&self, principal: &Principal) -> Result<String, waypost_api::Error> {
        let now = SystemTime::UNIX_EPOCH.elapsed().map_err(|_| waypost_api::Error::internal())?.as_secs();
        let claims = Claims {
            iss: self.issuer.clone(),
            aud: self.audience.clone(),
            sub: principal.user_id.clone(),
            exp: now + self.lifetime.as_secs(),
            nbf: now,
            iat: now,
            role: if principal.is_admin { Role::Admin } else { Role::User },
        };
        let key = self.keys.signer(SystemTime::now()).ok_or_else(waypost_api::Error::internal)?;
        let header = Header { kid: Some(key.kid.clone()), ..Header::new(Algorithm::HS256) };
        jsonwebtoken::encode(&header, &claims, &key.encoding).map_err(|_| waypost_api::Error::internal())
    }

    /// Who a token was issued to, or why it is refused: `token_expired` or, for all else, `unauthenticated`.
    pub(crate) fn verify(&self, token: &str) -> Result<Principal, ErrorCode> {
        if token.len() > MAX_TOKEN_LENGTH {
            return Err(ErrorCode::Unauthenticated);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| ErrorCode::Unauthenticated)?;
        let named = header.kid.and_then(|kid| self.keys.named(&kid));
        let key = named.ok_or(ErrorCode::Unauthenticated)?;
        let decoded = jsonwebtoken::decode::<Claims>(token, &key.decoding, &self.validation);
        let claims = decoded.map_err(|error| match error.kind() {
            ErrorKind::ExpiredSignature => ErrorCode::TokenExpired,
            _ => ErrorCode::Unauthenticated,
        })?;
        let Claims { sub, role, .. } = claims.claims;
        Ok(Principal { user_id: sub, is_admin: role == Role::Admin })
    }
}
