//! The host of sagas, with trips in place of orders: a room, a flight, two processes over one database.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use tokio::sync::Semaphore;
use waypost_durable::clock::{ManualClock, millis};
use waypost_durable::saga::host::{Accepted, Advance, Host, Opened, Opening, Options, SagaStore, Unfinished};
use waypost_durable::saga::{
    Batch, Call, Ending, Entry, Failure, Finished, Loaded, Local, Log, Policy, Runner, Saga, Step, Undo,
    saga, step,
};
use waypost_durable::{
    Backoff, BoxFuture, Database, DatabaseOptions, Epoch, Error as DatabaseError, Location, Migration,
    StoreError, Unit,
};
use waypost_errors::ErrorCode;
use waypost_resilience::Tasks;
use waypost_telemetry::{ErrorType, SpanBuilder, Telemetry, span};

use crate::eventually;

const TRIPS: Migration = Migration::new(
    "0001_trips",
    "CREATE TABLE trips (id TEXT PRIMARY KEY, status TEXT NOT NULL, phase TEXT NOT NULL, journal_rows INTEGER NOT NULL, \
     runner TEXT NOT NULL, lease_epoch INTEGER NOT NULL, lease_until INTEGER NOT NULL); \
     CREATE TABLE trip_journal (trip TEXT NOT NULL, row INTEGER NOT NULL, facts TEXT NOT NULL, PRIMARY KEY (trip, row))",
);

/// How long a trip belongs to a process, by the clock of the database, which stands until a test sets it.
const LEASE: Duration = Duration::from_millis(30);

/// How long a parked trip is left alone at most.
const PAUSE: Duration = Duration::from_mins(1);

// The saga: a room that can be given back, and a flight.

#[derive(Clone, Debug, PartialEq, thiserror::Error, serde::Serialize, serde::Deserialize)]
#[error("{0}")]
struct Reason(String);

impl ErrorType for Reason {
    fn error_type(&self) -> Cow<'static, str> {
        Cow::Owned(self.0.clone())
    }
}

#[derive(Clone, Copy)]
enum Act {
    Refuses,
    IsUnknown,
    /// Waits until the agency opens.
    Waits,
}

/// Whom the steps call. What is not scripted succeeds.
#[derive(Clone, Debug)]
struct Agency {
    script: Arc<Mutex<HashMap<&'static str, VecDeque<Act>>>>,
    calls: Arc<Mutex<Vec<(&'static str, u64)>>>,
    opens: Arc<Semaphore>,
}

impl std::fmt::Debug for Act {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Act")
    }
}

