//! The data of a shop in files goes to a PostgreSQL server with orders under way and one that is parked; there they go on.

use futures_util::future::join_all;
use http::StatusCode;
use serde_json::Value;
use waypost_test_servers::postgres::Database;
use waypost_testkit::proxy::{Fault, Form, Refusal, Script};
use waypost_testkit::{Client, Role, Roles, until};

use crate::alone;
use crate::course::{Purchase, Told};
use crate::kills::Load;
use crate::shop::{Kind, PLENTY, prepared, tight};
use crate::verdict::everything_is_right;

/// Whose order is parked.
const PARKED: u64 = 9000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_go_on_and_keys_replay_after_the_data_was_moved_to_a_server() {
    let _alone = alone().await;
    let patient = [("order.stuck_retry", "1s"), ("order.steps.undo_attempts", "2")];
    let mut roles = prepared(&Kind::Sqlite, 0..5000, &patient).await;
    roles.start_all().await.unwrap();
    let gateway = roles.gateway();
    let refused = Fault::Refuse(Refusal { status: StatusCode::from_u16(403).unwrap(), form: Form::Bare });
    let script = Script { seed: PARKED, link: "order-payment", call: "/Void", faults: vec![refused; 500] };
    roles.weather().script(script);

    let settled = (1..=6).map(|number| {
        let user = ["user-declined", "user123", "user-admin"][number as usize % 3];
        Purchase::of(8000, number, user, PLENTY, 1).placed(&gateway)
    });
    let settled = join_all(settled).await;
    assert!(settled.iter().all(|purchase| purchase.settled().is_some()), "{settled:#?}");
    roles.weather().set_foul(true);
    // More than there is of it: what was authorised cannot be given back.
    let mut parked = Purchase::of(PARKED, 1, "user123", &tight(7), 9);
    parked.send(&gateway, "300").await;
    until("an order that is parked", async || stuck_of(&roles).await >= 1.0).await;

    // Killed with orders under way.
    let load = Load::start(&roles);
    until("orders under way", async || under_way(&roles).await > 4).await;
    let (seen, next) = (seen(&gateway, &settled).await, next_page(&gateway).await);
    let on_next = shown(&gateway, &next).await;
    roles.kill_all().await.unwrap();
    let running = under_way(&roles).await;
    println!("{running} orders were under way");
    assert!(running > 1, "nothing was at stake");

    let (database, folder) = (Database::create(), tempfile::tempdir().unwrap());
    let export = folder.path().join("export").display().to_string();
    let exported = roles.command(&["export", &export]).await.unwrap();
    assert!(exported.status.success(), "{}", exported.output);
    roles.keep_on_postgres(&database.url()).unwrap();
    let imported = roles.command(&["import", &export]).await.unwrap();
    assert!(imported.status.success(), "{}", imported.output);
    println!("{}", imported.output);
    roles.start_all().await.unwrap();

    assert_eq!(self::seen(&gateway, &settled).await, seen);
    assert_eq!(shown(&gateway, &next).await, on_next, "a token that was given out before");
    until("an order that is parked there as well", async || stuck_of(&roles).await >= 1.0).await;
    roles.weather().set_foul(false);
    until("the end of the order that was parked", async || {
        parked.send(&gateway, "1500").await.is_some_and(Told::is_settled)
    })
    .await;
    let placed_before_and_after = load.stop().await;
    everything_is_right(&roles, placed_before_and_after.into_iter().chain(settled).chain([parked]).collect())
        .await;
}

async fn under_way(roles: &Roles) -> usize {
    roles.data().books().await.unwrap().orders.values().filter(|order| !order.is_settled()).count()
}

/// What clients are shown of some orders: each of them, and pages of the list.
async fn seen(gateway: &Client, purchases: &[Purchase]) -> Vec<Value> {
    let mut seen = Vec::new();
    for purchase in purchases {
        let order = purchase.settled().and_then(|told| told.order.clone()).unwrap();
        seen.push(shown(gateway, &format!("/api/orders/{order}")).await);
    }
    let mut page = shown(gateway, LIST).await;
    page["next_page_token"].take();
    seen.push(page);
    seen
}

/// The orders of a user who places none meanwhile, one a page.
const LIST: &str = "/api/orders?user_id=user-admin&limit=1";

async fn next_page(gateway: &Client) -> String {
    let page = shown(gateway, LIST).await;
    format!("{LIST}&page_token={}", page["next_page_token"].as_str().unwrap())
}

async fn shown(gateway: &Client, path: &str) -> Value {
    let answer = gateway.get(path).await.unwrap();
    assert_eq!(answer.status, 200, "{path}: {}", answer.json);
    answer.json
}

/// How many orders are parked, by the page of metrics.
async fn stuck_of(roles: &Roles) -> f64 {
    let page = roles.admin(Role::Order).unwrap().get("/metrics").await.unwrap();
    let page = String::from_utf8_lossy(&page.bytes).into_owned();
    let line = page.lines().find(|line| line.starts_with("waypost_saga_stuck{"));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or_default()
}
