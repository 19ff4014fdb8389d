//! The outbox and the inbox.

use std::time::Duration;

use futures_util::{FutureExt as _, StreamExt as _};
use waypost_durable::outbox::{self, Event, Outbox, Parked, SqliteOutbox};
use waypost_durable::{Database, Error, Migration, Unit, inbox};

use super::ephemeral;

pub(crate) const OUTBOX: [Migration; 4] = [
    Migration::new("0001_outbox", outbox::SCHEMA),
    Migration::new("0003_outbox_parking", outbox::PARKING),
    Migration::new("0004_outbox_replays", outbox::REPLAYS),
    Migration::new("0005_outbox_parked_with", outbox::PARKED_WITH),
];
const INBOX: Migration = Migration::new("0002_inbox", inbox::SCHEMA);

pub(crate) fn event(number: usize) -> Event {
    Event {
        headers: vec![("tenant".to_owned(), b"acme".to_vec())],
        ..Event::new(
            format!("event-{number}"),
            "order-events",
            format!("order-{}", number % 3),
            "order.completed",
            format!("payload {number}").into_bytes(),
        )
    }
}

pub(crate) async fn append(database: &Database, events: Vec<Event>) {
    let appended: Result<(), Error> = database
        .write("append-events", move |unit| events.iter().try_for_each(|event| outbox::append(unit, event)))
        .await;
    appended.unwrap();
}

pub(crate) fn too_large(attempts: u32) -> Parked {
    let (reason, error_type) = ("the record is too large".to_owned(), "record_too_large".to_owned());
    Parked { reason, error_type, attempts }
}

/// An outbox with these events in it.
async fn filled(events: Vec<Event>) -> SqliteOutbox {
    let database = ephemeral(&OUTBOX);
    append(&database, events).await;
    SqliteOutbox::new(&database)
}

/// Longer than any test.
const KEPT: Duration = Duration::from_hours(1);

async fn positions(outbox: &dyn Outbox) -> Vec<i64> {
    outbox.pending(1000).await.unwrap().into_iter().map(|pending| pending.position).collect()
}

async fn pending_ids(outbox: &dyn Outbox) -> Vec<String> {
    outbox.pending(100).await.unwrap().into_iter().map(|pending| pending.event.id).collect()
}

#[tokio::test]
async fn events_are_pending_whole_and_in_order_until_they_are_marked() {
    let outbox = filled((0..5).map(event).collect()).await;
    let pending = outbox.pending(3).await.unwrap();
    assert_eq!(
        pending.iter().map(|pending| pending.event.clone()).collect::<Vec<_>>(),
        [event(0), event(1), event(2)]
    );
    assert!(pending.is_sorted_by_key(|pending| pending.position));
    // Marked out of order, as after a partial acknowledgement: what is left is still all there.
    outbox.mark_published(vec![pending[1].position], KEPT).await.unwrap();
    assert_eq!(pending_ids(&outbox).await, ["event-0", "event-2", "event-3", "event-4"]);
}

#[tokio::test]
async fn an_event_with_a_known_id_is_not_appended_again() {
    let outbox = filled(vec![event(1), event(2), event(1)]).await;
    assert_eq!(pending_ids(&outbox).await, ["event-1", "event-2"]);
}

#[tokio::test]
async fn published_events_are_deleted_in_batches_and_unpublished_ones_never() {
    let outbox = filled((0..10).map(event).collect()).await;
    let positions: Vec<i64> =
        outbox.pending(7).await.unwrap().iter().map(|pending| pending.position).collect();
    outbox.mark_published(positions, KEPT).await.unwrap();
    assert_eq!(outbox.delete_published(Duration::from_hours(1), 5).await.unwrap(), 0);
    assert_eq!(outbox.delete_published(Duration::ZERO, 5).await.unwrap(), 5);
    assert_eq!(outbox.delete_published(Duration::ZERO, 5).await.unwrap(), 2);
    assert_eq!(outbox.delete_published(Duration::ZERO, 5).await.unwrap(), 0);
    assert_eq!(pending_ids(&outbox).await, ["event-7", "event-8", "event-9"]);
}

#[tokio::test]
async fn marking_deletes_more_old_events_than_it_marks() {
    let outbox = filled((0..100).map(event).collect()).await;
    for positions in positions(&outbox).await.chunks(10) {
        outbox.mark_published(positions.to_vec(), KEPT).await.unwrap();
    }
    // The load goes on, and what was published before has become old.
    for _ in 0..5 {
        outbox.mark_published(vec![i64::MAX; 10], Duration::ZERO).await.unwrap();
    }
    assert_eq!(outbox.delete_published(Duration::ZERO, 1000).await.unwrap(), 0);
}

#[tokio::test]
async fn a_parked_event_holds_back_its_key_and_nobody_else() {
    // Events 0, 3, 6 are of one key; 1, 4 and 2, 5 of two others.
    let outbox = filled((0..7).map(event).collect()).await;
    let second_of_key = positions(&outbox).await[3];
    outbox.park(second_of_key, too_large(1)).await.unwrap();
    assert_eq!(pending_ids(&outbox).await, ["event-0", "event-1", "event-2", "event-4", "event-5"]);
    assert_eq!(outbox.parked().await.unwrap(), 1);
}

