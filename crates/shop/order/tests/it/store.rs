//! The contract of a store, run on each of them.

use std::{ops::Deref, sync::Arc, time::Duration};
use uuid::Uuid;
use waypost_api::{Charge, Currency, ErrorCode, Money, OrderId, OrderStatus, Timestamp, UserId};
use waypost_durable::{
    Epoch, Files, SharedFile,
    clock::ManualClock,
    idempotency::Key,
    outbox::{self, Outbox},
    postgres::testing::{self, ServerClock, TestClock},
    saga::{Ending, Entry, Phase},
};
use waypost_order::{
    domain::{CONFIRM, Cursor, Fact, Order, Origin, Refusal, TokenKey, Viewer},
    store::{
        Cancelling, Kept, Lease, Placed, Placement, PostgresStore, Progress, SqliteStore, Store, Taken,
        operator::{Abandonment, Action, ActionKind, Outcome},
        runner_name,
    },
};
use waypost_service::operator::Asked;
use waypost_telemetry::Telemetry;
use waypost_test_servers::postgres::Database;

/// A store, the clock by which it judges, and its outbox.
struct Subject {
    store: Timed,
    outbox: Arc<dyn Outbox>,
}

#[derive(Clone)]
struct Timed {
    store: Arc<dyn Store>,
    clock: TestClock,
    /// Goes with the last store on it.
    _database: Option<Arc<Database>>,
}

impl Timed {
    /// The store at this moment.
    fn when(&self, now: Timestamp) -> &dyn Store {
        self.clock.set(now.into());
        &*self.store
    }
}

impl Deref for Timed {
    type Target = dyn Store;

    fn deref(&self) -> &dyn Store {
        &*self.store
    }
}

fn sqlite() -> Subject {
    sqlite_in(&Files::Ephemeral)
}

/// In a file that may hold other stores too.
fn sqlite_in_a_shared_file() -> Subject {
    sqlite_in(&Files::Shared(SharedFile::ephemeral()))
}

fn sqlite_in(files: &Files) -> Subject {
    let clock = ManualClock::at(at(0).into());
    let store = SqliteStore::open_by(files, &Telemetry::disabled(), clock.clock()).unwrap();
    let clock = TestClock::Embedded(clock);
    Subject { outbox: store.outbox(), store: Timed { store: Arc::new(store), clock, _database: None } }
}

/// In a database of its own, whose time is the test's.
async fn postgres() -> Subject {
    let database = Database::create();
    let server = testing::server(&database.url());
    let store = PostgresStore::open(&server, &Telemetry::disabled()).await.unwrap();
    let clock = TestClock::Server(ServerClock::take(&server, "order", at(0).into()));
    let outbox = store.outbox();
    let store = Timed { store: Arc::new(store), clock, _database: Some(Arc::new(database)) };
    Subject { store, outbox }
}

macro_rules! on_each_store {
    ($($test:ident)*) => {
        mod on_sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                async fn $test() { super::$test(super::sqlite()).await; }
            )*
        }

        mod in_a_shared_file {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                async fn $test() { super::$test(crate::store::sqlite_in_a_shared_file()).await; }
            )*
        }

        mod on_postgres {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                async fn $test() { super::$test(super::postgres().await).await; }
            )*
        }
    };
}

mod concurrent;
mod plans;

on_each_store! {
    an_order_is_found_as_it_was_placed_by_those_who_may_see_it
    a_key_stands_for_one_order
    a_key_that_was_only_asked_for_stays_new
    a_key_is_kept_while_its_order_runs_and_a_day_after
    a_store_has_one_key_for_page_tokens
    a_unit_writes_state_journal_history_and_event_together
    a_unit_that_was_decided_on_other_rows_writes_nothing
    a_runner_that_was_replaced_writes_nothing
    a_saga_is_taken_over_only_when_its_lease_has_run_out
    a_lease_that_is_renewed_does_not_run_out
    a_parked_saga_waits_for_its_time
    a_node_ends_its_own_leases_only
    an_order_is_cancelled_until_its_payment_is_taken
    a_list_runs_from_the_newest_to_the_oldest
    only_what_ended_long_ago_is_deleted
    a_journal_that_ends_late_is_deleted_as_well
    the_key_of_an_order_that_is_gone_is_new
    an_operator_ends_a_parked_saga_that_is_as_it_was_seen
}