impl Agency {
    fn with(script: &[(&'static str, &[Act])]) -> Agency {
        let script = script.iter().map(|(step, acts)| (*step, acts.iter().copied().collect())).collect();
        let (script, calls) = (Arc::new(Mutex::new(script)), Arc::default());
        Agency { script, calls, opens: Arc::new(Semaphore::new(0)) }
    }

    async fn call(&self, step: &'static str, call: &Call) -> Result<(), Failure<Reason>> {
        self.calls.lock().unwrap().push((step, call.epoch().number()));
        let act = self.script.lock().unwrap().get_mut(step).and_then(VecDeque::pop_front);
        match act {
            None => Ok(()),
            Some(Act::Refuses) => Err(Failure::Refused(Reason("full".to_owned()))),
            Some(Act::IsUnknown) => Err(Failure::Unknown(Reason("unavailable".to_owned()))),
            Some(Act::Waits) => {
                self.opens.acquire().await.unwrap().forget();
                Ok(())
            }
        }
    }

    /// Which steps were called, in which epoch.
    fn calls(&self) -> Vec<(&'static str, u64)> {
        self.calls.lock().unwrap().clone()
    }
}

#[derive(Clone, Debug, PartialEq)]
struct Trip {
    id: String,
    status: String,
}

impl Saga for Agency {
    type State = Trip;
    type Output = ();
    type Reason = Reason;
}

struct BookRoom;
impl Step<Agency> for BookRoom {
    const NAME: &'static str = "book-room";
    const SPAN: &'static str = "book-room";
    async fn run(&self, agency: &Agency, _: &Trip, call: &Call) -> Result<(), Failure<Reason>> {
        agency.call("book-room", call).await
    }
}

struct CancelRoom;
impl Undo<Agency> for CancelRoom {
    const NAME: &'static str = "cancel-room";
    const SPAN: &'static str = "cancel-room";
    async fn undo(&self, agency: &Agency, _: &Trip, call: &Call) -> Result<(), Failure<Reason>> {
        agency.call("cancel-room", call).await
    }
}

struct BookFlight;
impl Step<Agency> for BookFlight {
    const NAME: &'static str = "book-flight";
    const SPAN: &'static str = "book-flight";
    async fn run(&self, agency: &Agency, _: &Trip, call: &Call) -> Result<(), Failure<Reason>> {
        agency.call("book-flight", call).await
    }
}

struct Booked;
impl Local<Agency> for Booked {
    const NAME: &'static str = "booked";
    const SPAN: &'static str = "finish-trip";
}

// The store, over SQLite.

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("refused: {0}")]
    Refused(ErrorCode),
    #[error("the database failed")]
    Store(#[from] DatabaseError),
}

impl From<ErrorCode> for Error {
    fn from(code: ErrorCode) -> Error {
        Error::Refused(code)
    }
}

impl StoreError for Error {
    fn database(&self) -> Option<&DatabaseError> {
        match self {
            Error::Refused(_) => None,
            Error::Store(error) => Some(error),
        }
    }
}

impl ErrorType for Error {
    fn error_type(&self) -> Cow<'static, str> {
        match self {
            Error::Refused(code) => Cow::Borrowed(code.as_str()),
            Error::Store(error) => error.error_type(),
        }
    }
}

type Answer<'a, T> = BoxFuture<'a, Result<T, Error>>;
type Fact = Entry<(), Reason>;

#[derive(Clone, Debug)]
struct Trips {
    database: Database,
    finished: Arc<Mutex<Vec<Finished>>>,
}

impl Trips {
    fn new(clock: &ManualClock) -> Trips {
        let options = DatabaseOptions {
            clock: clock.clock(),
            ..DatabaseOptions::new(Location::Ephemeral, "trips", &Telemetry::disabled())
        };
        Trips { database: Database::open(options, &[TRIPS]).unwrap(), finished: Arc::default() }
    }

    async fn status(&self, id: &str) -> String {
        let id = id.to_owned();
        let status = self.database.read("status", move |unit| {
            unit.query_row("SELECT status FROM trips WHERE id = ?1", [id], |row| row.get(0))
        });
        status.await.map_err(|error: DatabaseError| error).unwrap()
    }

    async fn facts(&self, id: &str) -> Vec<Fact> {
        let id = id.to_owned();
        let facts = self.database.read("facts", move |unit| Ok::<_, Error>(journal(unit, &id)?.concat()));
        facts.await.unwrap()
    }

    fn finished(&self) -> Vec<Finished> {
        self.finished.lock().unwrap().clone()
    }
}

fn append(unit: &mut Unit<'_>, id: &str, row: u64, facts: &[Fact]) -> Result<(), Error> {
    let (row, facts) = (i64::try_from(row).unwrap(), serde_json::to_string(facts).unwrap());
    unit.execute("INSERT INTO trip_journal (trip, row, facts) VALUES (?1, ?2, ?3)", (id, row, facts))?;
    Ok(())
}

fn journal(unit: &mut Unit<'_>, id: &str) -> Result<Vec<Vec<Fact>>, Error> {
    let rows =
        unit.query_all("SELECT facts FROM trip_journal WHERE trip = ?1 ORDER BY row", [id], |row| {
            row.get::<_, String>(0)
        })?;
    Ok(rows.iter().map(|facts| serde_json::from_str(facts).unwrap()).collect())
}

fn until(unit: &mut Unit<'_>, lasts: Duration) -> i64 {
    millis(unit.now() + lasts)
}

