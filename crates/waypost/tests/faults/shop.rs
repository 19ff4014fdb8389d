//! A shop of seven processes, or of one, whose times are short enough for a test to outwait.

use std::ops::Range;

use rusqlite::Connection;
use waypost_test_servers::postgres::{Database, execute};
use waypost_testkit::{Data, Roles, database};

/// Runs each test with the data in files and on a PostgreSQL server.
macro_rules! on_each_kind {
    ($($test:ident)*) => {
        mod on_sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() { super::$test(crate::shop::Kind::Sqlite).await; }
            )*
        }

        mod on_postgres {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() { super::$test(crate::shop::Kind::postgres()).await; }
            )*
        }
    };
}
pub(crate) use on_each_kind;

/// Where the roles of a test keep their data.
pub(crate) enum Kind {
    /// In a file for each role, which is a process of its own.
    Sqlite,
    /// In one file, of one process that has every role.
    OneFile,
    /// In a database of the test's own on a server that all tests share.
    Postgres(Database),
    /// On a server of the test's own, by its URL.
    OwnServer(String),
}

impl Kind {
    pub(crate) fn postgres() -> Kind {
        Kind::Postgres(Database::create())
    }

    /// How much of a test runs, of so much: on the other kinds less, as what differs is the store and not the roles.
    pub(crate) fn share(&self, of: u64) -> u64 {
        match self {
            Kind::Sqlite => of,
            Kind::OneFile | Kind::Postgres(_) | Kind::OwnServer(_) => of.div_ceil(4),
        }
    }
}

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
    ("order.steps.max_pause", "300ms"),
    ("inventory.sweep_interval", "200ms"),
    ("payment.provider.timeout", "600ms"),
    ("payment.provider.connect_timeout", "200ms"),
    ("payment.review.interval", "200ms"),
    ("payment.review.unknown_after", "900ms"),
    ("payment.review.authorized_after", "5s"),
    // A proxy may hold a charge back longer than this: a late one is to be looked for more than once.
    ("payment.review.late_charge_after", "1s"),
    ("payment.review.give_up_after", "20s"),
    ("payment.review.max_pause", "2s"),
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
pub(crate) async fn prepared(kind: &Kind, seeds: Range<u64>, more: &[(&str, &str)]) -> Roles {
    let (binary, settings) = (env!("CARGO_BIN_EXE_waypost"), [&SETTINGS[..], more].concat());
    let roles = match kind {
        Kind::Sqlite => Roles::prepare(binary, &settings).await,
        Kind::OneFile => Roles::prepare_together(binary, &settings).await,
        Kind::Postgres(database) => Roles::prepare_on_postgres(binary, &database.url(), &settings).await,
        Kind::OwnServer(url) => Roles::prepare_on_postgres(binary, url, &settings).await,
    };
    let roles = roles.unwrap();
    match roles.data() {
        Data::Folder(folder) => {
            let inventory = Connection::open(database(folder, "inventory")).unwrap();
            inventory.execute_batch(&format!("BEGIN; {}; COMMIT", receipt(seeds, "0"))).unwrap();
        }
        Data::Server { url, .. } => {
            let receipt = receipt(seeds, "to_timestamp(0)");
            execute(url, format!("SET search_path = waypost_inventory; {receipt}")).unwrap();
        }
    }
    roles
}

/// What puts our products into stock, as if it had come in 1970.
pub(crate) fn receipt(seeds: Range<u64>, epoch: &str) -> String {
    let few = seeds.map(|seed| (tight(seed), TIGHT_STOCK));
    let stock: Vec<(String, i64)> = few.chain([(PLENTY.to_owned(), 1_000_000)]).collect();
    let price = i64::from(PRICE) * 10_000;
    let rows = |row: &dyn Fn(&str, i64) -> String| {
        stock.iter().map(|(product, pieces)| row(product, *pieces)).collect::<Vec<_>>().join(", ")
    };
    let insert = |into: &str, rows: String| format!("INSERT INTO {into} VALUES {rows}");
    let products = rows(&|product, _| format!("('{product}', '{product}', {price}, 'USD')"));
    let on_hand = rows(&|product, pieces| format!("('{product}', {pieces}, 0)"));
    let movements = rows(&|product, pieces| format!("('{product}', 'received', {pieces}, {epoch})"));
    [
        insert("products", products),
        insert("stock", on_hand),
        insert("stock_movements (product_id, kind, quantity, at)", movements),
    ]
    .join("; ")
}
