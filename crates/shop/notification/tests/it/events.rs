//! Events from a broker to messages.

use std::sync::Arc;
use std::time::Duration;

use waypost_api::events::{ORDER_EVENTS_TOPIC, OrderEvent, OrderEventKind};
use waypost_durable::broker::{Broker, EmbeddedBroker, EmbeddedBrokerOptions, Record, TopicSpec};
use waypost_durable::consume::{RetryTopics, dead_letter_topic};
use waypost_durable::{Files, Location, Storage};
use waypost_notification::store::{SqliteStore, Store};
use waypost_notification::{Config, Correlation, Parts, build};
use waypost_service::{Drain, DrainTrigger};
use waypost_telemetry::testing::{SpanTree, TestTelemetry};
use waypost_telemetry::{messaging, propagation, span, with_context};

use crate::event;

fn record(event: &OrderEvent) -> Record {
    Record {
        topic: ORDER_EVENTS_TOPIC.into(),
        key: event.order_id.to_string(),
        payload: serde_json::to_vec(event).unwrap(),
        headers: Vec::new(),
        id: event.event_id.to_string(),
        timestamp: None,
    }
}

async fn broker() -> Arc<dyn Broker> {
    let broker = EmbeddedBroker::open(EmbeddedBrokerOptions::new(Location::Ephemeral)).unwrap();
    let topics = [ORDER_EVENTS_TOPIC.to_owned(), dead_letter_topic(ORDER_EVENTS_TOPIC)];
    broker.ensure_topics(topics.map(TopicSpec::new).into()).await.unwrap();
    Arc::new(broker)
}

async fn publish(broker: &Arc<dyn Broker>, records: Vec<Record>) {
    for result in broker.publish(records).await {
        result.unwrap();
    }
}

/// The service over a folder, listening to a broker, until it is drained.
struct Listening {
    trigger: DrainTrigger,
    workers: Vec<tokio::task::JoinHandle<()>>,
}

impl Listening {
    async fn start(
        config: &Config,
        telemetry: &TestTelemetry,
        data: &Files,
        broker: &Arc<dyn Broker>,
    ) -> Listening {
        let parts = Parts {
            telemetry: telemetry.handle().clone(),
            storage: Storage::Embedded(data.clone()),
            broker: Arc::clone(broker),
            retries: RetryTopics::default(),
        };
        let (trigger, drain) = Drain::new();
        let app = build(config, parts).await.unwrap();
        let workers = app
            .workers
            .into_iter()
            .map(|worker| waypost_telemetry::spawn((worker.run)(drain.clone())))
            .collect();
        Listening { trigger, workers }
    }

    /// Drains in the order that a process does, so that the database is closed.
    async fn stop(self) {
        self.trigger.start();
        self.trigger.close();
        for worker in self.workers {
            worker.await.unwrap();
        }
    }
}

async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(20), async {
        while !is_so().await {
            tokio::task::yield_now().await;
        }
    });
    assert!(waited.await.is_ok(), "timed out waiting for {what}");
}

#[tokio::test]
async fn each_event_becomes_one_message_although_it_is_published_twice() {
    let folder = tempfile::tempdir().unwrap();
    let data = Files::Folder(folder.path().to_path_buf());
    let telemetry = TestTelemetry::new("notification-service");
    let broker = broker().await;
    let listening = Listening::start(&Config::default(), &telemetry, &data, &broker).await;
    let completed = event("order-1", OrderEventKind::Completed);
    publish(&broker, vec![record(&completed), record(&completed)]).await;
    publish(&broker, vec![record(&event("order-2", OrderEventKind::Failed))]).await;
    until("three handled records", async || {
        let spans = telemetry.handle().finished_spans();
        spans.iter().filter(|span| span.name() == "process order-events").count() == 3
    })
    .await;
    listening.stop().await;

    let store = SqliteStore::open(&data, telemetry.handle()).unwrap();
    assert_eq!(store.total().await.unwrap(), 2);
    store.close().await;
}