fn load(unit: &mut Unit<'_>, id: &str, epoch: Epoch) -> Result<Option<Loaded<Agency>>, Error> {
    let held = (id, i64::try_from(epoch.number()).unwrap());
    let select = "SELECT status FROM trips WHERE id = ?1 AND lease_epoch = ?2";
    let Some(status) = unit.query_optional(select, held, |row| row.get(0))? else { return Ok(None) };
    let rows = journal(unit, id)?;
    let log = Log::new(rows.concat(), rows.len() as u64);
    Ok(Some(Loaded { state: Trip { id: id.to_owned(), status }, log, epoch }))
}

impl SagaStore for Trips {
    type Saga = Agency;
    type Id = String;
    type Extra = ();
    type Existing = String;
    type Error = Error;

    fn id(trip: &Trip) -> String {
        trip.id.clone()
    }

    fn after(&self, before: &Trip, batch: &Batch<Agency>) -> Result<Trip, Error> {
        let status = match &batch.ending {
            None => return Ok(before.clone()),
            Some(Ending::Completed) => "booked",
            Some(Ending::Failed(_)) => "failed",
            Some(Ending::Cancelled) => "cancelled",
        };
        Ok(Trip { status: status.to_owned(), ..before.clone() })
    }

    fn open<'a>(&'a self, opening: &Opening<'a, Self>) -> Answer<'a, Opened<String>> {
        let (trip, facts, lease) = (opening.state.clone(), opening.facts.to_vec(), opening.lease.clone());
        Box::pin(self.database.write("open", move |unit| {
            let until = until(unit, lease.lasts);
            let stored = unit.execute(
                "INSERT INTO trips VALUES (?1, ?2, 'forward', 1, ?3, 1, ?4) ON CONFLICT DO NOTHING",
                (&trip.id, &trip.status, &lease.runner, until),
            )?;
            if stored == 0 {
                return Ok(Opened::Existing(trip.id));
            }
            append(unit, &trip.id, 1, &facts)?;
            Ok(Opened::New)
        }))
    }

    fn advance<'a>(&'a self, advance: &Advance<'a, Self>) -> Answer<'a, bool> {
        let (after, batch, lease) = (advance.after.clone(), advance.batch.clone(), advance.lease.clone());
        Box::pin(self.database.write("advance", move |unit| {
            let until = until(unit, lease.lasts);
            let rows_before = i64::try_from(batch.rows_before).unwrap();
            let changed = unit.execute(
                "UPDATE trips SET status = ?3, phase = ?4, journal_rows = journal_rows + 1, lease_until = ?5 \
                 WHERE id = ?1 AND journal_rows = ?2 AND lease_epoch = ?6",
                (
                    &after.id,
                    rows_before,
                    &after.status,
                    batch.phase.as_str(),
                    until,
                    i64::try_from(lease.epoch.number()).unwrap(),
                ),
            )?;
            if changed > 0 {
                append(unit, &after.id, batch.rows_before + 1, &batch.entries)?;
            }
            Ok(changed > 0)
        }))
    }

