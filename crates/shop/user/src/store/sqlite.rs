//! Users in SQLite.

use rusqlite::{Row, params};
use waypost_api::UserId;
use waypost_durable::{BoxFuture, Database, DatabaseOptions, Files, Migration, Sharing, SqliteMigrator};
use waypost_telemetry::Telemetry;

use super::{Answer, Changes, Store};
use crate::Error;
use crate::domain::{NewUser, User};

/// The name of the database: of its file and in spans.
const DATABASE: &str = "user";

/// The schema.
const MIGRATIONS: &[Migration] =
    &[Migration::new("0001_users", include_str!("../../migrations/sqlite/0001_users.sql"))];

/// Users in one SQLite file.
#[derive(Clone, Debug)]
pub struct SqliteStore {
    database: Database,
}

impl SqliteStore {
    /// Opens and migrates `user.db` in the data folder.
    ///
    /// # Errors
    /// When it cannot be opened or migrated.
    pub fn open(files: &Files, telemetry: &Telemetry) -> Result<SqliteStore, Error> {
        let database =
            Database::open(DatabaseOptions::new(files.database(DATABASE), DATABASE, telemetry), MIGRATIONS)?;
        Ok(SqliteStore { database })
    }

    /// What brings the database to its schema without opening the store.
    pub(super) fn migrator(files: &Files) -> SqliteMigrator {
        SqliteMigrator::new(files.database(DATABASE), DATABASE, Sharing::Exclusive, MIGRATIONS)
    }
}

impl Store for SqliteStore {
    fn add_users(&self, users: Vec<NewUser>) -> Answer<'_, ()> {
        Box::pin(self.database.write("add-users", move |unit| {
            for NewUser { user, password_hash } in users {
                unit.execute(
                    "INSERT INTO users
                         (user_id, name, email, password_hash, is_admin, is_active, payment_method, tenant_id)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (user_id) DO NOTHING",
                    params![
                        user.id.as_str(),
                        user.name,
                        user.email,
                        password_hash,
                        user.is_admin,
                        user.is_active,
                        user.payment_method,
                        user.tenant.as_str(),
                    ],
                )?;
            }
            Ok(())
        }))
    }

    fn user(&self, id: UserId) -> Answer<'_, Option<User>> {
        Box::pin(self.database.read(DATABASE, move |unit| {
            Ok(unit.query_optional(
                "SELECT user_id, name, email, is_admin, is_active, payment_method, tenant_id
                 FROM users WHERE user_id = ?1",
                params![id.as_str()],
                user_of_row,
            )?)
        }))
    }

    fn account(&self, id: UserId) -> Answer<'_, Option<NewUser>> {
        Box::pin(self.database.read("account", move |unit| {
            Ok(unit.query_optional(
                "SELECT user_id, name, email, is_admin, is_active, payment_method, tenant_id, password_hash
                 FROM users WHERE user_id = ?1",
                params![id.as_str()],
                |row| Ok(NewUser { user: user_of_row(row)?, password_hash: row.get(7)? }),
            )?)
        }))
    }

    fn changes(&self) -> Option<Changes> {
        None
    }

    fn ping(&self) -> Answer<'_, ()> {
        Box::pin(self.database.read("ping", |unit| Ok(unit.query_row("SELECT 1", [], |_| Ok(()))?)))
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.database.close())
    }
}

fn user_of_row(row: &Row<'_>) -> rusqlite::Result<User> {
    let id: String = row.get(0)?;
    let tenant: String = row.get(6)?;
    Ok(User {
        id: id.parse().map_err(|_| rusqlite::Error::InvalidQuery)?,
        name: row.get(1)?,
        email: row.get(2)?,
        is_admin: row.get(3)?,
        is_active: row.get(4)?,
        payment_method: row.get(5)?,
        tenant: tenant.parse().map_err(|_| rusqlite::Error::InvalidQuery)?,
    })
}
