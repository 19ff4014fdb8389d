//! What a unit, a relay and a consumer look like in a trace.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use waypost_durable::broker::{Broker, TopicSpec};
use waypost_durable::consume::{self, ConsumeOptions, Failure, RetryTopics, Subscription};
use waypost_durable::outbox::{self, Event, SqliteOutbox};
use waypost_durable::relay::{Relay, RelayOptions};
use waypost_durable::{Backoff, Database, DatabaseOptions, Error, Location, Migration, inbox};
use waypost_telemetry::messaging::Correlation;
use waypost_telemetry::opentelemetry::Context;
use waypost_telemetry::testing::{TestTelemetry, checks, wait_for, wait_for_tree};
use waypost_telemetry::{ErrorType, Telemetry, span, trace_id, with_context};

use super::outbox::event;
use super::test_broker::TestBroker;
use super::{NOTES, eventually, insert, names, suite};

const PATIENCE: Duration = Duration::from_secs(10);

fn database(telemetry: &Telemetry) -> Database {
    let tables = [
        NOTES,
        Migration::new("0002_outbox", outbox::SCHEMA),
        Migration::new("0003_inbox", inbox::SCHEMA),
        Migration::new("0004_outbox_parking", outbox::PARKING),
        Migration::new("0005_outbox_replays", outbox::REPLAYS),
        Migration::new("0006_outbox_parked_with", outbox::PARKED_WITH),
    ];
    Database::open(DatabaseOptions::new(Location::Ephemeral, "order", telemetry), &tables).unwrap()
}

/// Runs something inside a span `request`, as a server's handler does.
async fn in_request<T>(telemetry: &TestTelemetry, work: impl Future<Output = T>) -> T {
    with_context(telemetry.context(), async { span("request").observe(work).await }).await
}

async fn place(database: &Database, name: &'static str) -> Result<(), Error> {
    let event = event(1).caused_by(&Context::current());
    database
        .write("place-order", move |unit| {
            unit.execute("INSERT INTO notes (name) VALUES (?1)", (name,))?;
            outbox::append(unit, &Event { id: name.to_owned(), ..event })
        })
        .await
}

#[tokio::test]
async fn a_unit_is_a_client_span_named_by_its_statements() {
    let telemetry = TestTelemetry::new("order-service");
    let database = database(&telemetry);
    in_request(&telemetry, place(&database, "order-1")).await.unwrap();
    in_request(&telemetry, async { names(&database).await }).await;
    checks::assert_sound(&[&telemetry]);
    let spans = telemetry.finished_spans();
    waypost_telemetry::testing::SpanTree::of(&spans[..2], &spans[0].trace_id().to_string()).assert_matches(
        r"
        request INTERNAL order-service
          INSERT notes; INSERT outbox CLIENT order-service db.system.name=sqlite db.namespace=order waypost.db.operation=place-order waypost.db.wait_duration=* waypost.db.commit.units=1
        ",
    );
    let read = telemetry.only_span("SELECT notes");
    assert_eq!(read.attribute("db.query.text").unwrap().as_str(), "SELECT name FROM notes ORDER BY rowid");
    assert!(read.attribute("db.response.returned_rows").is_some());
    assert!(read.attribute("waypost.db.commit.units").is_none());
}

#[tokio::test]
async fn units_of_one_commit_say_how_many_they_were_and_how_long_they_waited() {
    let telemetry = TestTelemetry::new("order-service");
    let database = database(&telemetry);
    let (release, released) = std::sync::mpsc::channel::<()>();
    let (entered, is_inside) = tokio::sync::oneshot::channel();
    let held = database.write("hold", move |_| {
        let _ = entered.send(());
        let _ = released.recv();
        Ok::<_, Error>(())
    });
    let mut shortest_wait = Duration::ZERO;
    let writes = async {
        is_inside.await.unwrap();
        let writes =
            futures_util::future::join_all((0..8).map(|number| insert(&database, number.to_string())));
        let releasing = async {
            // The writes are in the queue by now; a query takes its time on the reader.
            let queued = Instant::now();
            names(&database.untraced()).await;
            shortest_wait = queued.elapsed();
            drop(release);
        };
        tokio::join!(biased; writes, releasing).0
    };
    let started = Instant::now();
    let (held, written) = with_context(telemetry.context(), async { tokio::join!(held, writes) }).await;
    let max_wait = started.elapsed();
    held.unwrap();
    written.into_iter().for_each(Result::unwrap);
    let spans = telemetry.finished_spans();
    let inserts: Vec<_> = spans.iter().filter(|span| span.name() == "INSERT notes").collect();
    assert_eq!(inserts.len(), 8);
    for insert in inserts {
        assert_eq!(insert.attribute("waypost.db.commit.units").unwrap().as_str(), "8");
        let waited: f64 = insert.attribute("waypost.db.wait_duration").unwrap().as_str().parse().unwrap();
        assert!((shortest_wait.as_secs_f64()..max_wait.as_secs_f64()).contains(&waited), "{waited}");
    }
}