    fn reload<'a>(&'a self, id: &String, epoch: Epoch) -> Answer<'a, Option<Loaded<Agency>>> {
        let id = id.clone();
        Box::pin(self.database.read("reload", move |unit| load(unit, &id, epoch)))
    }

    fn unfinished(&self, max: u32) -> Answer<'_, Vec<Unfinished<String>>> {
        Box::pin(self.database.scan("unfinished", move |unit| {
            let now = until(unit, Duration::ZERO);
            let select = "SELECT id FROM trips WHERE phase <> 'ended' AND lease_until <= ?1 LIMIT ?2";
            let ids = unit.query_all(select, (now, max), |row| row.get(0))?;
            let unfinished = |id| Unfinished { id, traceparent: None, tracestate: None };
            Ok(ids.into_iter().map(unfinished).collect())
        }))
    }

    fn take_over<'a>(
        &'a self,
        id: &String,
        runner: &str,
        lasts: Duration,
    ) -> Answer<'a, Option<Loaded<Agency>>> {
        let (id, runner) = (id.clone(), runner.to_owned());
        Box::pin(self.database.write("take_over", move |unit| {
            let (now, until) = (until(unit, Duration::ZERO), until(unit, lasts));
            let taken = unit.query_optional(
                "UPDATE trips SET runner = ?2, lease_until = ?3, lease_epoch = lease_epoch + 1, \
                 journal_rows = journal_rows + 1 WHERE id = ?1 AND phase <> 'ended' AND lease_until <= ?4 \
                 RETURNING journal_rows, lease_epoch",
                (&id, runner, until, now),
                |row| Ok((row.get::<_, u32>(0)?, row.get::<_, u32>(1)?)),
            )?;
            let Some((rows, epoch)) = taken else { return Ok(None) };
            append(unit, &id, rows.into(), &[Entry::Resumed])?;
            load(unit, &id, Epoch::new(epoch.into()))
        }))
    }

    fn renew(&self, held: Vec<(String, Epoch)>, lasts: Duration) -> Answer<'_, Vec<String>> {
        Box::pin(self.database.write("renew", move |unit| {
            let (until, mut lost) = (until(unit, lasts), Vec::new());
            for (id, epoch) in held {
                let renewed = unit.execute(
                    "UPDATE trips SET lease_until = ?3 WHERE id = ?1 AND lease_epoch = ?2",
                    (&id, i64::try_from(epoch.number()).unwrap(), until),
                )?;
                if renewed == 0 {
                    lost.push(id);
                }
            }
            Ok(lost)
        }))
    }

    fn opening_span(&self, _: &Trip) -> SpanBuilder {
        span("save-trip")
    }

    fn resuming_span(&self, _: &String) -> SpanBuilder {
        span("resume-trip")
    }

    fn finished(&self, _: &Trip, how: Finished) {
        self.finished.lock().unwrap().push(how);
    }
}

/// One process.
struct Process {
    host: Host<Trips>,
    tasks: Tasks,
}

impl Process {
    fn new(name: &str, trips: &Trips, agency: &Agency) -> Process {
        let moment = Backoff { first: Duration::from_millis(1), max: Duration::from_millis(1) };
        let policy = Policy { attempts: 1, undo_attempts: 1, pause: moment, ..Policy::default() };
        let plan = saga("book-trip").step(step(BookRoom).undo(CancelRoom)).step(BookFlight).local(Booked);
        let runner = Runner::new(agency.clone(), plan, policy).unwrap();
        let stuck_retry = Backoff { first: PAUSE, max: PAUSE };
        let options = Options { lease: LEASE, stuck_retry, max_running: 2 };
        let (tasks, telemetry) = (Tasks::new(), Telemetry::disabled());
        let host = Host::new(trips.clone(), runner, name.to_owned(), options, tasks.clone(), &telemetry);
        Process { host, tasks }
    }

    async fn book(&self, id: &str) -> Accepted<Trips> {
        let admission = self.host.admit().unwrap();
        let trip = Trip { id: id.to_owned(), status: "pending".to_owned() };
        self.host.accept(trip, (), admission).await.unwrap()
    }

    /// Waits until no trip runs here.
    async fn is_idle(&self) {
        eventually("no trip runs", async || (self.tasks.running() == 0).then_some(())).await;
    }
}

fn clock() -> ManualClock {
    ManualClock::at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000))
}

#[tokio::test]
async fn a_new_saga_runs_to_its_end_and_is_stored_once() {
    let (trips, agency) = (Trips::new(&clock()), Agency::with(&[]));
    let process = Process::new("one", &trips, &agency);
    let Accepted::New(mut trip) = process.book("t1").await else { panic!("the trip is new") };
    assert_eq!(trip.wait_for(|trip| trip.status == "booked").await.unwrap().id, "t1");
    process.is_idle().await;
    assert_eq!(trips.status("t1").await, "booked");
    assert_eq!(agency.calls(), [("book-room", 1), ("book-flight", 1)]);
    assert_eq!(trips.finished(), [Finished::Ended]);

    assert!(matches!(process.book("t1").await, Accepted::Existing(id) if id == "t1"));
    assert_eq!(agency.calls().len(), 2, "nothing is called for it again");
}

#[tokio::test]
async fn no_more_sagas_are_admitted_than_may_run_at_once() {
    let (trips, agency) = (Trips::new(&clock()), Agency::with(&[("book-room", &[Act::Waits; 2])]));
    let process = Process::new("one", &trips, &agency);
    process.book("t1").await;
    process.book("t2").await;
    let refused = process.host.admit().unwrap_err();
    assert!(matches!(refused, Error::Refused(ErrorCode::Overloaded)), "{refused}");
    agency.opens.add_permits(2);
    process.is_idle().await;
    assert!(process.host.admit().is_ok(), "the room is given back");
}

