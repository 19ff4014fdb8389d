//! A shop of seven processes whose times are short enough for a test to outwait.

use std::ops::Range;

use rusqlite::Connection;
use waypost_testkit::Roles;

/// What one piece of any of our products costs.
pub(crate) const PRICE: u32 = 10;
/// A product that never runs out.
pub(crate) const PLENTY: &str = "prod-plenty";
/// Pieces there are of each seed's own product.
const TIGHT_STOCK: i64 = 3;

const SETTINGS: [(&str, &str); 27] = [
    ("runtime.worker_threads", "1"),
    ("user.seed", "true"),
    ("gateway.auth", "demo"),
    ("gateway.rate_limit.enabled", "false"),
    // The trace id of a request tells the proxies which seed it belongs to.
    ("gateway.continue_traces", "true"),
    ("gateway.budget", "1500ms"),
    ("order.lease", "2s"),
    ("order.sweep_interval", "200ms"),
    ("order.stuck_retry", "500ms"),
    // Short enough to run out under an order that has trouble, and to be taken anew.
    ("order.hold_time", "4s"),
    ("order.steps.attempt_timeout", "800ms"),
    ("order.steps.budget", "8s"),
    ("order.steps.longest_pause", "300ms"),
    ("inventory.sweep_interval", "200ms"),
    ("payment.provider.timeout", "600ms"),
    ("payment.provider.connect_timeout", "200ms"),
    ("payment.review.interval", "200ms"),
    ("payment.review.unknown_after", "900ms"),
    ("payment.review.authorized_after", "5s"),
    // A proxy may hold a charge back longer than this: a late one is to be looked for more than once.
    ("payment.review.late_charge_after", "1s"),
    ("payment.review.give_up_after", "20s"),
    ("payment.review.longest_pause", "2s"),
    ("provider.faults.slow", "500ms"),
    ("provider.faults.hang", "1200ms"),
    ("health.interval", "500ms"),
    ("drain.grace", "5s"),
    ("telemetry.logs.filter", "warn,waypost=info"),
];

/// The product of a seed, of which there are few.
pub(crate) fn tight(seed: u64) -> String {
    format!("prod-tight-{seed}")
}

/// The roles, prepared and not started, with the stock for these seeds; `more` settings win.
pub(crate) async fn prepared(seeds: Range<u64>, more: &[(&str, &str)]) -> Roles {
    let settings = [&SETTINGS[..], more].concat();
    let roles = Roles::prepare(env!("CARGO_BIN_EXE_waypost"), &settings).await.unwrap();
    let mut inventory = Connection::open(roles.data().join("inventory.db")).unwrap();
    let unit = inventory.transaction().unwrap();
    receive(&unit, PLENTY, 1_000_000);
    for seed in seeds {
        receive(&unit, &tight(seed), TIGHT_STOCK);
    }
    unit.commit().unwrap();
    roles
}

fn receive(inventory: &Connection, product: &str, pieces: i64) {
    let price = i64::from(PRICE) * 10_000;
    inventory.execute("INSERT INTO products VALUES (?1, ?1, ?2, 'USD')", (product, price)).unwrap();
    inventory.execute("INSERT INTO stock VALUES (?1, ?2, 0)", (product, pieces)).unwrap();
    let movement =
        "INSERT INTO stock_movements (product_id, kind, quantity, at) VALUES (?1, 'received', ?2, 0)";
    inventory.execute(movement, (product, pieces)).unwrap();
}
