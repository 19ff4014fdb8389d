//! The contract of a store.

mod plans;

use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use proptest::prelude::*;
use waypost_api::{Amount, Currency};
use waypost_durable::postgres::testing::{self, ServerClock, TestClock};
use waypost_durable::{Files, SharedFile, clock::ManualClock};
use waypost_provider::Error;
use waypost_provider::domain::{Charge, NewCharge, Operation, Refusal, Status};
use waypost_provider::store::{Command, PostgresStore, SqliteStore, Store, Totals};
use waypost_telemetry::Telemetry;
use waypost_test_servers::postgres::Database;

/// A store, and the clock by which it judges.
#[derive(Clone)]
struct Timed {
    store: Arc<dyn Store>,
    clock: TestClock,
    /// Goes with the last store on it.
    _database: Option<Arc<Database>>,
}

impl Deref for Timed {
    type Target = dyn Store;

    fn deref(&self) -> &dyn Store {
        &*self.store
    }
}

fn beginning() -> SystemTime {
    UNIX_EPOCH + Duration::from_hours(500_000)
}

fn sqlite() -> Timed {
    sqlite_in(&Files::Ephemeral)
}

/// In a file that may hold other stores too.
fn sqlite_in_a_shared_file() -> Timed {
    sqlite_in(&Files::Shared(SharedFile::ephemeral()))
}

fn sqlite_in(files: &Files) -> Timed {
    let clock = ManualClock::at(beginning());
    let store = SqliteStore::open_by(files, &Telemetry::disabled(), clock.clock()).unwrap();
    Timed { store: Arc::new(store), clock: TestClock::Embedded(clock), _database: None }
}

/// In a database of its own, whose time is the test's.
async fn postgres() -> Timed {
    let database = Database::create();
    let server = testing::server(&database.url());
    let store = PostgresStore::open(&server, &Telemetry::disabled()).await.unwrap();
    let clock = TestClock::Server(ServerClock::take(&server, "provider", beginning()));
    Timed { store: Arc::new(store), clock, _database: Some(Arc::new(database)) }
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
                async fn $test() { super::$test(super::sqlite_in_a_shared_file()).await; }
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

on_each_store! {
    a_repeated_key_gets_the_first_answer_even_after_the_charge_went_on
    of_requests_with_one_key_at_once_one_has_the_effect
    a_key_with_another_request_is_refused_and_changes_nothing
    charges_are_found_by_reference_and_the_ledger_adds_up
    only_old_charges_that_nothing_is_reserved_for_are_forgotten_and_the_totals_stay
}

fn charge(id: &str, amount: i64) -> Operation {
    Operation::Charge(NewCharge {
        id: id.to_owned(),
        reference: format!("{id}:authorize:1"),
        payment_method: "pm_card_ok".into(),
        amount: Amount::from_ten_thousandths(amount),
        currency: Currency::USD,
        decline_code: None,
    })
}

fn command(key: &str, operation: Operation) -> Command {
    let fingerprint = match &operation {
        // A new charge has a new id each time, which does not make it another request.
        Operation::Charge(new) => format!("charge {} {}", new.reference, new.amount.ten_thousandths()),
        other => format!("{other:?}"),
    };
    Command { key: key.to_owned(), fingerprint: fingerprint.into_bytes(), operation }
}

async fn run(store: &dyn Store, key: &str, operation: Operation) -> Result<Charge, Error> {
    store.execute(command(key, operation)).await.map(|answer| answer.charge)
}

async fn a_repeated_key_gets_the_first_answer_even_after_the_charge_went_on(store: Timed) {
    let first = store.execute(command("k1", charge("ch_1", 999_900))).await.unwrap();
    assert!(!first.is_replay);
    run(&*store, "k2", Operation::Capture { id: "ch_1".into() }).await.unwrap();
    let Operation::Charge(again) = charge("ch_1", 999_900) else { unreachable!("charge() makes a charge") };
    let repeated = store
        .execute(command("k1", Operation::Charge(NewCharge { id: "ch_other".into(), ..again })))
        .await
        .unwrap();
    assert!(repeated.is_replay);
    assert_eq!(repeated.charge, first.charge);
    assert_eq!(store.totals().await.unwrap().charges, 1);
}

async fn of_requests_with_one_key_at_once_one_has_the_effect(store: Timed) {
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let store = store.clone();
            waypost_telemetry::spawn(async move {
                store.execute(command("k1", charge("ch_1", 999_900))).await.unwrap()
            })
        })
        .collect();
    let mut replays = 0;
    for task in tasks {
        replays += u32::from(task.await.unwrap().is_replay);
    }
    assert_eq!((replays, store.totals().await.unwrap().charges), (19, 1));
}

async fn a_key_with_another_request_is_refused_and_changes_nothing(store: Timed) {
    run(&*store, "k1", charge("ch_1", 999_900)).await.unwrap();
    let error = run(&*store, "k1", Operation::Capture { id: "ch_1".into() }).await.unwrap_err();
    assert!(matches!(error, Error::Refused(Refusal::KeyReused)), "{error:?}");
    assert_eq!(store.charge("ch_1".into()).await.unwrap().unwrap().status, Status::Authorized);
}