#[tokio::test]
async fn a_saga_is_taken_over_when_its_lease_ran_out_and_its_first_runner_stops() {
    let clock = clock();
    let (trips, agency) = (Trips::new(&clock), Agency::with(&[("book-flight", &[Act::Waits])]));
    let (first, second) = (Process::new("one", &trips, &agency), Process::new("two", &trips, &agency));
    first.book("t1").await;
    eventually("the flight is asked for", async || (agency.calls().len() == 2).then_some(())).await;

    assert_eq!(second.host.sweep().await.unwrap(), 0, "the lease still runs");
    clock.advance(LEASE);
    assert_eq!(second.host.sweep().await.unwrap(), 1);
    second.is_idle().await;
    assert_eq!(trips.status("t1").await, "booked");
    assert_eq!(agency.calls(), [("book-room", 1), ("book-flight", 1), ("book-flight", 2)]);
    assert!(trips.facts("t1").await.contains(&Entry::Resumed));

    // The first runner still waits for its flight; it hears that it was replaced when it prolongs its lease.
    assert!(first.host.watch(&"t1".to_owned()).is_some());
    let stops = eventually("the first runner stops", async || {
        first.host.sweep().await.unwrap();
        first.host.watch(&"t1".to_owned()).is_none().then_some(())
    });
    stops.await;
    first.is_idle().await;
    assert_eq!(trips.finished(), [Finished::Ended, Finished::Fenced]);
}

#[tokio::test]
async fn a_saga_that_takes_long_keeps_its_lease() {
    let clock = clock();
    let (trips, agency) = (Trips::new(&clock), Agency::with(&[("book-room", &[Act::Waits])]));
    let (first, second) = (Process::new("one", &trips, &agency), Process::new("two", &trips, &agency));
    first.book("t1").await;
    clock.advance(LEASE);
    let renewed = eventually("the lease is prolonged", async || {
        first.host.sweep().await.unwrap();
        let unfinished = trips.unfinished(10).await.unwrap();
        unfinished.is_empty().then_some(())
    });
    renewed.await;
    assert_eq!(second.host.sweep().await.unwrap(), 0);
    agency.opens.add_permits(1);
    first.is_idle().await;
    assert_eq!(trips.status("t1").await, "booked");
}

#[tokio::test]
async fn a_parked_saga_is_left_alone_for_a_while_and_tried_again() {
    let clock = clock();
    let script: &[(&str, &[Act])] = &[("book-flight", &[Act::Refuses]), ("cancel-room", &[Act::IsUnknown])];
    let (trips, agency) = (Trips::new(&clock), Agency::with(script));
    let process = Process::new("one", &trips, &agency);
    process.book("t1").await;
    process.is_idle().await;
    assert_eq!(trips.finished(), [Finished::Stuck]);

    clock.advance(Duration::from_secs(29));
    assert_eq!(process.host.sweep().await.unwrap(), 0, "at least half of the pause");
    clock.advance(PAUSE);
    assert_eq!(process.host.sweep().await.unwrap(), 1);
    process.is_idle().await;
    assert_eq!(trips.status("t1").await, "failed");
    assert_eq!(trips.finished(), [Finished::Stuck, Finished::Ended]);
    assert_eq!(agency.calls().last(), Some(&("cancel-room", 2)));
}

#[tokio::test]
async fn a_process_that_stops_takes_nothing_over() {
    let clock = clock();
    let (trips, agency) = (Trips::new(&clock), Agency::with(&[("book-room", &[Act::Waits])]));
    let (first, second) = (Process::new("one", &trips, &agency), Process::new("two", &trips, &agency));
    first.book("t1").await;
    clock.advance(LEASE);
    second.tasks.stop();
    assert_eq!(second.host.sweep().await.unwrap(), 0);
    assert_eq!(trips.unfinished(10).await.unwrap().len(), 1, "it waits for somebody");
    agency.opens.add_permits(1);
    first.is_idle().await;
}