const SECOND: Duration = Duration::from_secs(1);

fn at(millis: i64) -> Timestamp {
    Timestamp::from_unix_millis(1_790_000_000_000 + millis).unwrap()
}

fn viewer(user: &str) -> Viewer {
    Viewer { user: user.parse().unwrap(), is_admin: user == "user-admin" }
}

/// The lease of an order's first runner, or of the one that took it over from the first, of so many milliseconds.
fn lease(runner: &str, lasts: u64) -> Lease {
    let epoch = if runner == "two" { Epoch::FIRST.next() } else { Epoch::FIRST };
    Lease { runner: runner.to_owned(), epoch, lasts: Duration::from_millis(lasts) }
}

fn order(id: &str, created: i64) -> Order {
    Order {
        id: id.parse().unwrap(),
        user: "user123".parse().unwrap(),
        product: "prod456".parse().unwrap(),
        quantity: 2,
        unit_price: Money::new(499_950, Currency::USD),
        amount: Money::new(999_900, Currency::USD),
        payment_method: "pm_card_ok".to_owned(),
        status: OrderStatus::Pending,
        failure_code: None,
        decline_code: None,
        transaction: None,
        charge: Charge::None,
        created_at: at(created),
        updated_at: at(created),
        version: 1,
        origin: Origin {
            trace_id: Some("0af7651916cd43dd8448eb211c80319c".to_owned()),
            traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
            tracestate: None,
        },
    }
}

fn opening() -> Vec<Fact> {
    vec![Entry::Intended("reserve".into()), Entry::Intended("authorize".into())]
}

/// An order that runner one has for a second.
fn placement(order: Order) -> Placement {
    Placement { order, facts: opening(), lease: lease("one", 1000), key: None }
}

fn key(key: &str, fingerprint: u8) -> Key {
    Key {
        principal: "user123".to_owned(),
        route: "create".to_owned(),
        key: key.to_owned(),
        fingerprint: vec![fingerprint; 32],
    }
}

async fn place(subject: &Subject, order: &Order) {
    let placed = subject.store.when(order.created_at).place(placement(order.clone())).await.unwrap();
    assert_eq!(placed, Placed::New);
}

/// The unit that makes an order confirmed.
fn confirmed(order: &Order, now: i64) -> Progress {
    let facts = vec![Entry::Done(CONFIRM.into(), None), Entry::Intended("capture".into())];
    let after = order.after(&facts, None, at(now)).unwrap();
    Progress {
        moved: Some(after.last_move()),
        order: after,
        rows_before: 1,
        facts,
        phase: Phase::Committed,
        lease: lease("one", 1000),
        event: None,
    }
}

/// The unit that ends an order.
fn ended(order: &Order, rows_before: u64, ending: &Ending<Refusal>, now: i64) -> Progress {
    let after = order.after(&[Entry::Ended], Some(ending), at(now)).unwrap();
    let event =
        outbox::Event::new(format!("{}.{}", after.id, after.version), "t", after.id.as_str(), "k", vec![1]);
    Progress {
        moved: Some(after.last_move()),
        order: after,
        rows_before,
        facts: vec![Entry::Ended],
        phase: Phase::Ended,
        lease: lease("one", 0),
        event: Some(event),
    }
}

async fn find(subject: &Subject, id: &str) -> Order {
    subject.store.find(id.parse().unwrap(), viewer("user-admin")).await.unwrap().unwrap()
}

async fn unfinished(subject: &Subject, now: i64) -> Vec<String> {
    let found = subject.store.when(at(now)).unfinished(10).await.unwrap();
    found.into_iter().map(|unfinished| unfinished.id.to_string()).collect()
}

