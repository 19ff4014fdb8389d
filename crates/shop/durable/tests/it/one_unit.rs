//! What is one unit when outbox, broker and inbox are in one file: publishing an event and marking it, the effect of a record and
//! its offset.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use waypost_durable::broker::{
    Broker, Consumer, Delivery, EmbeddedBroker, EmbeddedBrokerOptions, IsDone, Progress, Record, TopicSpec,
};
use waypost_durable::consume::{self, Failure, Subscription};
use waypost_durable::outbox::{Outbox, SqliteOutbox};
use waypost_durable::relay::{Relay, RelayOptions};
use waypost_durable::{
    Backoff, Companion, Database, DatabaseOptions, Error, Location, Migration, SharedFile, Unit, inbox,
};
use waypost_telemetry::Telemetry;

use super::outbox::{OUTBOX, append, event};
use super::{eventually, suite};

const TOPIC: &str = "order-events";
const GROUP: &str = "notification";

const EFFECTS: [Migration; 2] = [
    Migration::new("0001_effects", "CREATE TABLE effects (event_id TEXT NOT NULL PRIMARY KEY)"),
    Migration::new("0002_inbox", inbox::SCHEMA),
];

/// Where the data of a test is.
struct Data {
    order: Database,
    notification: Database,
    broker: EmbeddedBroker,
    /// In the broker's file, to look at what it has.
    observer: Database,
}

impl Data {
    /// All of it in one file.
    async fn in_one_file(path: &Path) -> Data {
        let file = SharedFile::at(path.join("waypost.db"));
        let within = || Location::Within(file.clone());
        Data::at(within(), within(), &file).await
    }

    /// Each in a file of its own.
    async fn in_files_of_their_own() -> Data {
        Data::at(Location::Ephemeral, Location::Ephemeral, &SharedFile::ephemeral()).await
    }

    async fn at(order: Location, notification: Location, broker: &SharedFile) -> Data {
        let open = |location, name, migrations: &[Migration]| {
            Database::open(DatabaseOptions::new(location, name, &Telemetry::disabled()), migrations).unwrap()
        };
        let within = || Location::Within(broker.clone());
        // Nothing runs out while a test runs.
        let lease = Duration::from_hours(1);
        let options = EmbeddedBrokerOptions { lease, ..EmbeddedBrokerOptions::new(within()) };
        let data = Data {
            order: open(order, "order", &OUTBOX),
            notification: open(notification, "notification", &EFFECTS),
            broker: EmbeddedBroker::open(options).unwrap(),
            observer: open(within(), "observer", &[]),
        };
        data.broker.ensure_topics(vec![TopicSpec::new(TOPIC)]).await.unwrap();
        data
    }

    async fn close(self) {
        self.order.close().await;
        self.notification.close().await;
        self.observer.close().await;
        self.broker.close().await;
    }

    /// Up to where the group has committed, over all partitions.
    async fn committed(&self) -> i64 {
        number(&self.observer, "SELECT coalesce(sum(next_offset), 0) FROM broker_progress").await
    }

    async fn published(&self) -> i64 {
        number(&self.observer, "SELECT count(*) FROM broker_records").await
    }

    async fn effects(&self) -> i64 {
        number(&self.notification, "SELECT count(*) FROM effects").await
    }

    /// What the writers of all its files have done.
    fn units(&self) -> u64 {
        let mut files = vec![&self.order, &self.notification, &self.observer];
        files.dedup_by_key(|database| database.path().to_owned());
        files.into_iter().map(|database| database.counters().units).sum()
    }

    /// A member that holds all partitions, and the records that wait for it.
    async fn member(&self, count: usize) -> (Box<dyn Consumer>, Vec<Delivery>) {
        let mut consumer = self.broker.subscribe(GROUP, TOPIC).await.unwrap();
        let records = suite::take(&mut *consumer, count).await.unwrap();
        (consumer, records)
    }
}

