//! Users in PostgreSQL.

use waypost_api::UserId;
use waypost_durable::postgres::{Database, PostgresMigrator, Row, Server, params};
use waypost_durable::{BoxFuture, Migration};
use waypost_telemetry::Telemetry;

use super::{Answer, Changes, Store};
use crate::Error;
use crate::domain::{NewUser, User};

/// The name of the service: of its schema and in spans.
const DATABASE: &str = "user";

/// The schema.
const MIGRATIONS: &[Migration] = &[
    Migration::new("0001_users", include_str!("../../migrations/postgres/0001_users.sql")),
    Migration::new("0002_changes", include_str!("../../migrations/postgres/0002_changes.sql")),
];

/// The topic on which the schema says which user was changed, by triggers.
const CHANGES: &str = "changes";

/// Users in one schema of a PostgreSQL server.
#[derive(Clone, Debug)]
pub struct PostgresStore {
    database: Database,
}

impl PostgresStore {
    /// Connects and brings the schema up to date.
    ///
    /// # Errors
    /// When the server cannot be used, or its schema does not fit.
    pub async fn open(server: &Server, telemetry: &Telemetry) -> Result<PostgresStore, Error> {
        let database = Database::open(server, DATABASE, telemetry, MIGRATIONS).await?;
        Ok(PostgresStore { database })
    }

    /// What brings the schema up to date without opening the store.
    pub(super) fn migrator(server: &Server) -> PostgresMigrator {
        PostgresMigrator::new(server, DATABASE, MIGRATIONS)
    }
}

impl Store for PostgresStore {
    fn add_users(&self, users: Vec<NewUser>) -> Answer<'_, ()> {
        Box::pin(self.database.write("add-users", users, |unit, users| {
            Box::pin(async move {
                for NewUser { user, password_hash } in users {
                    unit.execute(
                        "INSERT INTO users
                             (user_id, name, email, password_hash, is_admin, is_active, payment_method, tenant_id)
                         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (user_id) DO NOTHING",
                        params![
                            user.id.as_str(),
                            &user.name,
                            &user.email,
                            password_hash,
                            user.is_admin,
                            user.is_active,
                            &user.payment_method,
                            user.tenant.as_str(),
                        ],
                    )
                    .await?;
                }
                Ok(())
            })
        }))
    }

    fn user(&self, id: UserId) -> Answer<'_, Option<User>> {
        Box::pin(self.database.read(DATABASE, id, |unit, id| {
            Box::pin(async move {
                let found = unit.query_optional(
                    "SELECT user_id, name, email, is_admin, is_active, payment_method, tenant_id
                     FROM users WHERE user_id = $1",
                    params![id.as_str()],
                    user_of_row,
                );
                Ok(found.await?)
            })
        }))
    }

    fn account(&self, id: UserId) -> Answer<'_, Option<NewUser>> {
        Box::pin(self.database.read("account", id, |unit, id| {
            Box::pin(async move {
                let found = unit.query_optional(
                    "SELECT user_id, name, email, is_admin, is_active, payment_method, tenant_id, password_hash
                     FROM users WHERE user_id = $1",
                    params![id.as_str()],
                    |row| Ok(NewUser { user: user_of_row(row)?, password_hash: row.get(7)? }),
                );
                Ok(found.await?)
            })
        }))
    }

    fn changes(&self) -> Option<Changes> {
        Some(Changes::heard(self.database.listen(CHANGES)))
    }

    fn ping(&self) -> Answer<'_, ()> {
        Box::pin(async move { Ok(self.database.ping().await?) })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.database.close())
    }
}

fn user_of_row(row: &Row) -> Result<User, waypost_durable::Error> {
    let malformed = |what| move |_| waypost_durable::Error::Malformed { what };
    Ok(User {
        id: row.get::<&str>(0)?.parse().map_err(malformed("users.user_id"))?,
        name: row.get(1)?,
        email: row.get(2)?,
        is_admin: row.get(3)?,
        is_active: row.get(4)?,
        payment_method: row.get(5)?,
        tenant: row.get::<&str>(6)?.parse().map_err(malformed("users.tenant_id"))?,
    })
}
