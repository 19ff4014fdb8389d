//! The truth table of idempotency keys.

use std::time::{Duration, SystemTime};

use waypost_durable::clock::ManualClock;
use waypost_durable::idempotency::{self, Claim, Fence, Key, LEASE};
use waypost_durable::{Database, DatabaseOptions, Error, Location, Migration};
use waypost_telemetry::Telemetry;

use super::ephemeral;

/// A table of keys in a database of its own, whose clock the test sets.
struct Table(Database, ManualClock);

impl Table {
    fn open() -> Table {
        let clock = ManualClock::at(now());
        let options = DatabaseOptions {
            clock: clock.clock(),
            ..DatabaseOptions::new(Location::Ephemeral, "test", &Telemetry::disabled())
        };
        let schema = [Migration::new("0001_idempotency", idempotency::SCHEMA)];
        Table(Database::open(options, &schema).unwrap(), clock)
    }

    async fn claim(&self, key: &Key, now: SystemTime) -> Claim {
        self.1.set(now);
        let key = key.clone();
        let claimed: Result<_, Error> =
            self.0.write("claim", move |unit| idempotency::claim(unit, &key)).await;
        claimed.unwrap()
    }

    async fn record(
        &self,
        key: &Key,
        fence: Fence,
        point: &'static [u8],
        now: SystemTime,
    ) -> Result<(), Error> {
        self.1.set(now);
        let key = key.clone();
        self.0.write("record", move |unit| idempotency::record(unit, &key, fence, point)).await
    }

    async fn finish(&self, key: &Key, fence: Fence, result: &'static [u8]) -> Result<(), Error> {
        let key = key.clone();
        self.0.write("finish", move |unit| idempotency::finish(unit, &key, fence, result)).await
    }

    async fn abandon(&self, key: &Key, fence: Fence) -> Result<(), Error> {
        let key = key.clone();
        self.0.write("abandon", move |unit| idempotency::abandon(unit, &key, fence)).await
    }

    async fn find(&self, key: &Key, now: SystemTime) -> Option<Claim> {
        self.1.set(now);
        let key = key.clone();
        let found: Result<_, Error> = self.0.read("find", move |unit| idempotency::find(unit, &key)).await;
        found.unwrap()
    }
}

fn key(principal: &str, key: &str, fingerprint: &[u8]) -> Key {
    Key {
        principal: principal.to_owned(),
        route: "POST /api/orders".to_owned(),
        key: key.to_owned(),
        fingerprint: fingerprint.to_vec(),
    }
}

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000)
}

fn new(fence: i64) -> Claim {
    Claim::New { fence: Fence(fence), recovery_point: None }
}

#[tokio::test]
async fn a_key_is_new_once_then_in_flight_then_done() {
    let table = Table::open();
    let key = key("user123", "k1", b"body");
    assert_eq!(table.claim(&key, now()).await, new(1));
    let later = now() + Duration::from_secs(10);
    let in_flight = Claim::InFlight { lease_left: Duration::from_secs(20), recovery_point: None };
    assert_eq!(table.claim(&key, later).await, in_flight);
    table.finish(&key, Fence(1), b"order-1").await.unwrap();
    let done = Claim::Done { result: b"order-1".to_vec() };
    assert_eq!(table.claim(&key, later).await, done);
    assert_eq!(table.claim(&key, later + Duration::from_hours(20)).await, done);
}

#[tokio::test]
async fn a_key_with_another_body_is_a_mismatch_in_every_state() {
    let table = Table::open();
    let (mine, other) = (key("user123", "k1", b"body"), key("user123", "k1", b"other body"));
    table.claim(&mine, now()).await;
    assert_eq!(table.claim(&other, now()).await, Claim::Mismatch);
    assert_eq!(table.claim(&other, now() + LEASE * 2).await, Claim::Mismatch);
    table.finish(&mine, Fence(1), b"order-1").await.unwrap();
    assert_eq!(table.claim(&other, now()).await, Claim::Mismatch);
    assert_eq!(table.claim(&mine, now()).await, Claim::Done { result: b"order-1".to_vec() });
}

#[tokio::test]
async fn the_same_key_of_another_principal_or_route_is_another_key() {
    let table = Table::open();
    let mine = key("user123", "k1", b"body");
    table.claim(&mine, now()).await;
    assert_eq!(table.claim(&key("user456", "k1", b"body"), now()).await, new(1));
    let elsewhere = Key { route: "POST /api/refunds".to_owned(), ..mine };
    assert_eq!(table.claim(&elsewhere, now()).await, new(1));
}

