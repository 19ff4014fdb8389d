//! The outbox and the inbox.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt as _, StreamExt as _};
use waypost_durable::dead_letters::Replayed;
use waypost_durable::outbox::{self, Event, Outbox, Parked, SqliteOutbox};
use waypost_durable::{Database, Error, Migration, Unit};

use super::ephemeral;
use crate::kinds::{Kind, on_each_kind};

pub(crate) const OUTBOX: [Migration; 4] = [
    Migration::new("0001_outbox", outbox::SCHEMA),
    Migration::new("0003_outbox_parking", outbox::PARKING),
    Migration::new("0004_outbox_replays", outbox::REPLAYS),
    Migration::new("0005_outbox_parked_with", outbox::PARKED_WITH),
];

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

on_each_kind! {
    events_are_pending_whole_and_in_order_until_they_are_marked
    an_event_with_a_known_id_is_not_appended_again
    published_events_are_deleted_in_batches_and_unpublished_ones_never
    marking_deletes_more_old_events_than_it_marks
    a_parked_event_holds_back_its_key_and_nobody_else
    a_parked_event_is_a_letter_that_is_put_back_once
    an_append_wakes_who_waits_for_it
    an_append_of_another_process_wakes_who_waits_for_it
    one_relay_leads_until_it_steps_down
    an_event_exists_only_if_its_unit_committed
    an_event_is_seen_for_the_first_time_once_a_consumer
    of_consumers_at_once_one_sees_an_event_for_the_first_time
    an_effect_that_rolls_back_leaves_the_event_unseen
    old_inbox_entries_are_purged
}

/// An outbox with these events in it.
async fn filled(kind: &Kind, events: Vec<Event>) -> Arc<dyn Outbox> {
    kind.append(events).await;
    kind.outbox()
}

/// Longer than any test.
const KEPT: Duration = Duration::from_hours(1);

async fn positions(outbox: &dyn Outbox) -> Vec<i64> {
    outbox.pending(1000).await.unwrap().into_iter().map(|pending| pending.position).collect()
}

async fn pending_ids(outbox: &dyn Outbox) -> Vec<String> {
    outbox.pending(100).await.unwrap().into_iter().map(|pending| pending.event.id).collect()
}

async fn events_are_pending_whole_and_in_order_until_they_are_marked(kind: Kind) {
    let outbox = filled(&kind, (0..5).map(event).collect()).await;
    let pending = outbox.pending(3).await.unwrap();
    assert_eq!(
        pending.iter().map(|pending| pending.event.clone()).collect::<Vec<_>>(),
        [event(0), event(1), event(2)]
    );
    assert!(pending.is_sorted_by_key(|pending| pending.position));
    // Marked out of order, as after a partial acknowledgement: what is left is still all there.
    outbox.mark_published(vec![pending[1].position], KEPT).await.unwrap();
    assert_eq!(pending_ids(&*outbox).await, ["event-0", "event-2", "event-3", "event-4"]);
}

async fn an_event_with_a_known_id_is_not_appended_again(kind: Kind) {
    let outbox = filled(&kind, vec![event(1), event(2), event(1)]).await;
    assert_eq!(pending_ids(&*outbox).await, ["event-1", "event-2"]);
}

async fn published_events_are_deleted_in_batches_and_unpublished_ones_never(kind: Kind) {
    let outbox = filled(&kind, (0..10).map(event).collect()).await;
    let positions: Vec<i64> =
        outbox.pending(7).await.unwrap().iter().map(|pending| pending.position).collect();
    outbox.mark_published(positions, KEPT).await.unwrap();
    assert_eq!(outbox.delete_published(Duration::from_hours(1), 5).await.unwrap(), 0);
    assert_eq!(outbox.delete_published(Duration::ZERO, 5).await.unwrap(), 5);
    assert_eq!(outbox.delete_published(Duration::ZERO, 5).await.unwrap(), 2);
    assert_eq!(outbox.delete_published(Duration::ZERO, 5).await.unwrap(), 0);
    assert_eq!(pending_ids(&*outbox).await, ["event-7", "event-8", "event-9"]);
}

async fn marking_deletes_more_old_events_than_it_marks(kind: Kind) {
    let outbox = filled(&kind, (0..100).map(event).collect()).await;
    for positions in positions(&*outbox).await.chunks(10) {
        outbox.mark_published(positions.to_vec(), KEPT).await.unwrap();
    }
    // The load goes on, and what was published before has become old.
    for _ in 0..5 {
        outbox.mark_published(vec![i64::MAX; 10], Duration::ZERO).await.unwrap();
    }
    assert_eq!(outbox.delete_published(Duration::ZERO, 1000).await.unwrap(), 0);
}

