//! A role stops for longer than its leases and holds last, and goes on as if nothing had been.
//!
//! What it had in hand is late then, and what others sent it meanwhile lies in its sockets: both happen long after
//! their callers gave up.

use std::time::Duration;

use waypost_testkit::Role;

use crate::kills::Load;
use crate::shop::{Kind, on_each_kind};
use crate::verdict::everything_is_right;
use crate::{alone, shop};

/// Longer than the lease of an order (1 s here), a hold on stock (2 s) and every time-out between two roles.
const PAUSE: Duration = Duration::from_secs(5);
/// Longer than the lease of a consumer, which is 10 s.
const LONG_PAUSE: Duration = Duration::from_secs(13);

on_each_kind! { orders_are_right_after_a_role_slept_past_its_leases }

async fn orders_are_right_after_a_role_slept_past_its_leases(kind: Kind) {
    let _alone = alone().await;
    let short = [("order.lease", "1s"), ("order.hold_time", "2s")];
    let mut roles = shop::prepared(&kind, 0..5000, &short).await;
    roles.start_all().await.unwrap();
    let load = Load::start(&roles);
    for role in Role::ALL {
        tokio::time::sleep(Duration::from_secs(1)).await;
        roles.signal(role, "STOP").unwrap();
        // The length is the subject of the test, not a wait for a state.
        tokio::time::sleep(if role == Role::Notification { LONG_PAUSE } else { PAUSE }).await;
        roles.signal(role, "CONT").unwrap();
    }
    let purchases = load.stop().await;
    everything_is_right(&roles, purchases).await;
}
