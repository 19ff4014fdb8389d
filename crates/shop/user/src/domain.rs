//! What a user is. Pure.

use waypost_api::{TenantId, UserId};

/// Somebody who orders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The user's id.
    pub id: UserId,
    /// The name to address the user by.
    pub name: String,
    /// Where messages go.
    pub email: String,
    /// Operators see every order.
    pub is_admin: bool,
    /// A user that is not active may not order.
    pub is_active: bool,
    /// The provider's token of the means of payment.
    pub payment_method: String,
    /// Whose customer the user is.
    pub tenant: TenantId,
}

/// A user to be stored, with the hash of the password.
#[derive(Clone)]
pub struct NewUser {
    /// The user.
    pub user: User,
    /// PHC string of the password.
    pub password_hash: String,
}

impl std::fmt::Debug for NewUser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewUser").field("user", &self.user).finish_non_exhaustive()
    }
}
