//! Single faults at the places where they hurt most, each for an order of its own.

use std::time::Duration;

use futures_util::future::join_all;
use http::StatusCode;
use waypost_testkit::Roles;
use waypost_testkit::audit::Order;
use waypost_testkit::proxy::{Fault, Form, Refusal, Script};

use crate::course::Purchase;
use crate::shop::{Kind, PLENTY, on_each_kind};
use crate::verdict::everything_is_right;
use crate::{alone, shop};

/// How long stock is held here.
const HOLD: Duration = Duration::from_secs(2);

/// A fault and how its order has to end.
struct Case {
    claim: &'static str,
    link: &'static str,
    call: &'static str,
    faults: Vec<Fault>,
    end: &'static str,
}

fn case(
    claim: &'static str,
    (link, call): (&'static str, &'static str),
    faults: Vec<Fault>,
    end: &'static str,
) -> Case {
    Case { claim, link, call, faults, end }
}

const AUTHORIZE: (&str, &str) = ("order-payment", "/Authorize");
const CHARGE: (&str, &str) = ("payment-provider", "POST /v1/charges");

fn cases() -> Vec<Case> {
    let (lose, refuse) = (Fault::LoseAnswer, |status| Fault::Refuse(bare(status)));
    let late = |milliseconds| Fault::LateRequest(Duration::from_millis(milliseconds));
    let for_long = |first: Fault, then: Fault| [vec![first], vec![then; 200]].concat();
    vec![
        case(
            "an authorisation whose answer was lost is not refused",
            AUTHORIZE,
            vec![lose, refuse(403)],
            "completed",
        ),
        case(
            "a capture whose answer was lost is not refused",
            ("order-payment", "/Capture"),
            vec![lose, refuse(404)],
            "completed",
        ),
        case(
            "stock whose taking was not answered is not refused",
            ("order-inventory", "/Commit"),
            vec![lose, refuse(403)],
            "completed",
        ),
        case("a charge that still runs is not declined", CHARGE, vec![late(1200), refuse(409)], "completed"),
        case("a provider that does not let us in declines nobody", CHARGE, vec![refuse(401)], "completed"),
        case(
            "a charge that comes late is looked for again",
            CHARGE,
            for_long(late(12_000), refuse(503)),
            "failed",
        ),
        case(
            "a failed order is not to be tried again",
            AUTHORIZE,
            for_long(refuse(503), refuse(503)),
            "failed",
        ),
        case(
            "an order that was accepted is not refused on its way back",
            ("gateway-order", "/CreateOrder"),
            vec![Fault::Mask(bare(403))],
            "completed",
        ),
        case(
            "a settled order is answered without asking for its user",
            ("gateway-user", "/GetUser"),
            vec![Fault::None, refuse(403)],
            "completed",
        ),
    ]
}

fn bare(status: u16) -> Refusal {
    Refusal { status: StatusCode::from_u16(status).unwrap(), form: Form::Bare }
}

on_each_kind! { orders_are_right_after_a_fault_at_the_worst_place }

mod on_one_file {
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn orders_are_right_after_a_fault_at_the_worst_place() {
        super::orders_are_right_after_a_fault_at_the_worst_place(crate::shop::Kind::OneFile).await;
    }
}

async fn orders_are_right_after_a_fault_at_the_worst_place(kind: Kind) {
    let _alone = alone().await;
    let mut roles = shop::prepared(&kind, 101..102, &[("order.hold_time", "2s")]).await;
    roles.start_all().await.unwrap();
    let gateway = roles.gateway();
    let mut purchases = Vec::new();
    // Seed 0 has no script and is for finding out that everything is connected.
    for (seed, case) in (1..).zip(cases()) {
        let Case { claim, link, call, faults, end } = case;
        println!("SEED={seed}: {claim}");
        roles.weather().script(Script { seed, link, call, faults });
        purchases.push(Purchase::of(seed, 1, "user123", PLENTY, 1).replaying().ending(end));
    }
    purchases.extend(rivals(&roles));
    let first = Purchase::of(0, 1, "user123", PLENTY, 1).placed(&gateway).await;
    roles.weather().set_foul(true);
    let placed = purchases.into_iter().map(|purchase| purchase.placed(&gateway));
    let purchases = join_all(placed).await;
    // The faults are there for as long as any order may meet them; what never ends is found by the verdict.
    let ended = async {
        while !roles.data().books().await.unwrap().orders.values().all(Order::is_settled) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let _ = tokio::time::timeout(Duration::from_secs(15), ended).await;
    everything_is_right(&roles, purchases.into_iter().chain([first]).collect()).await;
}

/// An order whose stock is not taken until its hold has run out, and others that wait for that stock. One of them gets
/// it. When it is another one, the first was paid for and is given its money back, which the provider refuses once.
fn rivals(roles: &Roles) -> Vec<Purchase> {
    let (slow, waiting) = (101, 102);
    println!("SEED={slow}: a refund that was refused once is made all the same; SEED={waiting}: its rivals");
    let late = vec![Fault::LateRequest(2 * HOLD); 4];
    let refused = vec![Fault::Refuse(bare(409))];
    let scripts = [
        Script { seed: slow, link: "order-inventory", call: "/Commit", faults: late },
        Script { seed: slow, link: "payment-provider", call: "/refunds", faults: refused },
        Script { seed: waiting, link: "order-inventory", call: "/Commit", faults: Vec::new() },
    ];
    for script in scripts {
        roles.weather().script(script);
    }
    let rival = |number: u32| {
        let begins = HOLD + Duration::from_millis(250) * (number - 1);
        Purchase::of(waiting, number, "user123", &shop::tight(slow), 2).beginning_after(begins)
    };
    let first = Purchase::of(slow, 1, "user123", &shop::tight(slow), 2).replaying();
    [first].into_iter().chain((1..=6).map(rival)).collect()
}
