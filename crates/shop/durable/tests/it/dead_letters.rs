//! What a consume loop parks can be looked at and published again, once.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::StreamExt as _;
use waypost_durable::Location;
use waypost_durable::broker::{
    Broker, EmbeddedBroker, EmbeddedBrokerOptions, KIND_HEADER, Record, Retention, TopicSpec,
};
use waypost_durable::consume::{self, Failure, Subscription, dead_letter_topic};
use waypost_durable::dead_letters::{DeadLetter, DeadLetters, Joined, Replayed};
use waypost_durable::outbox::{Outbox as _, Parked, SqliteOutbox};
use waypost_durable::{Database, Error, Unit, dead_letters};
use waypost_telemetry::Telemetry;

use crate::outbox::{self, OUTBOX, append};
use crate::{ephemeral, eventually, suite};

const TOPIC: &str = "order-events";
const MALFORMED: Error = Error::Malformed { what: "event" };

fn event(id: &str) -> Record {
    Record {
        topic: TOPIC.to_owned(),
        key: "order-1".to_owned(),
        id: id.to_owned(),
        payload: id.as_bytes().to_vec(),
        headers: vec![("traceparent".to_owned(), b"00-1".to_vec())],
        timestamp: Some(SystemTime::UNIX_EPOCH + Duration::from_millis(1_790_000_000_123)),
    }
}

/// A broker in which two events were parked.
async fn with_two_letters() -> EmbeddedBroker {
    let broker = EmbeddedBroker::open(EmbeddedBrokerOptions::new(Location::Ephemeral)).unwrap();
    let topics = [TOPIC.to_owned(), dead_letter_topic(TOPIC)];
    broker.ensure_topics(topics.map(TopicSpec::new).into()).await.unwrap();
    suite::publish(&broker, vec![event("event-1"), event("event-2")]).await;
    let subscription = Subscription::new(Arc::new(broker.clone()), "group", TOPIC, &Telemetry::disabled());
    let parked =
        async { eventually("two letters", || async { (count(&broker).await == 2).then_some(()) }).await };
    let refuse = |_| async { Err::<(), _>(Failure::Reject(MALFORMED)) };
    consume::run(subscription, refuse, parked).await.unwrap();
    broker
}

async fn count(source: &dyn DeadLetters) -> u64 {
    source.count().await.unwrap()
}

async fn waiting(source: &dyn DeadLetters) -> Vec<DeadLetter> {
    source.waiting(None, 10).await.unwrap()
}

#[tokio::test]
async fn a_letter_tells_where_it_comes_from_and_why() {
    let broker = with_two_letters().await;
    let letters = waiting(&broker).await;
    let letter = &letters[0];
    assert_eq!(letter.record, event("event-1"), "published again it is what it was");
    assert_eq!((letter.group.as_str(), letter.attempts), ("group", 1));
    assert_eq!(
        (letter.reason.as_str(), letter.error_type.as_str()),
        ("stored event is malformed", "malformed")
    );
    let (partition, offset) = letter.place.unwrap();
    assert_eq!((letter.reference.as_str(), offset), (format!("{TOPIC}/{partition}/0").as_str(), 0));
    assert_eq!(broker.find(&letter.reference).await.unwrap().as_ref(), Some(letter));
    let next = broker.waiting(Some(&letter.reference), 10).await.unwrap();
    assert_eq!(next, letters[1..]);
}

#[tokio::test]
async fn a_letter_is_published_again_once() {
    let broker = with_two_letters().await;
    let reference = waiting(&broker).await[0].reference.clone();
    let replay = || async { broker.replay(&reference, "ann", "mended").await.unwrap() };
    let both = tokio::join!(replay(), replay());
    assert!(
        matches!(both, (Replayed::Now, Replayed::Before) | (Replayed::Before, Replayed::Now)),
        "{both:?}"
    );
    assert_eq!(count(&broker).await, 1);
    let replayed = broker.find(&reference).await.unwrap().unwrap().replay.unwrap();
    assert_eq!((replayed.by.as_str(), replayed.reason.as_str()), ("ann", "mended"));

    let mut consumer = broker.subscribe("late", TOPIC).await.unwrap();
    let mut seen: Vec<Record> = Vec::new();
    while seen.len() < 3 {
        let polled = consumer.poll(10, Duration::from_secs(1)).await.unwrap();
        seen.extend(polled.records.into_iter().map(|delivery| delivery.record));
    }
    assert_eq!(seen, [event("event-1"), event("event-2"), event("event-1")]);
}

#[tokio::test]
async fn what_was_published_again_is_deleted_after_a_while_and_nothing_else() {
    let broker = with_two_letters().await;
    let letters = waiting(&broker).await;
    broker.replay(&letters[0].reference, "ann", "mended").await.unwrap();
    let keep_for = |age| {
        let retention = Retention { age: Some(age), bytes: None };
        broker.ensure_topics(vec![TopicSpec { retention, ..TopicSpec::new(dead_letter_topic(TOPIC)) }])
    };
    keep_for(Duration::from_hours(1)).await.unwrap();
    assert_eq!(broker.delete_consumed().await.unwrap(), 0);
    assert!(broker.find(&letters[0].reference).await.unwrap().is_some());
    keep_for(Duration::ZERO).await.unwrap();
    assert_eq!(broker.delete_consumed().await.unwrap(), 1);
    assert_eq!(broker.find(&letters[0].reference).await.unwrap(), None);
    assert_eq!(waiting(&broker).await, letters[1..]);
}

