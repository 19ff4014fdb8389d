//! A user as bytes, for caches that several processes share.
//!
//! JSON: a process of another version, whose users have other fields, finds no copy and asks the store. It holds what
//! orders need of a user, the token of the means of payment among it, and no password hash.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::domain::User;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Copied<'a> {
    id: Cow<'a, str>,
    name: Cow<'a, str>,
    email: Cow<'a, str>,
    is_admin: bool,
    is_active: bool,
    payment_method: Cow<'a, str>,
    tenant: Cow<'a, str>,
}

/// The user as bytes.
pub fn encode(user: &User) -> Option<Vec<u8>> {
    let copied = Copied {
        id: user.id.as_str().into(),
        name: user.name.as_str().into(),
        email: user.email.as_str().into(),
        is_admin: user.is_admin,
        is_active: user.is_active,
        payment_method: user.payment_method.as_str().into(),
        tenant: user.tenant.as_str().into(),
    };
    serde_json::to_vec(&copied).ok()
}

/// The user with this id of these bytes, if they are that one, and of this version.
pub fn decode(id: &str, bytes: &[u8]) -> Option<User> {
    let copied: Copied<'_> = serde_json::from_slice(bytes).ok()?;
    if copied.id != id {
        return None;
    }
    Some(User {
        id: copied.id.parse().ok()?,
        name: copied.name.into_owned(),
        email: copied.email.into_owned(),
        is_admin: copied.is_admin,
        is_active: copied.is_active,
        payment_method: copied.payment_method.into_owned(),
        tenant: copied.tenant.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_comes_back_as_it_was() {
        for new in crate::demo::users() {
            let bytes = encode(&new.user).unwrap();
            assert_eq!(decode("somebody-else", &bytes), None);
            assert_eq!(decode(new.user.id.as_str(), &bytes), Some(new.user));
            assert!(!String::from_utf8(bytes).unwrap().contains("argon2"), "no hash of a password");
        }
    }

    #[test]
    fn what_is_no_user_of_this_version_is_no_copy() {
        let user = crate::demo::users().remove(0).user;
        let text = String::from_utf8(encode(&user).unwrap()).unwrap();
        let with_more = text.replacen('{', "{\"shoe_size\":43,", 1);
        let with_less = text.replacen("\"is_active\":true,", "", 1);
        assert_ne!(text, with_less);
        for wrong in [&*with_more, &*with_less, "", "null", "{", "\u{0}"] {
            assert_eq!(decode(user.id.as_str(), wrong.as_bytes()), None, "{wrong}");
        }
    }
}