async fn an_order_is_found_as_it_was_placed_by_those_who_may_see_it(subject: Subject) {
    let placed = order("order-1", 0);
    place(&subject, &placed).await;
    let found = |user: &str| subject.store.find(placed.id.clone(), viewer(user));
    assert_eq!(found("user123").await.unwrap(), Some(placed.clone()));
    assert_eq!(found("user-admin").await.unwrap(), Some(placed.clone()));
    assert_eq!(found("mallory").await.unwrap(), None);
    assert_eq!(subject.store.find("order-2".parse().unwrap(), viewer("user123")).await.unwrap(), None);
    let history = subject.store.history(placed.id.clone()).await.unwrap();
    assert_eq!(history, [placed.last_move()]);
}

async fn a_key_stands_for_one_order(subject: Subject) {
    let with_key =
        |id: &str, fingerprint| Placement { key: Some(key("k", fingerprint)), ..placement(order(id, 0)) };
    let place = |placement| subject.store.when(at(0)).place(placement);
    assert_eq!(place(with_key("order-1", 1)).await.unwrap(), Placed::New);
    let before = Placed::Before(Box::new(order("order-1", 0)));
    assert_eq!(place(with_key("order-2", 1)).await.unwrap(), before);
    assert_eq!(place(with_key("order-3", 2)).await.unwrap(), Placed::KeyReused);
    for id in ["order-2", "order-3"] {
        assert_eq!(subject.store.find(id.parse().unwrap(), viewer("user-admin")).await.unwrap(), None);
    }
    assert_eq!(subject.store.placed_before(key("k", 1)).await.unwrap(), Some(before));
    assert_eq!(subject.store.placed_before(key("k", 2)).await.unwrap(), Some(Placed::KeyReused));
}

async fn a_key_that_was_only_asked_for_stays_new(subject: Subject) {
    assert_eq!(subject.store.placed_before(key("k", 1)).await.unwrap(), None);
    assert_eq!(subject.store.placed_before(key("k", 2)).await.unwrap(), None);
    let placement = Placement { key: Some(key("k", 3)), ..placement(order("order-1", 0)) };
    assert_eq!(subject.store.when(at(0)).place(placement).await.unwrap(), Placed::New);
}

async fn a_key_is_kept_while_its_order_runs_and_a_day_after(subject: Subject) {
    let placed = order("order-1", 0);
    let placement = Placement { key: Some(key("k", 1)), ..placement(placed.clone()) };
    assert_eq!(subject.store.when(at(0)).place(placement).await.unwrap(), Placed::New);
    let hours = |hours: i64| at(hours * 3_600_000);
    assert_eq!(subject.store.when(hours(72)).purge_keys().await.unwrap(), 0, "its order runs");
    let end = ended(&placed, 1, &Ending::Cancelled, 5);
    assert!(subject.store.when(hours(72)).advance(end.clone()).await.unwrap());
    assert_eq!(subject.store.when(hours(95)).purge_keys().await.unwrap(), 0, "its order has only just ended");
    let before = subject.store.placed_before(key("k", 1)).await.unwrap();
    assert_eq!(before, Some(Placed::Before(Box::new(end.order))));
    assert_eq!(subject.store.when(hours(96)).purge_keys().await.unwrap(), 1);
    assert_eq!(subject.store.placed_before(key("k", 1)).await.unwrap(), None);
}

async fn a_store_has_one_key_for_page_tokens(subject: Subject) {
    let key: TokenKey = subject.store.token_key().await.unwrap();
    assert_eq!(subject.store.token_key().await.unwrap(), key);
    assert_ne!(sqlite().store.token_key().await.unwrap(), key);
}

async fn a_unit_writes_state_journal_history_and_event_together(subject: Subject) {
    let placed = order("order-1", 0);
    place(&subject, &placed).await;
    let confirm = confirmed(&placed, 5);
    assert!(subject.store.when(at(5)).advance(confirm.clone()).await.unwrap());
    assert_eq!(find(&subject, "order-1").await, confirm.order);
    assert!(subject.outbox.pending(10).await.unwrap().is_empty());

    let end = ended(&confirm.order, 2, &Ending::Completed, 9);
    assert!(subject.store.when(at(9)).advance(end.clone()).await.unwrap());
    let completed = find(&subject, "order-1").await;
    assert_eq!((completed.status, completed.version), (OrderStatus::Completed, 3));
    let history = subject.store.history(placed.id.clone()).await.unwrap();
    assert_eq!(history, [placed.last_move(), confirm.order.last_move(), completed.last_move()]);
    let Taken { log, .. } = subject.store.reload(placed.id.clone(), Epoch::FIRST).await.unwrap().unwrap();
    assert_eq!(log.rows(), 3);
    assert_eq!(log.entries(), [opening(), confirm.facts, end.facts].concat());
    let events = subject.outbox.pending(10).await.unwrap();
    assert_eq!(events.len(), 1);
    assert_eq!(Some(&events[0].event), end.event.as_ref());
}

