//! Who may order, asked in such a way that a repeated request is answered all the same (I2, I7).
//!
//! An order that was placed is settled whatever has become of its user since: the user service may be away, slow, or
//! say no. So before any such answer reaches the client, the order service is asked what the key stands for. A request
//! whose user may order costs nothing more: the unit that stores its order looks the key up itself.

use crate::upstream::Upstream;
use std::{pin::pin, time::Duration};
use tokio::time::timeout;
use waypost_api::{
    Error, ErrorCode, UserId,
    attributes::USER_ID,
    order::v1::{GetOrderByKeyRequest, Order},
    user::v1::{GetUserRequest, User},
};
use waypost_resilience::deadline;
use waypost_telemetry::span;

/// How long the user service may take before the key is looked up meanwhile. Many times what it takes when it is well.
const SLOW: Duration = Duration::from_millis(250);

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
