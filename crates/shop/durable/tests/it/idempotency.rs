//! The truth table of idempotency keys.

use std::time::{Duration, SystemTime};

use waypost_durable::idempotency::{self, Claim, Fence, Key, LEASE};
use waypost_durable::{Error, Migration, Unit};

use crate::ephemeral;
use crate::kinds::{Kind, beginning as now, on_each_kind};

on_each_kind! {
    a_key_is_new_once_then_in_flight_then_done
    a_key_with_another_body_is_a_mismatch_in_every_state
    the_same_key_of_another_principal_or_route_is_another_key
    a_claim_whose_lease_ran_out_is_taken_over_and_its_old_holder_is_refused
    recording_progress_keeps_the_lease
    an_abandoned_key_is_new_again_and_a_finished_one_cannot_be_abandoned
    a_key_that_is_looked_up_is_not_claimed
    a_claim_is_gone_when_its_unit_rolls_back
    of_many_requests_with_one_key_one_wins
}

/// A table of keys in a database of its own, whose clock the test sets.
struct Table(Kind);

impl Table {
    async fn claim(&self, key: &Key, now: SystemTime) -> Claim {
        self.0.clock.set(now);
        self.0.claim(key).await.unwrap()
    }

    async fn record(
        &self,
        key: &Key,
        fence: Fence,
        point: &'static [u8],
        now: SystemTime,
    ) -> Result<(), Error> {
        self.0.clock.set(now);
        self.0.record(key, fence, point).await
    }

    async fn finish(&self, key: &Key, fence: Fence, result: &'static [u8]) -> Result<(), Error> {
        self.0.finish(key, fence, result).await
    }

    async fn abandon(&self, key: &Key, fence: Fence) -> Result<(), Error> {
        self.0.abandon(key, fence).await
    }