async fn a_unit_that_was_decided_on_other_rows_writes_nothing(subject: Subject) {
    let placed = order("order-1", 0);
    place(&subject, &placed).await;
    for rows_before in [0, 2] {
        let stale = Progress { rows_before, ..ended(&placed, 1, &Ending::Cancelled, 5) };
        assert!(!subject.store.when(at(5)).advance(stale).await.unwrap());
    }
    assert_eq!(find(&subject, "order-1").await, placed);
    assert!(subject.outbox.pending(10).await.unwrap().is_empty());
}

async fn a_runner_that_was_replaced_writes_nothing(subject: Subject) {
    let placed = order("order-1", 0);
    place(&subject, &placed).await;
    let taken = subject
        .store
        .when(at(1000))
        .take_over(placed.id.clone(), "two".to_owned(), SECOND * 4)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(taken.epoch, Epoch::FIRST.next());
    assert_eq!(taken.order, placed);
    assert_eq!(taken.log.entries().last(), Some(&Entry::Resumed));

    assert!(!subject.store.when(at(1001)).advance(confirmed(&placed, 1001)).await.unwrap());
    let guessed = Progress { rows_before: 2, ..confirmed(&placed, 1001) };
    assert!(!subject.store.when(at(1001)).advance(guessed).await.unwrap(), "not even with the right row");
    assert_eq!(subject.store.reload(placed.id.clone(), Epoch::FIRST).await.unwrap(), None);
    let by_two = Progress { rows_before: 2, lease: lease("two", 6000), ..confirmed(&placed, 1002) };
    assert!(subject.store.when(at(1002)).advance(by_two).await.unwrap());
}

async fn a_saga_is_taken_over_only_when_its_lease_has_run_out(subject: Subject) {
    let placed = order("order-1", 0);
    place(&subject, &placed).await;
    let take_over = |now| subject.store.when(at(now)).take_over(placed.id.clone(), "two".to_owned(), SECOND);
    assert!(unfinished(&subject, 999).await.is_empty());
    assert_eq!(take_over(999).await.unwrap(), None);
    assert_eq!(unfinished(&subject, 1000).await, ["order-1"]);
    assert!(take_over(1000).await.unwrap().is_some());
    assert_eq!(take_over(1001).await.unwrap(), None, "it has a runner again");

    let end = Progress { lease: lease("two", 0), ..ended(&placed, 2, &Ending::Cancelled, 1002) };
    assert!(subject.store.when(at(1002)).advance(end).await.unwrap());
    assert!(unfinished(&subject, 1_000_000).await.is_empty());
    assert_eq!(take_over(1_000_000).await.unwrap(), None, "it has ended");
}

async fn a_lease_that_is_renewed_does_not_run_out(subject: Subject) {
    let (renewed, forgotten) = (order("order-1", 0), order("order-2", 0));
    place(&subject, &renewed).await;
    place(&subject, &forgotten).await;
    let held = vec![(renewed.id.clone(), Epoch::FIRST), (forgotten.id.clone(), Epoch::FIRST.next())];
    assert_eq!(
        subject.store.when(at(0)).renew(held, SECOND * 3).await.unwrap(),
        [forgotten.id],
        "another has it"
    );
    assert_eq!(unfinished(&subject, 2000).await, ["order-2"], "only its runner renews a lease");
}