async fn charges_are_found_by_reference_and_the_ledger_adds_up(store: Timed) {
    run(&*store, "k1", charge("ch_1", 999_900)).await.unwrap();
    run(&*store, "k2", Operation::Capture { id: "ch_1".into() }).await.unwrap();
    let part = Operation::Refund { id: "ch_1".into(), amount: Amount::from_ten_thousandths(100_000) };
    run(&*store, "k3", part.clone()).await.unwrap();
    run(&*store, "k3", part).await.unwrap();
    let found = store.by_reference("ch_1:authorize:1".into()).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].refunded, Amount::from_ten_thousandths(100_000));
    let expected = Totals {
        charges: 1,
        captured: Amount::from_ten_thousandths(999_900),
        refunded: Amount::from_ten_thousandths(100_000),
    };
    assert_eq!(store.totals().await.unwrap(), expected);
    assert!(store.by_reference("unknown".into()).await.unwrap().is_empty());
    let missing = run(&*store, "k9", Operation::Void { id: "ch_9".into() }).await.unwrap_err();
    assert!(matches!(missing, Error::Refused(Refusal::NotFound)));
}

async fn only_old_charges_that_nothing_is_reserved_for_are_forgotten_and_the_totals_stay(store: Timed) {
    let clock = store.clock.clone();
    for (id, then) in [("ch_1", "refund"), ("ch_2", "void"), ("ch_3", "nothing"), ("ch_4", "capture")] {
        run(&*store, &format!("{id}-charge"), charge(id, 999_900)).await.unwrap();
        let id = id.to_owned();
        let operation = match then {
            "void" => Operation::Void { id: id.clone() },
            "nothing" => continue,
            _ => Operation::Capture { id: id.clone() },
        };
        run(&*store, &format!("{id}-{then}"), operation).await.unwrap();
    }
    let part = Operation::Refund { id: "ch_1".into(), amount: Amount::from_ten_thousandths(100_000) };
    run(&*store, "ch_1-part", part).await.unwrap();
    let before = store.totals().await.unwrap();
    let age = Duration::from_hours(1);
    clock.advance(age);

    assert_eq!(store.forget_charges(age).await.unwrap(), 0);
    clock.advance(Duration::from_secs(1));
    assert_eq!(store.forget_charges(age).await.unwrap(), 3);
    assert_eq!(store.forget_charges(age).await.unwrap(), 0);
    assert_eq!(store.totals().await.unwrap(), before);
    assert_eq!(store.charge("ch_1".into()).await.unwrap(), None);
    run(&*store, "late-capture", Operation::Capture { id: "ch_3".into() }).await.unwrap();
    let after = store.totals().await.unwrap();
    assert_eq!(after.captured.ten_thousandths(), before.captured.ten_thousandths() + 999_900);
}

#[tokio::test]
async fn a_ledger_survives_its_process() {
    let folder = tempfile::tempdir().unwrap();
    let data = Files::Folder(folder.path().to_path_buf());
    let store = SqliteStore::open(&data, &Telemetry::disabled()).unwrap();
    run(&store, "k1", charge("ch_1", 999_900)).await.unwrap();
    store.close().await;
    let store = SqliteStore::open(&data, &Telemetry::disabled()).unwrap();
    let again = store.execute(command("k1", charge("ch_1", 999_900))).await.unwrap();
    assert!(again.is_replay);
}

/// One random request: which charge, which key, what.
fn any_operation() -> impl Strategy<Value = (u8, u8, u8)> {
    (0..3_u8, 0..12_u8, 0..4_u8)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_ledger_always_adds_up(requests in prop::collection::vec(any_operation(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let store = sqlite();
            for (number, key, what) in requests {
                let id = format!("ch_{number}");
                let operation = match what {
                    // A charge's id is its own, so each charge has one key that makes it.
                    0 => charge(&id, 10_000),
                    1 => Operation::Capture { id },
                    2 => Operation::Void { id },
                    _ => Operation::Refund { id, amount: Amount::from_ten_thousandths(4_000) },
                };
                let key = if what == 0 { format!("charge-{number}") } else { format!("k{key}") };
                let answer = store.execute(command(&key, operation)).await;
                assert!(matches!(answer, Ok(_) | Err(Error::Refused(_))), "{answer:?}");
            }
            let (mut captured, mut refunded) = (0, 0);
            for number in 0..3 {
                if let Some(charge) = store.charge(format!("ch_{number}")).await.unwrap() {
                    assert!(charge.refunded <= charge.captured && charge.captured <= charge.amount);
                    captured += charge.captured.ten_thousandths();
                    refunded += charge.refunded.ten_thousandths();
                }
            }
            let sums = store.totals().await.unwrap();
            assert_eq!((sums.captured.ten_thousandths(), sums.refunded.ten_thousandths()), (captured, refunded));
        });
    }
}