#[tokio::test]
async fn a_unit_that_fails_or_panics_is_an_error_with_its_class() {
    let telemetry = TestTelemetry::new("order-service");
    let database = database(&telemetry);
    in_request(&telemetry, async {
        insert(&database, "twice").await.unwrap();
        let twice = insert(&database, "twice").await.unwrap_err();
        assert!(twice.violates_unique("notes.name"), "{twice:?}");
        let panicked: Result<(), Error> = database.write("panic", |_| panic!("on purpose")).await;
        panicked.unwrap_err();
    })
    .await;
    checks::assert_sound(&[&telemetry]);
    telemetry.tree().assert_matches(
        "
        request INTERNAL order-service
          INSERT notes CLIENT order-service
          INSERT notes CLIENT order-service ERROR error.type=SQLITE_CONSTRAINT_UNIQUE
          panic CLIENT order-service ERROR error.type=panic
        ",
    );
}

#[tokio::test]
async fn an_answer_that_is_no_failure_leaves_the_status_alone() {
    #[derive(Debug, thiserror::Error)]
    enum Answer {
        #[error("no such order")]
        NotFound,
        #[error(transparent)]
        Database(#[from] Error),
    }
    impl ErrorType for Answer {
        fn error_type(&self) -> std::borrow::Cow<'static, str> {
            "order_not_found".into()
        }
        fn is_failure(&self) -> bool {
            false
        }
    }
    let telemetry = TestTelemetry::new("order-service");
    let database = database(&telemetry);
    let answer: Result<(), Answer> =
        in_request(&telemetry, async { database.write("cancel-order", |_| Err(Answer::NotFound)).await })
            .await;
    assert!(matches!(answer, Err(Answer::NotFound)));
    assert!(!telemetry.only_span("cancel-order").is_error());
}

#[tokio::test]
async fn the_span_of_a_caller_that_went_away_ends_with_the_commit() {
    let telemetry = TestTelemetry::new("order-service");
    let database = database(&telemetry);
    let (release, released) = std::sync::mpsc::channel::<()>();
    let (entered, is_inside) = tokio::sync::oneshot::channel();
    let caller = with_context(telemetry.context(), async {
        let unit = database.write("slow", move |unit| {
            let _ = entered.send(());
            let _ = released.recv();
            unit.execute("INSERT INTO notes (name) VALUES ('of nobody')", ())?;
            Ok::<_, Error>(())
        });
        tokio::select! {
            biased;
            _ = unit => unreachable!("the unit waits"),
            _ = is_inside => {}
        }
    });
    caller.await;
    assert_eq!(telemetry.finished_spans().len(), 0);
    drop(release);
    let spans = wait_for(&[&telemetry], PATIENCE, |spans| spans.len() == 1).await.unwrap();
    assert_eq!((spans[0].name(), spans[0].is_error()), ("INSERT notes", false));
    assert!(spans[0].attribute("waypost.outcome").is_none());
    assert_eq!(names(&database.untraced()).await, ["of nobody"]);
}

struct Pipeline {
    drain: CancellationToken,
    relay: tokio::task::JoinHandle<()>,
    consumer: tokio::task::JoinHandle<Result<(), Error>>,
}

impl Pipeline {
    /// A relay of the order service and a consumer of the notification service that handles with `handler`.
    fn start<F>(
        orders: (&Database, &TestTelemetry),
        notification: &TestTelemetry,
        broker: Arc<dyn Broker>,
        correlation: Correlation,
        handler: impl Fn(Arc<waypost_durable::broker::Delivery>) -> F + Send + Sync + 'static,
    ) -> Pipeline
    where
        F: Future<Output = Result<(), Failure<Error>>> + Send + 'static,
    {
        let none = RetryTopics::default();
        Pipeline::start_with(orders, notification, broker, (correlation, none), handler)
    }