async fn a_node_ends_its_own_leases_only(subject: Subject) {
    for (id, node) in [("order-1", "till-1"), ("order-2", "till-10"), ("order-3", "till-2")] {
        let lease = lease(&runner_name(node, Uuid::nil()), 1000);
        let placement = Placement { lease, ..placement(order(id, 0)) };
        assert_eq!(subject.store.when(at(0)).place(placement).await.unwrap(), Placed::New);
    }
    subject.store.end_leases("till-1".to_owned()).await.unwrap();
    assert_eq!(unfinished(&subject, 1).await, ["order-1"]);
}

async fn a_parked_saga_waits_for_its_time(subject: Subject) {
    let placed = order("order-1", 0);
    place(&subject, &placed).await;
    let refusal = Refusal { code: ErrorCode::Unavailable, detail: "down".to_owned(), decline_code: None };
    let parked = Progress {
        order: placed.clone(),
        rows_before: 1,
        facts: vec![Entry::Stuck("authorize".into(), refusal)],
        phase: Phase::Stuck,
        lease: lease("one", 8995),
        moved: None,
        event: None,
    };
    assert!(subject.store.when(at(5)).advance(parked).await.unwrap());
    let lost = subject.store.renew(vec![(placed.id.clone(), Epoch::FIRST)], SECOND * 99).await.unwrap();
    assert!(lost.is_empty(), "it is parked, and nobody else's");
    assert!(unfinished(&subject, 8999).await.is_empty());
    assert_eq!(unfinished(&subject, 9000).await, ["order-1"], "renewing does not keep it parked");
}

async fn an_order_is_cancelled_until_its_payment_is_taken(subject: Subject) {
    let (early, late) = (order("order-1", 0), order("order-2", 0));
    place(&subject, &early).await;
    place(&subject, &late).await;
    let cancel = |id: &OrderId, user: &str| subject.store.when(at(5)).cancel(id.clone(), viewer(user));
    assert_eq!(cancel(&early.id, "mallory").await.unwrap(), None);
    assert_eq!(cancel(&early.id, "user123").await.unwrap(), Some(Cancelling::Noted(early.clone())));
    assert_eq!(cancel(&early.id, "user-admin").await.unwrap(), Some(Cancelling::TurnedBack(early.clone())));
    assert!(
        !subject.store.when(at(6)).advance(confirmed(&early, 6)).await.unwrap(),
        "the runner has to look again"
    );

    assert!(subject.store.when(at(6)).advance(confirmed(&late, 6)).await.unwrap());
    let confirmed = find(&subject, "order-2").await;
    assert_eq!(cancel(&late.id, "user123").await.unwrap(), Some(Cancelling::TooLate(confirmed)));
}

