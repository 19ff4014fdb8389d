//! A database of one's own.

use std::future::Future;

use sqlx::{Connection as _, Executor as _, PgConnection};

use crate::{POSTGRES, own_name, variable};

/// An empty database on the tests' PostgreSQL, owned by its superuser. Dropped with its connections when this is dropped.
///
/// It may be made and dropped on any thread, also on one that runs async code: the thread waits.
#[derive(Debug)]
pub struct Database {
    server: String,
    name: String,
}

impl Database {
    /// Makes an empty database.
    pub fn create() -> Self {
        let (server, name) = (variable(POSTGRES), own_name());
        // Without the locale's tables of template1, which somebody may be connected to.
        execute(&server, format!("CREATE DATABASE {name} TEMPLATE template0"))
            .unwrap_or_else(|error| panic!("the database {name} cannot be made at {server}: {error}"));
        Self { server, name }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The superuser's URL of this database.
    pub fn url(&self) -> String {
        with_database(&self.server, &self.name)
    }

    /// The superuser's URL of the server, for what is not in a database: roles, other databases.
    pub fn server_url(&self) -> &str {
        &self.server
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let dropped = execute(&self.server, format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name));
        // The server may be away: some tests end it. A second panic while one is under way would hide the first.
        drop(dropped);
    }
}

/// The URL with another database's name in the place of its own.
fn with_database(server: &str, name: &str) -> String {
    let (address, query) = server.split_once('?').map_or((server, ""), |(address, query)| (address, query));
    let host = address.find("://").map_or(0, |scheme| scheme + 3);
    let end = address[host..].find('/').map_or(address.len(), |slash| host + slash);
    let query = if query.is_empty() { String::new() } else { format!("?{query}") };
    format!("{}/{name}{query}", &address[..end])
}

/// Runs statements over a connection of its own.
///
/// # Errors
/// What the server says of the first that fails.
pub fn execute(url: &str, statement: String) -> Result<(), sqlx::Error> {
    let url = url.to_owned();
    on_own_runtime(async move {
        let mut connection = PgConnection::connect(&url).await?;
        connection.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(statement))).await?;
        connection.close().await
    })
}

/// Runs a future on a thread of its own, as the caller's may be one that a runtime drives.
fn on_own_runtime<T: Send>(
    future: impl Future<Output = Result<T, sqlx::Error>> + Send,
) -> Result<T, sqlx::Error> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.map_err(sqlx::Error::Io)?.block_on(future)
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

#[cfg(test)]
mod tests {
    use super::with_database;

    #[test]
    fn a_url_is_that_of_the_server_with_another_database() {
        let of = |server| with_database(server, "own");
        assert_eq!(
            of("postgres://postgres@127.0.0.1:5432/postgres"),
            "postgres://postgres@127.0.0.1:5432/own"
        );
        assert_eq!(of("postgres://postgres@127.0.0.1:5432"), "postgres://postgres@127.0.0.1:5432/own");
        assert_eq!(of("postgres://a:b@h:1/x?sslmode=disable"), "postgres://a:b@h:1/own?sslmode=disable");
    }
}
