//! An order is taken over while a call of the runner before is still on its way.

use std::time::Duration;

use http::StatusCode;
use waypost_testkit::audit::Books;
use waypost_testkit::proxy::{Fault, Form, Refusal, Script};
use waypost_testkit::{Role, until};

use crate::course::Purchase;
use crate::shop::PLENTY;
use crate::verdict::everything_is_right;
use crate::{alone, shop};

/// Tries of a step in one round.
const ATTEMPTS: usize = 2;
/// Longer than it takes to start the order service and to end an order with it.
const LATE: Duration = Duration::from_secs(15);

/// The first runner cannot reserve, turns back and voids the payment; the void is held up and the runner dies before its
/// turning back is durable. The second one can reserve, captures, takes the stock, and the order is completed. Then the
/// void arrives: without the fence it gives the money back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_call_of_a_runner_that_was_replaced_has_no_effect() {
    let _alone = alone().await;
    let attempts = ATTEMPTS.to_string();
    let mut roles = shop::prepared(0..1, &[("order.steps.attempts", attempts.as_str())]).await;
    roles.start_all().await.unwrap();
    let gateway = roles.gateway();
    // Until everything is connected.
    let first = Purchase::of(0, 1, "user123", PLENTY, 1).placed(&gateway).await;
    let unavailable = Refusal { status: StatusCode::SERVICE_UNAVAILABLE, form: Form::Bare };
    let refused = vec![Fault::Refuse(unavailable); ATTEMPTS];
    let held = vec![Fault::LateRequest(LATE); 8];
    for (link, call, faults) in [("order-inventory", "/Reserve", refused), ("order-payment", "/Void", held)] {
        roles.weather().script(Script { seed: 1, link, call, faults });
    }
    roles.weather().set_foul(true);

    let purchase = Purchase::of(1, 1, "user123", PLENTY, 1).ending("completed");
    let placing = {
        let gateway = roles.gateway();
        waypost_telemetry::spawn(async move { purchase.placed(&gateway).await })
    };
    until("the first runner to void", async || {
        roles.seen(1, 1).iter().any(|seen| seen.call.ends_with("/Void"))
    })
    .await;
    roles.kill(Role::Order).await.unwrap();
    roles.start(Role::Order).await.unwrap();
    until("the second runner to complete the order", async || {
        Books::read(&roles.data()).unwrap().orders.values().all(|order| order.status == "completed")
    })
    .await;
    assert!(!roles.is_idle(), "the void is still held up");
    let placed = placing.await.unwrap();
    everything_is_right(&roles, vec![first, placed]).await;
}