    async fn find(&self, key: &Key, now: SystemTime) -> Option<Claim> {
        self.0.clock.set(now);
        self.0.find(key).await
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

fn new(fence: i64) -> Claim {
    Claim::New { fence: Fence(fence), recovery_point: None }
}

async fn a_key_is_new_once_then_in_flight_then_done(kind: Kind) {
    let table = Table(kind);
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

async fn a_key_with_another_body_is_a_mismatch_in_every_state(kind: Kind) {
    let table = Table(kind);
    let (mine, other) = (key("user123", "k1", b"body"), key("user123", "k1", b"other body"));
    table.claim(&mine, now()).await;
    assert_eq!(table.claim(&other, now()).await, Claim::Mismatch);
    assert_eq!(table.claim(&other, now() + LEASE * 2).await, Claim::Mismatch);
    table.finish(&mine, Fence(1), b"order-1").await.unwrap();
    assert_eq!(table.claim(&other, now()).await, Claim::Mismatch);
    assert_eq!(table.claim(&mine, now()).await, Claim::Done { result: b"order-1".to_vec() });
}

async fn the_same_key_of_another_principal_or_route_is_another_key(kind: Kind) {
    let table = Table(kind);
    let mine = key("user123", "k1", b"body");
    table.claim(&mine, now()).await;
    assert_eq!(table.claim(&key("user456", "k1", b"body"), now()).await, new(1));
    let elsewhere = Key { route: "POST /api/refunds".to_owned(), ..mine };
    assert_eq!(table.claim(&elsewhere, now()).await, new(1));
}

async fn a_claim_whose_lease_ran_out_is_taken_over_and_its_old_holder_is_refused(kind: Kind) {
    let table = Table(kind);
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

async fn recording_progress_keeps_the_lease(kind: Kind) {
    let table = Table(kind);
    let key = key("user123", "k1", b"body");
    table.claim(&key, now()).await;
    let later = now() + LEASE - Duration::from_secs(1);
    table.record(&key, Fence(1), b"half", later).await.unwrap();
    let in_flight =
        Claim::InFlight { lease_left: Duration::from_secs(1), recovery_point: Some(b"half".to_vec()) };
    assert_eq!(table.claim(&key, later + LEASE - Duration::from_secs(1)).await, in_flight);
}

async fn an_abandoned_key_is_new_again_and_a_finished_one_cannot_be_abandoned(kind: Kind) {
    let table = Table(kind);
    let key = key("user123", "k1", b"body");
    table.claim(&key, now()).await;
    table.abandon(&key, Fence(1)).await.unwrap();
    assert_eq!(table.claim(&key, now()).await, new(1));
    table.finish(&key, Fence(1), b"order-1").await.unwrap();
    assert!(matches!(table.abandon(&key, Fence(1)).await, Err(Error::Fenced { .. })));
    assert!(matches!(table.finish(&key, Fence(1), b"order-2").await, Err(Error::Fenced { .. })));
}

async fn a_key_that_is_looked_up_is_not_claimed(kind: Kind) {
    let table = Table(kind);
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

async fn a_claim_is_gone_when_its_unit_rolls_back(kind: Kind) {
    let table = Table(kind);
    let claimed_key = key("user123", "k1", b"body");
    table.0.claim_and_fail(&claimed_key).await;
    assert_eq!(table.claim(&claimed_key, now()).await, new(1));
}

async fn of_many_requests_with_one_key_one_wins(kind: Kind) {
    let claims = (0..50).map(|_| {
        let kind = kind.clone();
        waypost_telemetry::spawn(async move { kind.claim(&key("user123", "k1", b"body")).await.unwrap() })
    });
    let claims = futures_util::future::try_join_all(claims).await.unwrap();
    assert_eq!(claims.iter().filter(|claim| matches!(claim, Claim::New { .. })).count(), 1);
    assert_eq!(claims.iter().filter(|claim| matches!(claim, Claim::InFlight { .. })).count(), 49);
}

/// In SQLite, where one unit at a time makes an effect.
#[tokio::test]
async fn a_key_that_is_claimed_with_its_result_is_done_at_once() {
    let database = ephemeral(&[Migration::new("0001_idempotency", idempotency::SCHEMA)]);
    let of = |name: &'static str, body: &'static [u8], result: &'static [u8]| {
        let claim = move |unit: &mut Unit<'_>| {
            let claim = idempotency::claim_with(unit, &key("user123", name, body), result)?;
            let found = idempotency::find(unit, &key("user123", name, body))?;
            Ok::<_, Error>((claim, found))
        };
        database.write("claim", claim)
    };
    let done = |result: &[u8]| Claim::Done { result: result.to_vec() };
    let new = |fence| Claim::New { fence: Fence(fence), recovery_point: None };
    assert_eq!(of("k-1", b"body", b"order-1").await.unwrap(), (new(1), Some(done(b"order-1"))));
    assert_eq!(of("k-1", b"body", b"order-2").await.unwrap(), (done(b"order-1"), Some(done(b"order-1"))));
    assert_eq!(of("k-1", b"other", b"order-3").await.unwrap().0, Claim::Mismatch);

    // A key that is claimed without a result belongs to its holder, until nobody holds it any more.
    let claim = |unit: &mut Unit<'_>| idempotency::claim(unit, &key("user123", "k-2", b"body"));
    database.write::<_, Error, _>("claim", claim).await.unwrap();
    let (claim, found) = of("k-2", b"body", b"order-4").await.unwrap();
    assert!(matches!((&claim, &found), (Claim::InFlight { .. }, Some(Claim::InFlight { .. }))), "{claim:?}");
    let end =
        |unit: &mut Unit<'_>| unit.execute("UPDATE idempotency SET lease_until = 0 WHERE key = 'k-2'", ());
    database.write::<_, Error, _>("end-lease", end).await.unwrap();
    assert_eq!(of("k-2", b"body", b"order-5").await.unwrap(), (new(2), Some(done(b"order-5"))));
}