async fn a_parked_event_holds_back_its_key_and_nobody_else(kind: Kind) {
    // Events 0, 3, 6 are of one key; 1, 4 and 2, 5 of two others.
    let outbox = filled(&kind, (0..7).map(event).collect()).await;
    let second_of_key = positions(&*outbox).await[3];
    outbox.park(second_of_key, too_large(1)).await.unwrap();
    assert_eq!(pending_ids(&*outbox).await, ["event-0", "event-1", "event-2", "event-4", "event-5"]);
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
async fn a_lease_that_is_over_holds_nobody_back() {
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

async fn an_append_wakes_who_waits_for_it(kind: Kind) {
    let mut wake = kind.outbox().wake();
    assert!(wake.next().now_or_never().is_none());
    kind.append(vec![event(1)]).await;
    assert_eq!(soon(wake.next()).await, Some(()));
}

/// Also when it is told so by the server; what is lost of that a relay finds by itself.
async fn an_append_of_another_process_wakes_who_waits_for_it(kind: Kind) {
    let outbox = kind.outbox();
    let mut wake = outbox.wake();
    let other = kind.again().await;
    let relay = other.outbox();
    let appends = async {
        // Who is not listening yet hears of a later one.
        for number in 0.. {
            other.append(vec![event(number)]).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        woken = soon(wake.next()) => assert_eq!(woken, Some(())),
        () = appends => {}
    }
    drop(relay);
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.unwrap()
}

async fn one_relay_leads_until_it_steps_down(kind: Kind) {
    let outbox = kind.outbox();
    let leads = async |relay| outbox.try_lead(relay, Duration::from_hours(1)).await.unwrap().is_some();
    assert!(leads("first").await);
    assert!(!leads("second").await);
    assert!(leads("first").await, "a lead is renewed");
    outbox.step_down("second").await.unwrap();
    assert!(!leads("second").await, "nobody gives up the lead of another");
    outbox.step_down("first").await.unwrap();
    assert!(leads("second").await);
}

async fn a_parked_event_is_a_letter_that_is_put_back_once(kind: Kind) {
    let outbox = filled(&kind, [0, 1, 3].map(event).into()).await;
    let position = positions(&*outbox).await[0];
    outbox.park(position, too_large(3)).await.unwrap();
    let letters = outbox.dead_letters();
    let waiting = letters.waiting(None, 10).await.unwrap();
    let [letter] = &waiting[..] else { panic!("{waiting:?}") };
    assert_eq!(letter.reference, format!("outbox:test:{position}"));
    assert_eq!(
        (letter.reason.as_str(), letter.record.id.as_str()),
        (too_large(3).reason.as_str(), "event-0")
    );
    assert_eq!((letter.error_type.as_str(), letter.attempts), ("record_too_large", 3));
    assert_eq!(letter.record.headers.first(), event(0).headers.first());
    assert_eq!((letter.since, letters.count().await.unwrap()), (kind.clock.now(), 1));
    assert!(letters.waiting(Some(&letter.reference), 10).await.unwrap().is_empty());

    let replay = async || letters.replay(&letter.reference, "ada", "it is smaller now").await.unwrap();
    assert_eq!((replay().await, replay().await), (Replayed::Now, Replayed::Before));
    assert_eq!(letters.replay("outbox:test:99", "ada", "?").await.unwrap(), Replayed::Unknown);
    assert_eq!(pending_ids(&*outbox).await, ["event-0", "event-1", "event-3"]);
    let replayed = letters.find(&letter.reference).await.unwrap().unwrap().replay.unwrap();
    assert_eq!((replayed.by.as_str(), replayed.at), ("ada", kind.clock.now()));
    assert_eq!(letters.count().await.unwrap(), 0);
}

async fn an_event_exists_only_if_its_unit_committed(kind: Kind) {
    let outbox = kind.outbox();
    let mut wake = outbox.wake();
    kind.append_and_fail(event(1)).await;
    assert_eq!(pending_ids(&*outbox).await, Vec::<String>::new());
    assert!(wake.next().now_or_never().is_none());
}

async fn an_event_is_seen_for_the_first_time_once_a_consumer(kind: Kind) {
    for (consumer, id, expected) in [
        ("mail", "event-1", true),
        ("mail", "event-1", false),
        ("sms", "event-1", true),
        ("mail", "event-2", true),
    ] {
        assert_eq!(kind.first_time(consumer, id, false).await.unwrap(), expected, "{consumer} {id}");
    }
}

async fn of_consumers_at_once_one_sees_an_event_for_the_first_time(kind: Kind) {
    let seen = (0..20).map(|_| {
        let kind = kind.clone();
        waypost_telemetry::spawn(async move { kind.first_time("mail", "event-1", false).await.unwrap() })
    });
    let seen = futures_util::future::try_join_all(seen).await.unwrap();
    assert_eq!(seen.into_iter().filter(|is_first| *is_first).count(), 1);
}

async fn an_effect_that_rolls_back_leaves_the_event_unseen(kind: Kind) {
    kind.first_time("mail", "event-1", true).await.unwrap_err();
    assert!(kind.first_time("mail", "event-1", false).await.unwrap());
}

async fn old_inbox_entries_are_purged(kind: Kind) {
    kind.first_time("mail", "event-1", false).await.unwrap();
    assert_eq!(kind.purge_inbox(Duration::from_hours(1)).await, 0);
    assert_eq!(kind.purge_inbox(Duration::ZERO).await, 1);
    assert!(kind.first_time("mail", "event-1", false).await.unwrap());
}