    /// As [`Pipeline::start`], with retry topics.
    fn start_with<F>(
        orders: (&Database, &TestTelemetry),
        notification: &TestTelemetry,
        broker: Arc<dyn Broker>,
        (correlation, retries): (Correlation, RetryTopics),
        handler: impl Fn(Arc<waypost_durable::broker::Delivery>) -> F + Send + Sync + 'static,
    ) -> Pipeline
    where
        F: Future<Output = Result<(), Failure<Error>>> + Send + 'static,
    {
        let backoff = Backoff { first: Duration::from_millis(1), max: Duration::from_millis(2) };
        let options = RelayOptions { backoff, interval: Duration::from_hours(1), ..RelayOptions::default() };
        let relay = Relay::new(Arc::new(SqliteOutbox::new(orders.0)), Arc::clone(&broker), orders.1)
            .with_options(options);
        let mut subscription = Subscription::new(broker, "notification", "order-events", notification);
        subscription.options =
            ConsumeOptions { correlation, attempts: 2, backoff, ..ConsumeOptions::default() };
        subscription.retries = retries;
        let drain = CancellationToken::new();
        Pipeline {
            relay: waypost_telemetry::spawn(relay.run(drain.clone().cancelled_owned())),
            consumer: waypost_telemetry::spawn(consume::run(
                subscription,
                handler,
                drain.clone().cancelled_owned(),
            )),
            drain,
        }
    }

    async fn drain(self) {
        self.drain.cancel();
        self.relay.await.unwrap();
        self.consumer.await.unwrap().unwrap();
    }
}

fn notify(
    database: Database,
) -> impl Fn(
    Arc<waypost_durable::broker::Delivery>,
) -> futures_util::future::BoxFuture<'static, Result<(), Failure<Error>>> {
    move |delivery| {
        let database = database.clone();
        Box::pin(async move {
            let id = delivery.record.id.clone();
            let written: Result<(), Error> = database
                .write("write-notification", move |unit| {
                    if inbox::first_time(unit, "notification", &id)? {
                        unit.execute("INSERT INTO notes (name) VALUES (?1)", (id,))?;
                    }
                    Ok(())
                })
                .await;
            Ok(written?)
        })
    }
}

#[tokio::test]
async fn an_event_is_one_trace_from_the_unit_that_caused_it_to_the_effect_of_its_consumer() {
    let (orders, notification) =
        (TestTelemetry::new("order-service"), TestTelemetry::new("notification-service"));
    let (order_database, notification_database) = (database(&orders), database(&notification));
    let broker = Arc::new(TestBroker::open().await);
    let pipeline = Pipeline::start(
        (&order_database, &orders),
        &notification,
        broker,
        Correlation::Parent,
        notify(notification_database.clone()),
    );
    let trace = in_request(&orders, async {
        place(&order_database, "order-1").await.unwrap();
        trace_id().unwrap()
    })
    .await;
    wait_for_tree(
        &[&orders, &notification],
        &trace,
        r"
        request INTERNAL order-service
          INSERT notes; INSERT outbox CLIENT order-service
          send order-events PRODUCER order-service messaging.system=waypost messaging.message.id=order-1 messaging.destination.partition.id=*
            process order-events CONSUMER notification-service messaging.consumer.group.name=notification messaging.message.id=order-1
              INSERT inbox; INSERT notes CLIENT notification-service
        ",
        PATIENCE,
    )
    .await;
    pipeline.drain().await;
    // Polling, marking, heartbeats and commits of offsets made no spans.
    assert_eq!(orders.finished_spans().len() + notification.finished_spans().len(), 5);
    checks::assert_sound(&[&orders, &notification]);
}

#[tokio::test]
async fn a_consumer_by_link_begins_a_trace_of_its_own() {
    let (orders, notification) =
        (TestTelemetry::new("order-service"), TestTelemetry::new("notification-service"));
    let (order_database, notification_database) = (database(&orders), database(&notification));
    let broker = Arc::new(TestBroker::open().await);
    let pipeline = Pipeline::start(
        (&order_database, &orders),
        &notification,
        broker,
        Correlation::Link,
        notify(notification_database),
    );
    in_request(&orders, place(&order_database, "order-1")).await.unwrap();
    let spans = wait_for(&[&orders, &notification], PATIENCE, |spans| spans.len() == 5).await.unwrap();
    pipeline.drain().await;
    let process = notification.only_span("process order-events");
    waypost_telemetry::testing::SpanTree::of(&spans, &process.trace_id().to_string()).assert_matches(
        "
        process order-events CONSUMER notification-service -> send order-events
          INSERT inbox; INSERT notes CLIENT notification-service
        ",
    );
}