#[tokio::test]
async fn a_message_is_part_of_the_orders_trace_or_linked_to_it() {
    for correlation in [Correlation::Parent, Correlation::Link] {
        let telemetry = TestTelemetry::new("notification-service");
        let broker = broker().await;
        let config = Config { correlation, ..Config::default() };
        let listening = Listening::start(&config, &telemetry, &Files::Ephemeral, &broker).await;
        let mut sent = record(&event("order-1", OrderEventKind::Completed));
        with_context(telemetry.handle().context(), async {
            span("send order-events")
                .observe(async {
                    let current = waypost_telemetry::opentelemetry::Context::current();
                    propagation::inject(&current, &mut messaging::HeaderCarrier(&mut sent.headers));
                })
                .await;
        })
        .await;
        publish(&broker, vec![sent]).await;
        until("the message's span", async || {
            telemetry.handle().finished_spans().iter().any(|span| span.name() == "process order-events")
        })
        .await;
        listening.stop().await;
        let spans = telemetry.handle().finished_spans();
        let producer = spans.iter().find(|span| span.name() == "send order-events").unwrap();
        let consumer = spans.iter().find(|span| span.name() == "process order-events").unwrap();
        match correlation {
            Correlation::Parent => SpanTree::of(&spans, &producer.trace_id().to_string()).assert_matches(
                "
send order-events INTERNAL notification-service
  process order-events CONSUMER notification-service order.id=order-1 user.id=user123 messaging.consumer.group.name=notification-service
    INSERT inbox; INSERT notifications CLIENT notification-service db.namespace=notification
",
            ),
            Correlation::Link => {
                assert_ne!(consumer.trace_id(), producer.trace_id());
                assert_eq!(consumer.links()[0].span_context().trace_id(), producer.trace_id());
            }
        }
    }
}

#[tokio::test]
async fn an_event_that_cannot_be_read_is_parked_and_the_next_one_is_handled() {
    let telemetry = TestTelemetry::new("notification-service");
    let broker = broker().await;
    let listening = Listening::start(&Config::default(), &telemetry, &Files::Ephemeral, &broker).await;
    let good = event("order-1", OrderEventKind::Completed);
    let poison = Record { payload: b"{not json".to_vec(), id: "poison".into(), ..record(&good) };
    publish(&broker, vec![poison, record(&good)]).await;
    let mut parked = broker.subscribe("test", &dead_letter_topic(ORDER_EVENTS_TOPIC)).await.unwrap();
    let mut found = Vec::new();
    until("the parked record", async || {
        found.extend(parked.poll(10, Duration::from_millis(50)).await.unwrap().records);
        !found.is_empty()
    })
    .await;
    assert_eq!(found[0].record.id, "poison");
    assert_eq!(found[0].record.payload, b"{not json");
    until("the good event's message", async || {
        let spans = telemetry.handle().finished_spans();
        spans.iter().any(|span| span.name().contains("INSERT notifications"))
    })
    .await;
    listening.stop().await;
}

#[tokio::test]
async fn the_log_of_a_poison_event_has_its_class_and_type() {
    let telemetry = TestTelemetry::new("notification-service");
    let broker = broker().await;
    let listening = Listening::start(&Config::default(), &telemetry, &Files::Ephemeral, &broker).await;
    let poison =
        Record { payload: b"{not json".to_vec(), ..record(&event("order-1", OrderEventKind::Completed)) };
    publish(&broker, vec![poison]).await;
    let attribute = |key: &str| {
        let logs = telemetry.handle().finished_logs();
        logs.iter().find_map(|log| log.attribute(key).map(ToString::to_string))
    };
    until("the log record", async || attribute("exception.type").is_some()).await;
    listening.stop().await;
    assert_eq!(attribute("exception.type").as_deref(), Some("waypost_notification::error::Error"));
    assert_eq!(attribute("error.type").as_deref(), Some("malformed_event"));
    assert_eq!(attribute("waypost.error.class").as_deref(), Some("caller"));
}
