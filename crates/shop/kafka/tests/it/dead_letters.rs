//! What a consume loop parks can be looked at and published again, once.

use std::sync::Arc;
use std::time::SystemTime;

use waypost_durable::Error;
use waypost_durable::broker::{Broker, Record};
use waypost_durable::consume::{self, Failure, Subscription};
use waypost_durable::dead_letters::{DeadLetter, DeadLetters as _, Replayed};
use waypost_kafka::{Kafka, KafkaOptions};
use waypost_telemetry::Telemetry;

use crate::{eventually, options, suite, with_topics};

/// A broker in which three records of one key were parked.
async fn with_three_letters(options: KafkaOptions) -> Kafka {
    let broker = with_topics(options).await;
    suite::publish(&broker, (0..3).map(|number| suite::record("t", "order-1", number)).collect()).await;
    let subscription = Subscription::new(Arc::new(broker.clone()), "group", "t", &Telemetry::disabled());
    let parked = async {
        eventually("three letters", || async { (broker.count().await.unwrap() == 3).then_some(()) }).await;
    };
    let refuse = |_| async { Err::<(), _>(Failure::Reject(Error::Malformed { what: "event" })) };
    consume::run(subscription, refuse, parked).await.unwrap();
    broker
}

async fn waiting(broker: &Kafka) -> Vec<DeadLetter> {
    broker.waiting(None, 10).await.unwrap()
}

#[tokio::test]
async fn a_letter_tells_where_it_comes_from_and_why() {
    let begun = SystemTime::now() - std::time::Duration::from_secs(1);
    let broker = with_three_letters(options()).await;
    let letters = waiting(&broker).await;
    assert_eq!(letters.len(), 3);
    for (number, letter) in letters.iter().enumerate() {
        assert_eq!(letter.record, suite::record("t", "order-1", number), "published again it is what it was");
        assert_eq!((letter.group.as_str(), letter.attempts), ("group", 1));
        assert_eq!(
            (letter.reason.as_str(), letter.error_type.as_str()),
            ("stored event is malformed", "malformed")
        );
        let (partition, offset) = letter.place.unwrap();
        assert_eq!(letter.reference, format!("t/{partition}/{offset}"));
        assert!(letter.since > begun, "since it was parked, not since it happened: {:?}", letter.since);
        assert_eq!(broker.find(&letter.reference).await.unwrap().as_ref(), Some(letter));
    }
    assert_eq!(broker.waiting(Some(&letters[0].reference), 10).await.unwrap(), letters[1..]);
    assert_eq!(broker.waiting(None, 2).await.unwrap(), letters[..2]);
}

#[tokio::test]
async fn a_letter_is_published_again_once_whoever_asks() {
    let options = options();
    let broker = with_three_letters(options.clone()).await;
    let letters = waiting(&broker).await;
    let reference = letters[1].reference.as_str();
    // Another process on the same topics.
    let other = with_topics(options).await;
    let replay = |broker: Kafka| async move { broker.replay(reference, "ann", "mended").await.unwrap() };
    let both = tokio::join!(replay(broker.clone()), replay(other.clone()));
    assert!(
        matches!(both, (Replayed::Now, Replayed::Before) | (Replayed::Before, Replayed::Now)),
        "{both:?}"
    );
    assert_eq!(broker.replay(reference, "bob", "again").await.unwrap(), Replayed::Before);
    for broker in [&broker, &other] {
        assert_eq!(broker.count().await.unwrap(), 2);
        let left: Vec<DeadLetter> = [0, 2].map(|number| letters[number].clone()).into();
        assert_eq!(waiting(broker).await, left);
        let replayed = broker.find(reference).await.unwrap().unwrap().replay.unwrap();
        assert_eq!((replayed.by.as_str(), replayed.reason.as_str()), ("ann", "mended"));
    }

    let mut consumer = broker.subscribe("late", "t").await.unwrap();
    let seen: Vec<Record> =
        suite::take(&mut *consumer, 4).await.unwrap().into_iter().map(|delivery| delivery.record).collect();
    assert_eq!(seen, [0, 1, 2, 1].map(|number| suite::record("t", "order-1", number)));
    consumer.close().await.unwrap();
}

#[tokio::test]
async fn what_is_no_letter_is_not_found() {
    let broker = with_three_letters(options()).await;
    for reference in ["", "nonsense", "t/0", "t/9/0", "t/0/77", "other/0/0"] {
        assert_eq!(broker.find(reference).await.unwrap(), None, "{reference}");
        assert_eq!(broker.replay(reference, "ann", "why").await.unwrap(), Replayed::Unknown, "{reference}");
    }
    assert_eq!(broker.count().await.unwrap(), 3);
}