async fn a_list_runs_from_the_newest_to_the_oldest(subject: Subject) {
    for (id, created) in [("order-1", 1), ("order-3", 2), ("order-2", 2), ("order-4", 3)] {
        place(&subject, &order(id, created)).await;
    }
    let theirs = Order { user: "user456".parse().unwrap(), ..order("order-5", 9) };
    place(&subject, &theirs).await;
    let user = || -> UserId { "user123".parse().unwrap() };
    let page = async |viewed_by: &str, after, max| {
        let orders = subject.store.page(user(), viewer(viewed_by), after, max).await.unwrap();
        orders.into_iter().map(|order| order.id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(page("user123", None, 3).await, ["order-4", "order-3", "order-2"]);
    let after = Cursor { created_at: at(2), id: "order-3".parse().unwrap() };
    assert_eq!(page("user-admin", Some(after), 3).await, ["order-2", "order-1"]);
    assert!(page("mallory", None, 3).await.is_empty());
}

async fn only_what_ended_long_ago_is_deleted(subject: Subject) {
    // Ended at 10 and at 20; one that still runs.
    for (id, end) in [("order-1", 10), ("order-2", 20)] {
        let placed = order(id, 0);
        place(&subject, &placed).await;
        let end = ended(&placed, 1, &Ending::Cancelled, end);
        assert!(subject.store.when(end.order.updated_at).advance(end.clone()).await.unwrap());
    }
    place(&subject, &order("order-3", 0)).await;
    let rows = async |id: &str| {
        let taken = subject.store.reload(id.parse().unwrap(), Epoch::FIRST).await.unwrap();
        let history = subject.store.history(id.parse().unwrap()).await.unwrap();
        (taken.map(|taken| taken.log.rows()), history.len())
    };

    let kept = |journals: u64, orders: u64| {
        // As of the second after the beginning: what ended before these moments goes.
        let [journals, orders] = [journals, orders].map(|since| Duration::from_millis(1000 - since));
        subject.store.when(at(1000)).delete_ended(Kept { journals, orders })
    };
    assert_eq!(kept(10, 0).await.unwrap(), 0);
    assert_eq!(kept(15, 0).await.unwrap(), 1);
    assert_eq!(kept(15, 0).await.unwrap(), 0);
    assert_eq!(rows("order-1").await, (Some(0), 2));
    assert_eq!(rows("order-2").await, (Some(2), 2));

    assert_eq!(kept(15, 15).await.unwrap(), 1);
    assert_eq!(rows("order-1").await, (None, 0));
    // Whatever is asked for, what has not ended stays.
    assert_eq!(kept(1000, 1000).await.unwrap(), 2);
    assert_eq!(rows("order-2").await, (None, 0));
    assert_eq!(rows("order-3").await, (Some(1), 1));
}

async fn a_journal_that_ends_late_is_deleted_as_well(subject: Subject) {
    let placed = order("order-1", 0);
    place(&subject, &placed).await;
    let kept = Kept { journals: Duration::ZERO, orders: SECOND * 3600 };
    assert_eq!(subject.store.when(at(1000)).delete_ended(kept).await.unwrap(), 0);
    // Its process took the time of the end before that, and the unit commits after it.
    let end = ended(&placed, 1, &Ending::Cancelled, 900);
    assert!(subject.store.when(at(1001)).advance(end).await.unwrap());
    assert_eq!(subject.store.when(at(1002)).delete_ended(kept).await.unwrap(), 1);
    let taken = subject.store.reload(placed.id.clone(), Epoch::FIRST).await.unwrap();
    assert_eq!(taken.map(|taken| taken.log.rows()), Some(0));
}

async fn the_key_of_an_order_that_is_gone_is_new(subject: Subject) {
    let with_key = |id: &str| Placement { key: Some(key("k", 1)), ..placement(order(id, 0)) };
    assert_eq!(subject.store.when(at(0)).place(with_key("order-1")).await.unwrap(), Placed::New);
    let end = ended(&order("order-1", 0), 1, &Ending::Cancelled, 10);
    assert!(subject.store.when(at(10)).advance(end).await.unwrap());
    let kept = Kept { journals: Duration::ZERO, orders: Duration::ZERO };
    while subject.store.when(at(20)).delete_ended(kept).await.unwrap() > 0 {}

    assert_eq!(subject.store.placed_before(key("k", 1)).await.unwrap(), None);
    assert_eq!(subject.store.when(at(30)).place(with_key("order-2")).await.unwrap(), Placed::New);
    let again = subject.store.when(at(31)).place(with_key("order-3")).await.unwrap();
    assert!(matches!(again, Placed::Before(order) if order.id.as_str() == "order-2"));
}

#[tokio::test]
async fn the_database_itself_lets_nothing_go_before_its_time() {
    let folder = tempfile::tempdir().unwrap();
    let data = Files::Folder(folder.path().to_path_buf());
    let subject = sqlite_in(&data);
    let placed = order("order-1", 0);
    place(&subject, &placed).await;
    let end = ended(&placed, 1, &Ending::Cancelled, 10);
    assert!(subject.store.when(at(10)).advance(end.clone()).await.unwrap());
    subject.store.close().await;
    let file = rusqlite::Connection::open(folder.path().join("order.db")).unwrap();
    for change in ["runner = 'two'", "lease_epoch = lease_epoch + 2", "lease_epoch = 0"] {
        let refused = file.execute(&format!("UPDATE orders SET {change}"), ()).unwrap_err().to_string();
        assert!(refused.contains("a runner has an epoch of its own"), "{change}: {refused}");
    }
    for table in ["order_journal", "order_history", "orders"] {
        let refused = file.execute(&format!("DELETE FROM {table}"), ()).unwrap_err();
        assert!(
            refused.to_string().contains("append-only") || refused.to_string().contains("retention"),
            "{refused}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schema_of_postgres_lets_nothing_go_before_its_time() {
    let database = Database::create();
    let server = testing::server(&database.url());
    let store = PostgresStore::open(&server, &Telemetry::disabled()).await.unwrap();
    let placed = order("order-1", 0);
    assert_eq!(store.place(placement(placed.clone())).await.unwrap(), Placed::New);
    let end = ended(&placed, 1, &Ending::Cancelled, 10);
    assert!(store.advance(end).await.unwrap());
    let refusals = [
        ("UPDATE orders SET runner = 'two'", "a runner has an epoch of its own"),
        ("UPDATE orders SET lease_epoch = lease_epoch + 2", "a runner has an epoch of its own"),
        ("UPDATE orders SET lease_epoch = 0", "a runner has an epoch of its own"),
        ("UPDATE orders SET version = version + 1", "an order makes legal moves only"),
        ("UPDATE orders SET ended_at = NULL", "an_ended_order_has_its_moment"),
        ("UPDATE order_history SET version = 9", "the history of orders is append-only"),
        ("DELETE FROM order_journal", "the journal of orders is append-only"),
        ("DELETE FROM order_history", "the history of orders is append-only"),
        ("DELETE FROM orders", "an order is deleted by retention only"),
    ];
    for (statement, reason) in refusals {
        let refused = testing::try_execute(&server, "order", statement.to_owned()).unwrap_err();
        assert!(refused.contains(reason), "{statement}: {refused}");
    }
}

async fn an_operator_ends_a_parked_saga_that_is_as_it_was_seen(subject: Subject) {
    let placed = order("order-1", 0);
    place(&subject, &placed).await;
    let parked = Progress {
        order: placed.clone(),
        rows_before: 1,
        facts: vec![Entry::CancelRequested],
        phase: Phase::Stuck,
        lease: lease("one", 1000),
        moved: None,
        event: None,
    };
    assert!(subject.store.when(at(5)).advance(parked).await.unwrap());
    let operators = subject.store.operator();
    assert_eq!(operators.count_parked().await.unwrap(), 1);
    let seen = operators.parked(None, 10).await.unwrap();
    let [record] = &seen[..] else { panic!("{seen:?}") };
    assert!(record.is_parked() && record.rows() == 2, "{record:?}");
    assert!(operators.parked(Some(placed.id.clone()), 10).await.unwrap().is_empty());

    let action = |kind| Action {
        kind,
        outcome: Outcome::Done,
        asked: Asked { by: "ada".to_owned(), reason: "it is over".to_owned() },
        refund: None,
        notes: vec!["one".to_owned(), "two".to_owned()],
        at: at(6),
    };
    assert!(!operators.retry(placed.id.clone(), 1, action(ActionKind::Retry)).await.unwrap(), "other rows");
    assert!(operators.retry(placed.id.clone(), 2, action(ActionKind::Retry)).await.unwrap());
    let end = ended(&placed, 2, &Ending::Cancelled, 7);
    let abandonment = Abandonment {
        moved: end.moved.clone().unwrap(),
        order: end.order,
        rows_before: 2,
        facts: end.facts,
        event: end.event,
        action: action(ActionKind::Abandon),
    };
    let stale = Abandonment { rows_before: 1, ..abandonment.clone() };
    assert!(!operators.abandon(stale).await.unwrap());
    assert!(operators.abandon(abandonment).await.unwrap());
    operators.note(placed.id.clone(), action(ActionKind::Retry)).await.unwrap();
    let record = operators.record(placed.id.clone()).await.unwrap().unwrap();
    let kinds: Vec<ActionKind> = record.actions.iter().map(|action| action.kind).collect();
    assert_eq!(kinds, [ActionKind::Retry, ActionKind::Abandon, ActionKind::Retry]);
    assert_eq!(record.actions[0], action(ActionKind::Retry));
    assert_eq!((record.phase.as_str(), record.rows(), record.history.len()), ("ended", 3, 2));
    assert_eq!(
        (operators.count_parked().await.unwrap(), subject.outbox.pending(9).await.unwrap().len()),
        (0, 1)
    );
}
