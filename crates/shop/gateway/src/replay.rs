//! Who may order, asked in such a way that a repeated request is answered all the same (I2, I7).
//!
//! An order that was placed is settled whatever has become of its user since: the user service may be away, slow, or
//! say no. So before any such answer reaches the client, the order service is asked what the key stands for. A request
//! whose user may order costs nothing more: the unit that stores its order looks the key up itself.
//!
//! The same holds for a gateway that has too much to do and a caller that has used its rate up: a request with a key is not
//! refused before the key was looked up ([`KnownOnly`]). Both have bounds of their own: so many lookups at once, and as
//! many repeated requests of a caller as it may send new ones. Who asks must be known all the same: without a token where
//! one is needed, or with one that is refused, nothing is looked up.

use crate::{edge::Edge, idempotency, problem::Refusal, upstream::Upstream};
use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, Method, request::Parts},
};
use std::{convert::Infallible, pin::pin, time::Duration};
use tokio::time::timeout;
use waypost_api::{
    Error, ErrorCode, UserId,
    attributes::USER_ID,
    order::v1::{GetOrderByKeyRequest, Order},
    user::v1::{GetUserRequest, User},
};
use waypost_resilience::{deadline, shed::LookUpOnly};
use waypost_telemetry::span;

/// How long the user service may take before the key is looked up meanwhile. Many times what it takes when it is well.
const SLOW: Duration = Duration::from_millis(250);

/// When a client should come back whose request finds no place and no answer.
const OVERLOADED_RETRY_AFTER: Duration = Duration::from_secs(1);

/// Whether a request may be one that was answered before.
pub(crate) fn may_be_one(method: &Method, path: &str, headers: &HeaderMap) -> bool {
    method == Method::POST && path == "/api/orders" && headers.contains_key(idempotency::HEADER)
}

/// In the extensions of a request that is to be refused with this unless its key has an answer.
#[derive(Clone, Debug)]
pub(crate) struct Unless(pub(crate) Refusal);

/// Whether a request may be answered only what is known already, and what it is refused with otherwise.
#[derive(Clone, Debug)]
pub(crate) struct KnownOnly(pub(crate) Option<Refusal>);

impl FromRequestParts<Edge> for KnownOnly {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &Edge) -> Result<KnownOnly, Infallible> {
        if let Some(Unless(refusal)) = parts.extensions.remove() {
            return Ok(KnownOnly(Some(refusal)));
        }
        let is_too_much = parts.extensions.get::<LookUpOnly>().is_some();
        let overloaded = || Error::of(ErrorCode::Overloaded).with_retry_after(OVERLOADED_RETRY_AFTER).into();
        Ok(KnownOnly(is_too_much.then(overloaded)))
    }
}

/// The settled order that a key stands for, or what its request is refused with.
pub(crate) async fn known_order(
    upstream: &Upstream,
    by_key: Option<GetOrderByKeyRequest>,
    refusal: Refusal,
) -> Result<Order, Refusal> {
    let Some(by_key) = by_key else { return Err(refusal) };
    match upstream.order_by_key(by_key).await {
        Ok(Some(order)) => Ok(order),
        Err(error) if is_about_the_key(error.code) => Err(error.into()),
        Ok(None) | Err(_) => Err(refusal),
    }
}

/// What is known before an order is created.
pub(crate) enum Found {
    /// The user may order.
    User(User),
    /// The order has been placed before, and is settled.
    Order(Order),
}

/// The user who orders, or the order that the key stands for. `by_key` is absent when the client sent no key.
pub(crate) async fn user_or_order(
    upstream: &Upstream,
    user_id: &UserId,
    by_key: Option<GetOrderByKeyRequest>,
) -> Result<Found, Error> {
    let user = check_user(upstream, user_id);
    let Some(by_key) = by_key else { return user.await.map(Found::User) };
    let mut user = pin!(user);
    let slow = deadline::remaining().map_or(SLOW, |left| (left / 4).min(SLOW));
    let checked = match timeout(slow, &mut user).await {
        Ok(checked) => checked,
        Err(_) => match upstream.order_by_key(by_key.clone()).await {
            Ok(Some(order)) => return Ok(Found::Order(order)),
            Err(error) if is_about_the_key(error.code) => return Err(error),
            // New, or not to be had now: the order service is asked again with the order itself.
            Ok(None) | Err(_) => user.await,
        },
    };
    match checked {
        Ok(user) => Ok(Found::User(user)),
        // An error of this call counts more than that of the user: whether there is an order is not known.
        Err(error) => upstream.order_by_key(by_key).await?.map(Found::Order).ok_or(error),
    }
}

/// The user exists and may order.
async fn check_user(upstream: &Upstream, user_id: &UserId) -> Result<User, Error> {
    let check = async {
        let user = upstream.user(GetUserRequest { user_id: user_id.to_string() }).await?;
        if user.is_active { Ok(user) } else { Err(Error::of(ErrorCode::UserInactive)) }
    };
    span("check-user").attr(USER_ID, user_id).run(check).await
}

fn is_about_the_key(code: ErrorCode) -> bool {
    matches!(code, ErrorCode::IdempotencyKeyInUse | ErrorCode::IdempotencyKeyReused)
}