#[tokio::test]
async fn a_broker_outage_is_one_producer_span_and_not_one_a_try() {
    let telemetry = TestTelemetry::new("order-service");
    let database = database(&telemetry);
    let broker = TestBroker::open().await;
    broker.set_available(false);
    in_request(&telemetry, place(&database, "order-1")).await.unwrap();
    let relay = Relay::new(Arc::new(SqliteOutbox::new(&database)), Arc::new(broker.clone()), &telemetry)
        .with_options(RelayOptions {
            backoff: Backoff { first: Duration::from_millis(1), max: Duration::from_millis(1) },
            ..RelayOptions::default()
        });
    let drain = CancellationToken::new();
    let running = waypost_telemetry::spawn(relay.run(drain.clone().cancelled_owned()));
    eventually("the relay tried several times", || async { (broker.refused() > 5).then_some(()) }).await;
    broker.set_available(true);
    wait_for(&[&telemetry], PATIENCE, |spans| spans.len() == 3).await.unwrap();
    drain.cancel();
    running.await.unwrap();
    telemetry.tree().assert_matches(
        "
        request INTERNAL order-service
          INSERT notes; INSERT outbox CLIENT order-service
          send order-events PRODUCER order-service
        ",
    );
}

#[tokio::test]
async fn each_try_of_a_record_is_a_span_and_the_last_one_parks_it() {
    let (orders, notification) =
        (TestTelemetry::new("order-service"), TestTelemetry::new("notification-service"));
    let order_database = database(&orders);
    let broker = Arc::new(TestBroker::open().await);
    let pipeline = Pipeline::start(
        (&order_database, &orders),
        &notification,
        broker.clone(),
        Correlation::Parent,
        |_| async { Err(Failure::Retry(Error::Malformed { what: "event" })) },
    );
    let trace = in_request(&orders, async {
        place(&order_database, "order-1").await.unwrap();
        trace_id().unwrap()
    })
    .await;
    wait_for_tree(
        &[&orders, &notification],
        &trace,
        r"
        request INTERNAL order-service
          INSERT notes; INSERT outbox CLIENT order-service
          send order-events PRODUCER order-service
            process order-events CONSUMER notification-service ERROR error.type=malformed
            process order-events CONSUMER notification-service ERROR error.type=malformed waypost.messaging.attempt=2
              send order-events.dead-letter PRODUCER notification-service messaging.message.id=order-1
        ",
        PATIENCE,
    )
    .await;
    pipeline.drain().await;
    // The parked record still carries the context it came with.
    let parked = broker.records("order-events.dead-letter").await;
    let sent = broker.records("order-events").await;
    assert_eq!(parked[0].header("traceparent"), sent[0].header("traceparent"));
    assert!(parked[0].header("traceparent").unwrap().contains(&trace));
}

#[tokio::test]
async fn a_try_from_a_retry_topic_stays_in_the_trace_of_its_event() {
    let (orders, notification) =
        (TestTelemetry::new("order-service"), TestTelemetry::new("notification-service"));
    let order_database = database(&orders);
    let broker = Arc::new(TestBroker::open().await);
    broker.ensure_topics(vec![TopicSpec::new("order-events.retry.1")]).await.unwrap();
    let retries = RetryTopics::after([Duration::from_millis(1)]);
    let pipeline = Pipeline::start_with(
        (&order_database, &orders),
        &notification,
        broker.clone(),
        (Correlation::Parent, retries),
        |_| async { Err(Failure::Retry(Error::Malformed { what: "event" })) },
    );
    let trace = in_request(&orders, async {
        place(&order_database, "order-1").await.unwrap();
        trace_id().unwrap()
    })
    .await;
    wait_for_tree(
        &[&orders, &notification],
        &trace,
        r"
        request INTERNAL order-service
          INSERT notes; INSERT outbox CLIENT order-service
          send order-events PRODUCER order-service
            process order-events CONSUMER notification-service ERROR error.type=malformed
            process order-events CONSUMER notification-service ERROR error.type=malformed waypost.messaging.attempt=2
              send order-events.retry.1 PRODUCER notification-service messaging.message.id=order-1
            process order-events.retry.1 CONSUMER notification-service ERROR error.type=malformed waypost.messaging.attempt=3 messaging.consumer.group.name=notification.retry.1
              send order-events.dead-letter PRODUCER notification-service messaging.message.id=order-1
        ",
        PATIENCE,
    )
    .await;
    pipeline.drain().await;
}

#[tokio::test]
async fn a_consumer_without_a_context_in_the_record_begins_a_trace() {
    let notification = TestTelemetry::new("notification-service");
    let broker = Arc::new(TestBroker::open().await);
    suite::publish(&*broker, vec![suite::record("order-events", "k", 1)]).await;
    let subscription = Subscription::new(broker, "notification", "order-events", &notification);
    let drain = CancellationToken::new();
    let running = waypost_telemetry::spawn(consume::run(
        subscription,
        |_| async { Ok::<(), Failure<Error>>(()) },
        drain.clone().cancelled_owned(),
    ));
    wait_for(&[&notification], PATIENCE, |spans| spans.len() == 1).await.unwrap();
    drain.cancel();
    running.await.unwrap().unwrap();
    notification.tree().assert_matches("process order-events CONSUMER notification-service");
}
