//! An order that was accepted by a call whose connection broke: the gateway asks again by itself, and its client is told of
//! the order.

use waypost_testkit::proxy::{Fault, Script};
use waypost_testkit::until;

use crate::alone;
use crate::course::Purchase;
use crate::shop::{Kind, PLENTY, on_each_kind, prepared};
use crate::verdict::everything_is_right;

on_each_kind! { an_order_whose_answer_was_lost_is_answered_all_the_same }

async fn an_order_whose_answer_was_lost_is_answered_all_the_same(kind: Kind) {
    let _alone = alone().await;
    let mut roles = prepared(&kind, 0..2, &[]).await;
    roles.start_all().await.unwrap();
    let gateway = roles.gateway();
    let first = Purchase::of(0, 1, "user123", PLENTY, 1).placed(&gateway).await;
    let scripts = [
        ("gateway-order", "/CreateOrder", vec![Fault::Abandon, Fault::Hold]),
        // So that the order still runs when it is asked for again.
        ("order-payment", "/Authorize", vec![Fault::Hold; 200]),
    ];
    for (link, call, faults) in scripts {
        roles.weather().script(Script { seed: 1, link, call, faults });
    }
    roles.weather().set_foul(true);

    let mut purchase = Purchase::of(1, 1, "user123", PLENTY, 1).ending("completed");
    let told = async { purchase.send(&gateway, "9000").await.cloned() };
    let meanwhile = async {
        let held = || {
            let seen = roles.seen(1, 1).into_iter().filter(|seen| seen.fault == Fault::Hold);
            seen.map(|seen| seen.link).collect::<Vec<_>>()
        };
        until("the order to run and to be asked for again", async || {
            let held = held();
            ["gateway-order", "order-payment"].iter().all(|link| held.iter().any(|other| other == link))
        })
        .await;
        roles.weather().let_go();
    };
    let (told, ()) = tokio::join!(told, meanwhile);
    let told = told.unwrap();
    assert!(matches!(told.status, 201 | 202), "{}", told.summary());
    assert!(told.order.is_some() && !told.is_replay, "{}", told.summary());
    roles.weather().set_foul(false);
    everything_is_right(&roles, vec![first, purchase]).await;
}