#[tokio::test]
async fn damaged_rows_are_parked_with_the_reason() {
    let database = ephemeral(&OUTBOX);
    append(&database, (0..5).map(event).collect()).await;
    let damage = |unit: &mut Unit<'_>| {
        unit.execute("UPDATE outbox SET headers = x'ff' WHERE event_id = 'event-0'", ())?;
        unit.execute("UPDATE outbox SET payload = 'text' WHERE event_id = 'event-2'", ())
    };
    database.write::<_, Error, _>("damage", damage).await.unwrap();
    let outbox = SqliteOutbox::new(&database);
    // 3 stands behind 0 in the order of their key.
    assert_eq!(pending_ids(&outbox).await, ["event-1", "event-4"]);
    assert_eq!(outbox.parked().await.unwrap(), 2);
    let reasons: Vec<String> = database
        .read("reasons", |unit| {
            unit.query_all("SELECT parked_reason FROM outbox WHERE parked_at > 0", (), |row| row.get(0))
        })
        .await
        .map_err(|error: Error| error)
        .unwrap();
    assert!(reasons.iter().any(|reason| reason.contains("headers")), "{reasons:?}");
    assert!(reasons.iter().any(|reason| reason.contains("payload")), "{reasons:?}");
}

#[tokio::test]
async fn an_append_wakes_who_waits_for_it() {
    let database = ephemeral(&OUTBOX);
    let mut wake = SqliteOutbox::new(&database).wake();
    assert!(wake.next().now_or_never().is_none());
    append(&database, vec![event(1)]).await;
    assert_eq!(wake.next().await, Some(()));
}

#[tokio::test]
async fn one_relay_leads_until_it_steps_down_or_its_lease_is_over() {
    let database = ephemeral(&OUTBOX);
    let outbox = SqliteOutbox::new(&database);
    let leads = async |relay, lease| outbox.try_lead(relay, lease).await.unwrap().is_some();
    let hour = Duration::from_hours(1);
    assert!(leads("first", hour).await);
    assert!(!leads("second", hour).await);
    assert!(leads("first", hour).await, "a lead is renewed");
    outbox.step_down("second").await.unwrap();
    assert!(!leads("second", hour).await, "nobody gives up the lead of another");
    outbox.step_down("first").await.unwrap();
    assert!(leads("second", Duration::ZERO).await);
    assert!(leads("first", hour).await, "a lease that is over holds nobody back");
    // A lead that is longer than any that is given now: the clock was set back.
    assert!(leads("second", Duration::from_secs(1)).await);
}

#[tokio::test]
async fn an_event_exists_only_if_its_unit_committed() {
    let database = ephemeral(&OUTBOX);
    let mut wake = SqliteOutbox::new(&database).wake();
    let failed: Result<(), Error> = database
        .write("append-and-fail", |unit| {
            outbox::append(unit, &event(1))?;
            Err(Error::Malformed { what: "order" })
        })
        .await;
    failed.unwrap_err();
    assert_eq!(pending_ids(&SqliteOutbox::new(&database)).await, Vec::<String>::new());
    assert!(wake.next().now_or_never().is_none());
}

async fn first_time(database: &Database, consumer: &'static str, id: &'static str) -> bool {
    let first: Result<bool, Error> =
        database.write("first-time", move |unit| inbox::first_time(unit, consumer, id)).await;
    first.unwrap()
}

#[tokio::test]
async fn an_event_is_seen_for_the_first_time_once_a_consumer() {
    let database = ephemeral(&[&OUTBOX[..], &[INBOX]].concat());
    for (consumer, id, expected) in [
        ("mail", "event-1", true),
        ("mail", "event-1", false),
        ("sms", "event-1", true),
        ("mail", "event-2", true),
    ] {
        assert_eq!(first_time(&database, consumer, id).await, expected, "{consumer} {id}");
    }
}

#[tokio::test]
async fn an_effect_that_rolls_back_leaves_the_event_unseen() {
    let database = ephemeral(&[&OUTBOX[..], &[INBOX]].concat());
    let failed: Result<(), Error> = database
        .write("handle-and-fail", |unit| {
            assert!(inbox::first_time(unit, "mail", "event-1")?);
            Err(Error::Malformed { what: "mail" })
        })
        .await;
    failed.unwrap_err();
    assert!(first_time(&database, "mail", "event-1").await);
}

#[tokio::test]
async fn old_inbox_entries_are_purged() {
    let database = ephemeral(&[&OUTBOX[..], &[INBOX]].concat());
    first_time(&database, "mail", "event-1").await;
    let purge = |age| database.write("purge", move |unit| inbox::purge(unit, age, 10));
    let young: Result<usize, Error> = purge(Duration::from_hours(1)).await;
    assert_eq!(young.unwrap(), 0);
    let old: Result<usize, Error> = purge(Duration::ZERO).await;
    assert_eq!(old.unwrap(), 1);
    assert!(first_time(&database, "mail", "event-1").await);
}