#[tokio::test]
async fn a_claim_whose_lease_ran_out_is_taken_over_and_its_old_holder_is_refused() {
    let table = Table::open();
    let key = key("user123", "k1", b"body");
    table.claim(&key, now()).await;
    table.record(&key, Fence(1), b"stock reserved", now()).await.unwrap();

    let later = now() + LEASE;
    let taken_over = Claim::New { fence: Fence(2), recovery_point: Some(b"stock reserved".to_vec()) };
    assert_eq!(table.claim(&key, later).await, taken_over);
    for refused in [
        table.record(&key, Fence(1), b"late", later).await,
        table.finish(&key, Fence(1), b"late").await,
        table.abandon(&key, Fence(1)).await,
    ] {
        assert!(matches!(refused, Err(Error::Fenced { .. })), "{refused:?}");
    }
    table.finish(&key, Fence(2), b"order-1").await.unwrap();
    assert_eq!(table.claim(&key, later).await, Claim::Done { result: b"order-1".to_vec() });
}

#[tokio::test]
async fn recording_progress_keeps_the_lease() {
    let table = Table::open();
    let key = key("user123", "k1", b"body");
    table.claim(&key, now()).await;
    let later = now() + LEASE - Duration::from_secs(1);
    table.record(&key, Fence(1), b"half", later).await.unwrap();
    let in_flight =
        Claim::InFlight { lease_left: Duration::from_secs(1), recovery_point: Some(b"half".to_vec()) };
    assert_eq!(table.claim(&key, later + LEASE - Duration::from_secs(1)).await, in_flight);
}

#[tokio::test]
async fn an_abandoned_key_is_new_again_and_a_finished_one_cannot_be_abandoned() {
    let table = Table::open();
    let key = key("user123", "k1", b"body");
    table.claim(&key, now()).await;
    table.abandon(&key, Fence(1)).await.unwrap();
    assert_eq!(table.claim(&key, now()).await, new(1));
    table.finish(&key, Fence(1), b"order-1").await.unwrap();
    assert!(matches!(table.abandon(&key, Fence(1)).await, Err(Error::Fenced { .. })));
    assert!(matches!(table.finish(&key, Fence(1), b"order-2").await, Err(Error::Fenced { .. })));
}

#[tokio::test]
async fn a_key_that_is_looked_up_is_not_claimed() {
    let table = Table::open();
    let (mine, other) = (key("a", "k", b"body"), key("a", "k", b"other body"));
    assert_eq!(table.find(&mine, now()).await, None);
    assert_eq!(table.claim(&mine, now()).await, new(1));
    let in_flight = Claim::InFlight { lease_left: LEASE, recovery_point: None };
    assert_eq!(table.find(&mine, now()).await, Some(in_flight));
    assert_eq!(table.find(&other, now()).await, Some(Claim::Mismatch));
    assert_eq!(table.find(&mine, now() + LEASE).await, None, "free to be taken over");
    table.finish(&mine, Fence(1), b"r").await.unwrap();
    assert_eq!(table.find(&mine, now()).await, Some(Claim::Done { result: b"r".to_vec() }));
}

#[tokio::test]
async fn a_claim_is_gone_when_its_unit_rolls_back() {
    let table = Table::open();
    let claimed_key = key("user123", "k1", b"body");
    let in_unit = claimed_key.clone();
    let failed: Result<(), Error> = table
        .0
        .write("claim-and-fail", move |unit| {
            assert_eq!(idempotency::claim(unit, &in_unit)?, new(1));
            Err(Error::Malformed { what: "order" })
        })
        .await;
    failed.unwrap_err();
    assert_eq!(table.claim(&claimed_key, now()).await, new(1));
}

#[tokio::test]
async fn of_many_requests_with_one_key_one_wins() {
    let database = ephemeral(&[Migration::new("0001_idempotency", idempotency::SCHEMA)]);
    let claims = (0..50).map(|_| {
        let (database, key) = (database.clone(), key("user123", "k1", b"body"));
        async move {
            let claimed: Result<Claim, Error> =
                database.write("claim", move |unit| idempotency::claim(unit, &key)).await;
            claimed.unwrap()
        }
    });
    let claims = futures_util::future::join_all(claims).await;
    assert_eq!(claims.iter().filter(|claim| matches!(claim, Claim::New { .. })).count(), 1);
    assert_eq!(claims.iter().filter(|claim| matches!(claim, Claim::InFlight { .. })).count(), 49);
}