#[tokio::test]
async fn what_is_no_letter_is_not_found() {
    let broker = with_two_letters().await;
    let joined = Joined(vec![Arc::new(broker.clone()), Arc::new(broker)]);
    for reference in ["", "nonsense", "order-events/0", "order-events/9/0", "order-events/0/77", "other/0/0"]
    {
        assert_eq!(joined.find(reference).await.unwrap(), None, "{reference}");
        let replayed = joined.replay(reference, "ann", "why").await.unwrap();
        assert_eq!(replayed, dead_letters::Replayed::Unknown, "{reference}");
    }
    assert_eq!(count(&joined).await, 4, "sources add up");
}

/// An outbox with the events 0, 1 and 3, of which 0 is parked; 3 is of the same key.
async fn with_a_parked_event() -> (Database, SqliteOutbox) {
    let database = ephemeral(&OUTBOX);
    append(&database, [0, 1, 3].map(outbox::event).into()).await;
    let outbox = SqliteOutbox::new(&database);
    let position = outbox.pending(1).await.unwrap()[0].position;
    outbox.park(position, outbox::too_large(3)).await.unwrap();
    (database, outbox)
}

async fn pending_ids(outbox: &SqliteOutbox) -> Vec<String> {
    outbox.pending(10).await.unwrap().into_iter().map(|pending| pending.event.id).collect()
}

#[tokio::test]
async fn a_parked_event_is_a_dead_letter() {
    let (_database, outbox) = with_a_parked_event().await;
    let letters = waiting(&outbox).await;
    let [letter] = &letters[..] else { panic!("{letters:?}") };
    assert_eq!(letter.reference, "outbox:test:1");
    let Parked { reason, error_type, attempts } = outbox::too_large(3);
    assert_eq!((&letter.reason, &letter.error_type, letter.attempts), (&reason, &error_type, attempts));
    let event = outbox::event(0);
    assert_eq!((&letter.record.id, &letter.record.payload), (&event.id, &event.payload));
    assert_eq!(letter.record.header("tenant"), Some("acme"));
    assert_eq!(letter.record.header(KIND_HEADER), Some("order.completed"));
    assert_eq!(outbox.waiting(Some(&letter.reference), 10).await.unwrap(), []);

    // Beside those of a broker, each is found in its own source.
    let broker = with_two_letters().await;
    let joined = Joined(vec![Arc::new(broker.clone()), Arc::new(outbox)]);
    assert_eq!(count(&joined).await, 3);
    assert_eq!(joined.find("outbox:test:1").await.unwrap().as_ref(), Some(letter));
    let mut pages = Vec::new();
    while let [letter] = &joined.waiting(pages.last().map(String::as_str), 1).await.unwrap()[..] {
        pages.push(letter.reference.clone());
    }
    let expected: Vec<String> = waiting(&joined).await.into_iter().map(|letter| letter.reference).collect();
    assert_eq!(pages, expected);
    for reference in ["outbox:test:2", "outbox:test:99", "outbox:other:1", "outbox:test:", "test:1"] {
        assert_eq!(joined.find(reference).await.unwrap(), None, "{reference}");
        assert_eq!(joined.replay(reference, "ann", "why").await.unwrap(), Replayed::Unknown, "{reference}");
    }
}

#[tokio::test]
async fn a_parked_event_is_put_back_once_and_before_those_of_its_key() {
    let (_database, outbox) = with_a_parked_event().await;
    assert_eq!(pending_ids(&outbox).await, ["event-1"]);
    let mut wake = outbox.wake();
    assert_eq!(outbox.replay("outbox:test:1", "ann", "the limit is higher").await.unwrap(), Replayed::Now);
    assert_eq!(wake.next().await, Some(()), "the relay is woken");
    assert_eq!(outbox.replay("outbox:test:1", "ann", "again").await.unwrap(), Replayed::Before);
    assert_eq!(pending_ids(&outbox).await, ["event-0", "event-1", "event-3"]);
    assert_eq!(count(&outbox).await, 0);
    let replay = outbox.find("outbox:test:1").await.unwrap().unwrap().replay.unwrap();
    assert_eq!((replay.by.as_str(), replay.reason.as_str()), ("ann", "the limit is higher"));

    // It is refused again: it waits again, and can be put back again.
    outbox.park(1, outbox::too_large(4)).await.unwrap();
    let letters = waiting(&outbox).await;
    assert_eq!((letters[0].attempts, &letters[0].replay), (4, &None));
    assert_eq!(outbox.replay("outbox:test:1", "ann", "now").await.unwrap(), Replayed::Now);
}

#[tokio::test]
async fn a_damaged_event_can_be_looked_at() {
    let (database, outbox) = with_a_parked_event().await;
    let damage = |unit: &mut Unit<'_>| {
        unit.execute("UPDATE outbox SET headers = x'ff', payload = 'text' WHERE position = 1", ())
    };
    database.write::<_, Error, _>("damage", damage).await.unwrap();
    let letter = outbox.find("outbox:test:1").await.unwrap().unwrap();
    assert_eq!((letter.record.id.as_str(), &letter.record.payload[..]), ("event-0", &b"text"[..]));
    assert_eq!(waiting(&outbox).await, [letter]);
}
