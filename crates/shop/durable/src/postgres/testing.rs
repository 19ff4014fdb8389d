//! For tests: a server by its URL, and its clock in the test's hand.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use sqlx::{AssertSqlSafe, ConnectOptions as _, Executor as _, Row as _};

use super::{Server, parse_url};
use crate::clock::{ManualClock, millis};

/// The server of a URL, with little patience.
///
/// # Panics
/// When the URL is none.
pub fn server(url: &str) -> Server {
    let (address, _) = parse_url(url).unwrap_or_else(|problem| panic!("{url}: {problem}"));
    Server::new(address)
}

/// The clock by which a store judges, in a test's hand.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "a test has one")]
pub enum TestClock {
    /// Of an embedded store.
    Embedded(ManualClock),
    /// Of a schema on a server.
    Server(ServerClock),
}

impl TestClock {
    /// Sets it, forward or back.
    pub fn set(&self, time: SystemTime) {
        match self {
            TestClock::Embedded(clock) => clock.set(time),
            TestClock::Server(clock) => clock.set(time),
        }
    }

    /// Sets it forward and tells the time since.
    pub fn advance(&self, by: Duration) -> SystemTime {
        let time = self.now() + by;
        self.set(time);
        time
    }

    /// The time it stands at.
    pub fn now(&self) -> SystemTime {
        match self {
            TestClock::Embedded(clock) => clock.now(),
            TestClock::Server(clock) => *clock.lock(),
        }
    }
}

/// A schema whose `waypost_now()` is what a test says.
#[derive(Clone, Debug)]
pub struct ServerClock {
    server: Server,
    name: &'static str,
    stands: Arc<Mutex<SystemTime>>,
}

impl ServerClock {
    /// Takes the clock of a schema that has been made, and sets it to this time. What the program defines as the server's
    /// `now()` reads a row of the test from here on.
    pub fn take(server: &Server, name: &'static str, time: SystemTime) -> ServerClock {
        let stands = Arc::new(Mutex::new(time));
        let clock = ServerClock { server: server.clone(), name, stands };
        clock.run(format!(
            "CREATE TABLE test_clock (one int PRIMARY KEY CHECK (one = 1), at timestamptz NOT NULL);
             INSERT INTO test_clock VALUES (1, {});
             CREATE OR REPLACE FUNCTION waypost_now() RETURNS timestamptz LANGUAGE sql STABLE
                 AS 'SELECT at FROM test_clock'",
            sql(time)
        ));
        clock
    }

    /// Sets it, forward or back. Whoever sets it at the same time comes before or after.
    pub fn set(&self, time: SystemTime) {
        let mut stands = self.lock();
        if *stands != time {
            self.run(format!("UPDATE test_clock SET at = {}", sql(time)));
            *stands = time;
        }
    }

    fn lock(&self) -> MutexGuard<'_, SystemTime> {
        self.stands.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, sql: String) {
        execute(&self.server, self.name, sql);
    }
}

/// A time as an expression.
fn sql(time: SystemTime) -> String {
    format!("to_timestamp({} / 1000.0)", millis(time))
}

/// Runs statements in a schema, over a connection of their own.
///
/// # Panics
/// When the server refuses them.
pub fn execute(server: &Server, name: &str, sql: String) {
    try_execute(server, name, sql).unwrap_or_else(|refused| panic!("{refused}"));
}

/// As [`execute`], with what the server says when it refuses them.
///
/// # Errors
/// The server's words.
pub fn try_execute(server: &Server, name: &str, sql: String) -> Result<(), String> {
    let options = server.connect_options(name);
    let executed = wait(async move {
        let mut connection = options.connect().await?;
        connection.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await.map(drop)
    });
    executed.map_err(|error: sqlx::Error| error.to_string())
}

/// How often each table of a schema was read from its beginning to its end. Waits until all other sessions of the database
/// have ended, as each tells at its end what it has counted.
///
/// # Panics
/// When the server cannot be asked.
pub fn sequential_scans(server: &Server, name: &str) -> BTreeMap<String, i64> {
    let options = server.connect_options(name);
    let counted: Result<BTreeMap<String, i64>, sqlx::Error> = wait(async move {
        let mut connection = options.connect().await?;
        let others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                      AND pid <> pg_backend_pid() AND backend_type = 'client backend'";
        while sqlx::query(others).fetch_one(&mut connection).await?.try_get::<i64, _>(0)? > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let sql =
            "SELECT relname::text, seq_scan FROM pg_stat_user_tables WHERE schemaname = current_schema()";
        let rows = sqlx::query(sql).fetch_all(&mut connection).await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
    });
    counted.unwrap_or_else(|error| panic!("{error}"))
}

/// Runs what a role asks of its store for every order, on tables that `rows` fills. The schema is there already.
///
/// # Panics
/// When one of `tables` was read as a whole.
pub async fn assert_nothing_is_scanned(
    server: &Server,
    name: &str,
    rows: &str,
    tables: &[&str],
    hot_path: impl Future<Output = ()>,
) {
    execute(server, name, rows.to_owned());
    let before = sequential_scans(server, name);
    hot_path.await;
    let after = sequential_scans(server, name);
    for table in tables {
        assert_eq!(after[*table], before[*table], "{table} was read as a whole");
    }
}

/// Fills tables with a million rows each, by what fills them with 20000.
pub fn fill_with_a_million(server: &Server, name: &str, rows: &str) {
    execute(server, name, format!("SET statement_timeout = 0; {}", rows.replace("20000", "1000000")));
}

/// Waits for a future on a thread of its own, as the caller's may be one that a runtime drives.
#[expect(clippy::expect_used, reason = "a test helper that cannot do its work fails the test")]
fn wait<T: Send>(future: impl Future<Output = T> + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime for a test").block_on(future)
        });
        thread.join().expect("the thread of a test helper")
    })
}