async fn number(database: &Database, select: &'static str) -> i64 {
    let read = database.read::<_, Error, _>("number", |unit| unit.query_row(select, (), |row| row.get(0)));
    read.await.unwrap()
}

/// Records of one partition.
async fn publish(broker: &EmbeddedBroker, count: usize) {
    suite::publish(broker, (0..count).map(|number| suite::record(TOPIC, "key", number)).collect()).await;
}

/// The effect of a record, and its offset in the same unit if it can be; fails behind both if it is to.
async fn handle(database: &Database, delivery: &Delivery, fails: bool) -> Result<(), Error> {
    let then = delivery.committing().filter(|then| then.fits(database));
    let id = delivery.record.id.clone();
    let unit = move |unit: &mut Unit<'_>| {
        if inbox::first_time(unit, GROUP, &id)? {
            unit.execute("INSERT INTO effects VALUES (?1)", (id,))?;
        }
        then.map_or(Ok(()), |then| then.run(unit, ()))?;
        if fails { Err(Error::Malformed { what: "effect" }) } else { Ok(()) }
    };
    database.write("handle", unit).await
}

fn relay(data: &Data) -> (CancellationToken, tokio::task::JoinHandle<()>) {
    let options = RelayOptions {
        // Only an append wakes it.
        interval: Duration::from_hours(1),
        lease: Duration::from_hours(1),
        backoff: Backoff { first: Duration::from_millis(1), max: Duration::from_millis(5) },
        ..RelayOptions::default()
    };
    let outbox = Arc::new(SqliteOutbox::new(&data.order));
    let relay = Relay::new(outbox, Arc::new(data.broker.clone()), &Telemetry::disabled());
    let drain = CancellationToken::new();
    let running = relay.with_options(options).run(drain.clone().cancelled_owned());
    (drain, waypost_telemetry::spawn(running))
}

/// A consume loop whose handler makes the effect of a record and then goes on to `afterwards`.
fn consumer<F>(
    data: &Data,
    afterwards: impl Fn() -> F + Send + Sync + 'static,
) -> (CancellationToken, tokio::task::JoinHandle<Result<(), Error>>)
where
    F: Future<Output = ()> + Send + 'static,
{
    let (database, afterwards) = (data.notification.clone(), Arc::new(afterwards));
    let handler = move |delivery: Arc<Delivery>| {
        let (database, afterwards) = (database.clone(), Arc::clone(&afterwards));
        async move {
            handle(&database, &delivery, false).await?;
            afterwards().await;
            Ok::<_, Failure<Error>>(())
        }
    };
    let broker = Arc::new(data.broker.clone());
    let subscription = Subscription::new(broker, GROUP, TOPIC, &Telemetry::disabled());
    let drain = CancellationToken::new();
    let running = consume::run(subscription, handler, drain.clone().cancelled_owned());
    (drain, waypost_telemetry::spawn(running))
}

#[tokio::test]
async fn in_one_file_events_are_published_and_marked_in_one_unit() {
    let folder = tempfile::tempdir().unwrap();
    let data = Data::in_one_file(folder.path()).await;
    let outbox = SqliteOutbox::new(&data.order);
    let change = async |sql: &'static str| {
        let changed = data.order.write::<_, Error, _>("change", move |unit| unit.execute(sql, ()));
        changed.await.unwrap();
    };
    append(&data.order, (0..3).map(event).collect()).await;

    // A mark that fails takes with it what was published.
    change("CREATE TRIGGER unmarkable BEFORE UPDATE ON outbox BEGIN SELECT raise(ABORT, 'not now'); END")
        .await;
    let (drain, running) = relay(&data);
    drain.cancel();
    running.await.unwrap();
    assert_eq!((data.published().await, outbox.pending(10).await.unwrap().len()), (0, 3));

    change("DROP TRIGGER unmarkable").await;
    let (drain, running) = relay(&data);
    drain.cancel();
    running.await.unwrap();
    assert_eq!((data.published().await, outbox.pending(10).await.unwrap().len()), (3, 0));
}

