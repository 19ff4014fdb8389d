//! Migrations of a schema: the record is a table of it, and one process at a time applies them.

use futures_util::future::BoxFuture;
use sqlx::{ConnectOptions as _, Connection as _, Executor as _, PgConnection, Row as _};
use tokio::time::timeout;

use super::Server;
use super::error::unanswered;
use super::pool::close;
use super::server::OLDEST;
use crate::error::Cause;
use crate::migration::{Migration, Migrator, Plan, Recorded, problem};
use crate::{Error, MigrationProblem};

/// Brings the schema of one service to a list of steps.
#[derive(Clone, Debug)]
pub struct PostgresMigrator {
    server: Server,
    name: &'static str,
    migrations: &'static [Migration],
}

impl PostgresMigrator {
    /// Of the service with this name on this server.
    pub fn new(server: &Server, name: &'static str, migrations: &'static [Migration]) -> PostgresMigrator {
        PostgresMigrator { server: server.clone(), name, migrations }
    }

    async fn look(&self) -> Result<Plan, Error> {
        let mut connection = connect(&self.server, self.name).await?;
        let recorded = recorded(&mut connection, &self.server.schema(self.name)).await;
        close(connection).await;
        Plan::of(&recorded.map_err(|error| self.server.explain(error))?, self.migrations)
    }
}

impl Migrator for PostgresMigrator {
    fn target(&self) -> String {
        format!("schema {} of {}", self.server.schema(self.name), self.server.place())
    }

    fn plan(&self) -> BoxFuture<'_, Result<Plan, Error>> {
        Box::pin(self.look())
    }

    fn apply(&self) -> BoxFuture<'_, Result<Vec<&'static str>, Error>> {
        let migrator = self.clone();
        Box::pin(async move {
            // A task, so that a caller that leaves does not end it within a step.
            let task = waypost_telemetry::spawn(async move {
                apply(&migrator.server, migrator.name, migrator.migrations).await
            });
            task.await.map_err(|error| super::panicked("migrate", &error))?
        })
    }
}

/// Makes the schema and applies what is pending; tells which steps that were. Other processes wait meanwhile.
pub(super) async fn apply(
    server: &Server,
    name: &'static str,
    migrations: &'static [Migration],
) -> Result<Vec<&'static str>, Error> {
    let mut connection = connect(server, name).await?;
    let applied = apply_on(&mut connection, &server.schema(name), migrations).await;
    // Its end lets go of the lock.
    close(connection).await;
    applied.map_err(|error| server.explain(error))
}

async fn apply_on(
    connection: &mut PgConnection,
    schema: &str,
    migrations: &'static [Migration],
) -> Result<Vec<&'static str>, Error> {
    // Steps may take long, and so may another process that applies them.
    connection.execute("SET statement_timeout = 0; SET lock_timeout = '10min'").await?;
    sqlx::query("SELECT pg_advisory_lock(hashtextextended('waypost migrations ' || $1, 0))")
        .bind(schema)
        .execute(&mut *connection)
        .await?;
    prepare(connection, schema).await?;
    let plan = Plan::of(&recorded(connection, schema).await?, migrations)?;
    for migration in migrations.iter().skip(plan.applied.len()) {
        apply_one(connection, migration)
            .await
            .map_err(|source| problem(migration.id, MigrationProblem::Failed, Some(source)))?;
        tracing::debug!(migration = migration.id, schema, "applied");
    }
    Ok(plan.pending)
}

/// The schema, the record and the clock.
async fn prepare(connection: &mut PgConnection, schema: &str) -> Result<(), Error> {
    let exists: bool = sqlx::query("SELECT to_regnamespace(quote_ident($1)) IS NOT NULL")
        .bind(schema)
        .fetch_one(&mut *connection)
        .await?
        .try_get(0)?;
    if !exists {
        let create = format!("CREATE SCHEMA \"{}\"", schema.replace('"', "\"\""));
        connection.execute(sqlx::AssertSqlSafe(create)).await?;
    }
    let has_record: bool = has_record(connection, schema).await?;
    if !has_record {
        connection
            .execute(sqlx::raw_sql(
                "BEGIN;
                 CREATE TABLE schema_migrations (
                     position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
                     id text NOT NULL UNIQUE,
                     checksum text NOT NULL,
                     applied_at timestamptz NOT NULL DEFAULT now()
                 );
                 CREATE FUNCTION waypost_now() RETURNS timestamptz LANGUAGE sql STABLE
                     AS 'SELECT date_trunc(''milliseconds'', now())';
                 COMMIT",
            ))
            .await?;
    }
    Ok(())
}

async fn apply_one(connection: &mut PgConnection, migration: &Migration) -> Result<(), Error> {
    let mut transaction = connection.begin().await?;
    (&mut *transaction).execute(sqlx::raw_sql(migration.sql)).await?;
    sqlx::query("INSERT INTO schema_migrations (id, checksum) VALUES ($1, $2)")
        .bind(migration.id)
        .bind(migration.checksum())
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(())
}

async fn has_record(connection: &mut PgConnection, schema: &str) -> Result<bool, Error> {
    let row = sqlx::query("SELECT to_regclass(quote_ident($1) || '.schema_migrations') IS NOT NULL")
        .bind(schema)
        .fetch_one(connection)
        .await?;
    Ok(row.try_get(0)?)
}

async fn recorded(connection: &mut PgConnection, schema: &str) -> Result<Vec<Recorded>, Error> {
    if !has_record(connection, schema).await? {
        return Ok(Vec::new());
    }
    let rows = sqlx::query("SELECT id, checksum FROM schema_migrations ORDER BY position")
        .fetch_all(connection)
        .await?;
    let read = |row: &sqlx::postgres::PgRow| Ok(Recorded { id: row.try_get(0)?, checksum: row.try_get(1)? });
    rows.iter().map(read).collect()
}

/// A connection that is not counted, to a server that is new enough.
pub(crate) async fn connect(server: &Server, name: &str) -> Result<PgConnection, Error> {
    let options = server.connect_options(name);
    let connected = match timeout(server.connect_timeout, options.connect()).await {
        Ok(connected) => connected.map_err(Error::from),
        Err(_) => Err(unanswered()),
    };
    let mut connection = connected.map_err(|error| server.explain(error))?;
    let version = sqlx::query("SELECT current_setting('server_version_num')::int4")
        .fetch_one(&mut connection)
        .await
        .and_then(|row| row.try_get::<i32, _>(0))
        .map_err(|error| server.explain(error.into()))?;
    if version < OLDEST {
        return Err(Error::Server {
            place: server.place(),
            hint: "it is older than PostgreSQL 14; update it",
            source: std::sync::Arc::new(Error::Statement(Cause::new("too_old", TooOld(version)))),
        });
    }
    Ok(connection)
}

#[derive(Debug, thiserror::Error)]
#[error("server_version_num is {0}")]
struct TooOld(i32);
