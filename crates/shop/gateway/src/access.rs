//! Who may do what: one table, route by role.
//!
//! The table is the truth for the layer that refuses anonymous callers, for the handlers that ask whether the
//! caller may act for a user, for the OpenAPI document and for the tests that try every route with every role. The
//! gateway does not start with a route that has no row.

use waypost_api::ErrorCode;

/// What a role may do on a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may.
    Allow,
    /// It must log in (401), but where `gateway.auth = demo`: there it acts for the user that the request names.
    LogIn,
    /// It may not (403). Used where the request itself names whose data it wants, so nothing is given away.
    Forbid,
    /// It is told that there is nothing (404), as even the existence of the thing is not its business.
    Hide,
}

/// Who a caller is in relation to what a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Sent no token.
    Anonymous,
    /// The user whom the thing belongs to.
    Owner,
    /// Another user.
    Other,
    /// An operator.
    Admin,
}

/// One route.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The method.
    pub method: &'static str,
    /// The path as the router and the OpenAPI document write it.
    pub path: &'static str,
    /// For [`Role::Anonymous`].
    pub anonymous: Verdict,
    /// For [`Role::Owner`].
    pub owner: Verdict,
    /// For [`Role::Other`].
    pub other: Verdict,
    /// For [`Role::Admin`].
    pub admin: Verdict,
    /// What can go wrong on this route beyond what can on every route.
    pub errors: &'static [ErrorCode],
}

impl Row {
    /// The verdict for a role.
    pub const fn verdict(&self, role: Role) -> Verdict {
        match role {
            Role::Anonymous => self.anonymous,
            Role::Owner => self.owner,
            Role::Other => self.other,
            Role::Admin => self.admin,
        }
    }

    /// True when the route reads a body: then, and only then, the body can be too large for it.
    pub fn takes_body(&self) -> bool {
        self.errors.contains(&ErrorCode::PayloadTooLarge)
    }

    /// Open to all; a token is not even looked at, so that a stale one cannot lock its owner out of the login.
    pub fn is_public(&self) -> bool {
        [self.anonymous, self.owner, self.other, self.admin].iter().all(|verdict| *verdict == Verdict::Allow)
    }
}

use ErrorCode as E;
use Verdict::{Allow, Forbid, Hide, LogIn};

/// Every route.
#[rustfmt::skip]
pub const TABLE: &[Row] = &[
    //   route                                anonymous owner  other   admin
    row("POST", "/api/orders",                [LogIn,   Allow, Forbid, Allow], &[
        E::InvalidRequest, E::UnknownField, E::MalformedJson, E::AmountMismatch, E::IdempotencyKeyRequired,
        E::UserInactive, E::UserNotFound, E::ProductNotFound, E::OutOfStock, E::PriceChanged, E::PaymentDeclined,
        E::IdempotencyKeyInUse, E::IdempotencyKeyReused, E::OrderFailed, E::ReservationExpired,
        E::PayloadTooLarge, E::UnsupportedMediaType, E::BodyTimeout,
    ]),
    row("GET",  "/api/orders",                [LogIn,   Allow, Forbid, Allow], &[
        E::InvalidRequest, E::InvalidPageToken,
    ]),
    row("GET",  "/api/orders/{id}",           [LogIn,   Allow, Hide,   Allow], &[E::OrderNotFound]),
    row("POST", "/api/orders/{id}/cancel",    [LogIn,   Allow, Hide,   Allow], &[
        E::OrderNotFound, E::OrderNotCancellable,
    ]),
    row("GET",  "/api/users/{id}",            [LogIn,   Allow, Forbid, Allow], &[E::UserNotFound]),
    row("GET",  "/api/products/{id}",         [Allow,   Allow, Allow,  Allow], &[E::ProductNotFound]),
    row("POST", "/api/login",                 [Allow,   Allow, Allow,  Allow], &[
        E::InvalidRequest, E::MalformedJson, E::BadCredentials,
        E::PayloadTooLarge, E::UnsupportedMediaType, E::BodyTimeout,
    ]),
    row("GET",  "/api/health",                [Allow,   Allow, Allow,  Allow], &[]),
    row("GET",  "/api/openapi.json",          [Allow,   Allow, Allow,  Allow], &[]),
    row("GET",  "/api/docs",                  [Allow,   Allow, Allow,  Allow], &[]),
    row("GET",  "/api/docs/{file}",           [Allow,   Allow, Allow,  Allow], &[E::NotFound]),
    row("GET",  "/docs/errors",               [Allow,   Allow, Allow,  Allow], &[]),
];

const fn row(
    method: &'static str,
    path: &'static str,
    [anonymous, owner, other, admin]: [Verdict; 4],
    errors: &'static [ErrorCode],
) -> Row {
    Row { method, path, anonymous, owner, other, admin, errors }
}

/// The row of a route. A HEAD request is a GET without the body.
pub fn find(method: &str, path: &str) -> Option<&'static Row> {
    let method = if method == "HEAD" { "GET" } else { method };
    TABLE.iter().find(|row| row.method == method && row.path == path)
}