#[tokio::test]
async fn a_record_that_is_refused_is_not_marked_with_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let data = Data::in_one_file(folder.path()).await;
    let outbox = SqliteOutbox::new(&data.order);
    append(&data.order, (0..3).map(event).collect()).await;
    let waiting = outbox.pending(10).await.unwrap();
    let marking = || {
        let positions = waiting.iter().map(|event| event.position).collect();
        outbox.marking(positions, Duration::from_hours(1)).unwrap()
    };
    let records = |topic: &str| -> Vec<Record> {
        let payload = |number| if number == 1 { vec![0; 2 * 1024 * 1024] } else { Vec::new() };
        (0..3)
            .map(|number| Record { payload: payload(number), ..suite::record(topic, "key", number) })
            .collect()
    };
    let before = data.units();
    let (results, is_marked) = data.broker.publish_with(records(TOPIC), marking()).await;
    assert_eq!(results.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true]);
    assert_eq!((is_marked, data.units() - before), (IsDone(true), 1));
    let left: Vec<i64> = outbox.pending(10).await.unwrap().iter().map(|event| event.position).collect();
    assert_eq!(left, [waiting[1].position]);

    // A broker elsewhere leaves the marking to the relay.
    let other = Data::in_files_of_their_own().await;
    let (results, is_marked) = other.broker.publish_with(records(TOPIC), marking()).await;
    assert!(results[0].is_ok() && is_marked == IsDone(false), "{results:?}");
    assert_eq!(outbox.pending(10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_outbox_that_is_closed_is_not_marked_and_nothing_is_published() {
    let folder = tempfile::tempdir().unwrap();
    let data = Data::in_one_file(folder.path()).await;
    append(&data.order, vec![event(0)]).await;
    let marking = SqliteOutbox::new(&data.order).marking(vec![1], Duration::from_hours(1)).unwrap();
    data.order.close().await;
    let (results, _) = data.broker.publish_with(vec![suite::record(TOPIC, "key", 0)], marking).await;
    assert!(results[0].is_err(), "{results:?}");
    assert_eq!(data.published().await, 0);
    assert_eq!(number(&data.observer, "SELECT count(*) FROM outbox WHERE published_at IS NULL").await, 1);
}

#[tokio::test]
async fn in_one_file_an_effect_and_its_offset_are_one_unit() {
    let folder = tempfile::tempdir().unwrap();
    let data = Data::in_one_file(folder.path()).await;
    publish(&data.broker, 3).await;
    let (mut consumer, records) = data.member(3).await;
    let before = data.units();
    handle(&data.notification, &records[0], true).await.unwrap_err();
    assert_eq!((data.effects().await, data.committed().await), (0, 0));
    for delivery in &records[..2] {
        handle(&data.notification, delivery, false).await.unwrap();
    }
    assert_eq!((data.effects().await, data.committed().await), (2, 2));
    // What is committed is not committed again, and not taken back.
    let partition = records[0].partition;
    for next_offset in [1, 2] {
        consumer.commit(vec![Progress { partition, next_offset }]).await.unwrap();
    }
    assert_eq!((data.committed().await, data.units() - before), (2, 3));
    // What no unit of a record has committed is, as ever.
    consumer.commit(vec![Progress { partition, next_offset: 3 }]).await.unwrap();
    assert_eq!((data.committed().await, data.units() - before), (3, 4));
}

/// The consume loop may commit what it knows of while a unit of the next record is on its way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_behind_the_unit_of_a_later_record_takes_nothing_back() {
    let folder = tempfile::tempdir().unwrap();
    let data = Data::in_one_file(folder.path()).await;
    publish(&data.broker, 2).await;
    let (mut consumer, records) = data.member(2).await;
    let (release, released) = std::sync::mpsc::channel::<()>();
    let (entered, is_inside) = tokio::sync::oneshot::channel();
    let holding = data.observer.write::<_, Error, _>("hold", move |_| {
        let _ = entered.send(());
        let _ = released.recv();
        Ok(())
    });
    // The units queue up in this order, and the second one does not know yet what becomes of the first.
    let (held, handled, committed, ()) = tokio::join!(
        biased;
        holding,
        handle(&data.notification, &records[1], false),
        consumer.commit(vec![Progress { partition: records[0].partition, next_offset: 1 }]),
        async {
            is_inside.await.unwrap();
            drop(release);
        }
    );
    held.unwrap();
    handled.unwrap();
    committed.unwrap();
    assert_eq!((data.effects().await, data.committed().await), (1, 2));
}

#[tokio::test]
async fn a_member_that_lost_its_partition_commits_no_offset_with_an_effect() {
    let folder = tempfile::tempdir().unwrap();
    let data = Data::in_one_file(folder.path()).await;
    publish(&data.broker, 2).await;
    let (consumer, records) = data.member(2).await;
    consumer.close().await.unwrap();
    let (mut consumer, again) = data.member(2).await;
    assert_eq!(again, records);
    handle(&data.notification, &records[1], false).await.unwrap();
    assert_eq!((data.effects().await, data.committed().await), (1, 0));
    for delivery in &again {
        handle(&data.notification, delivery, false).await.unwrap();
    }
    assert_eq!((data.effects().await, data.committed().await), (2, 2));
    assert_eq!(consumer.poll(1, Duration::ZERO).await.unwrap().records, []);
}

#[tokio::test]
async fn a_record_whose_consumer_dies_behind_its_effect_does_not_come_again() {
    let folder = tempfile::tempdir().unwrap();
    let data = Data::in_one_file(folder.path()).await;
    publish(&data.broker, 2).await;
    // Its handler never returns, so the loop never commits.
    let (_drain, running) = consumer(&data, std::future::pending);
    eventually("an effect", || async { (data.effects().await == 1).then_some(()) }).await;
    running.abort();
    running.await.unwrap_err();
    data.close().await;

    let data = Data::in_one_file(folder.path()).await;
    let (_consumer, records) = data.member(1).await;
    assert_eq!(records[0].record.id, suite::record(TOPIC, "key", 1).id);
}

/// Units from an event to its effect: of the program, of relay and broker, of the consumer.
async fn units_of_events(data: Data, count: i64) -> u64 {
    let ((stop_relay, relay), (stop_consumer, consumer)) = (relay(&data), consumer(&data, async || ()));
    let before = data.units();
    for number in 0..count {
        append(&data.order, vec![event(usize::try_from(number).unwrap())]).await;
        let is_committed = async || (data.committed().await > number).then_some(());
        eventually("a committed offset", is_committed).await;
    }
    let units = data.units() - before;
    assert_eq!(data.effects().await, count);
    stop_relay.cancel();
    relay.await.unwrap();
    stop_consumer.cancel();
    consumer.await.unwrap().unwrap();
    data.close().await;
    units
}

#[tokio::test]
async fn an_event_takes_three_units_in_one_file_and_five_in_files_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    // Joining, leading and looking around are some units beside those of the events, but not one each.
    let events = 20;
    let of_events = |units: u64| (units / events, units % events);
    let one_file = units_of_events(Data::in_one_file(folder.path()).await, 20).await;
    let own_files = units_of_events(Data::in_files_of_their_own().await, 20).await;
    assert_eq!((of_events(one_file).0, of_events(own_files).0), (3, 5), "{one_file} and {own_files}");
}

/// A companion is nobody's secret way into another file.
#[tokio::test]
async fn a_companion_fits_the_databases_of_its_own_file_only() {
    let folder = tempfile::tempdir().unwrap();
    let (data, other) = (Data::in_one_file(folder.path()).await, Data::in_files_of_their_own().await);
    let companion = Companion::<()>::new(&data.order, |_, ()| Ok(()));
    assert!(companion.fits(&data.notification) && companion.fits(&data.observer));
    assert!(!companion.fits(&other.notification) && !companion.fits(&other.observer));
}
