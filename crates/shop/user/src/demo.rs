//! The demo users. Each means of payment makes the provider tell another story.

use waypost_api::UserId;

use crate::domain::{NewUser, User};

/// The password of every demo user.
pub const DEMO_PASSWORD: &str = "waypost-demo";

/// Argon2id of [`DEMO_PASSWORD`], made beforehand: hashing it at every first start would cost a tenth of a second.
pub(crate) const DEMO_PASSWORD_HASH: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$LjMCDkUysjFzOWS4cXq+EQ$pgR1xhgP1KnnnTwgPOVqwMizsySj4ktzlrOpL+MumPA";

/// Id, name, means of payment, whether active, whether admin.
const USERS: [(&str, &str, &str, bool, bool); 7] = [
    ("user123", "Ada", "pm_card_ok", true, false),
    ("user-admin", "Grace", "pm_card_ok", true, true),
    ("user-declined", "Edsger", "pm_card_declined", true, false),
    ("user-slow", "Barbara", "pm_card_slow", true, false),
    ("user-timeout", "Leslie", "pm_card_timeout_after", true, false),
    ("user-timeout-before", "Tony", "pm_card_timeout_before", true, false),
    ("user-inactive", "Alan", "pm_card_ok", false, false),
];

/// The demo users.
pub(crate) fn users() -> Vec<NewUser> {
    let user = |(id, name, payment_method, is_active, is_admin): (&str, &str, &str, bool, bool)| {
        let user = User {
            id: UserId::parse(id).ok()?,
            name: name.to_owned(),
            email: format!("{}@example.com", name.to_lowercase()),
            is_admin,
            is_active,
            payment_method: payment_method.to_owned(),
            tenant: "demo".parse().ok()?,
        };
        Some(NewUser { user, password_hash: DEMO_PASSWORD_HASH.to_owned() })
    };
    USERS.into_iter().filter_map(user).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::password::verify;

    #[test]
    fn the_demo_hash_is_that_of_the_demo_password() {
        assert!(verify(DEMO_PASSWORD, DEMO_PASSWORD_HASH));
        assert!(!verify("waypost-demo ", DEMO_PASSWORD_HASH));
    }

    #[test]
    fn every_demo_user_is_valid() {
        assert_eq!(users().len(), USERS.len());
    }
}
