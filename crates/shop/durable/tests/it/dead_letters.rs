//! What a consume loop parks can be looked at and published again, once.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use waypost_durable::Location;
use waypost_durable::broker::{Broker, EmbeddedBroker, EmbeddedBrokerOptions, Record, TopicSpec};
use waypost_durable::consume::{self, Failure, Subscription, dead_letter_topic};
use waypost_durable::dead_letters::{DeadLetter, DeadLetters, Joined, Replayed};
use waypost_durable::{Error, dead_letters};
use waypost_telemetry::Telemetry;

use crate::{eventually, suite};

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
