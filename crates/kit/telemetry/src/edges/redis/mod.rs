//! Spans and metrics of Redis, around the async connections of the `redis` crate.
//!
//! [`Redis`] says which server it is and what is shown; [`Redis::wrap`] puts a connection inside a [`Traced`] one, which is
//! used as the connection was: every command, pipeline and script is one CLIENT span and one measurement. `AUTH`, `HELLO`
//! and what else carries secrets show their name alone, and values of others are shown nowhere.
//! Left out: what the crate does by itself when it connects (`HELLO`, `CLIENT SETINFO`), and messages of subscriptions,
//! which reach the program beside the connection.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use redis::AsyncCommands as _;
//!
//! let telemetry = waypost_telemetry::testing::TestTelemetry::new("order-service");
//! let client = redis::Client::open("redis://127.0.0.1:6379/0")?;
//! let connection = client.get_multiplexed_async_connection().await?;
//! let mut connection = telemetry.redis().server("127.0.0.1", 6379).wrap(connection);
//!
//! let _: () = connection.set("price:prod456", 4995).await?;
//! telemetry.tree().assert_matches("SET CLIENT order-service db.system.name=redis db.query.text=\"SET ? ?\"");
//! # Ok(())
//! # }
//! ```

mod command;
mod operation;
mod traced;

use std::fmt;
use std::sync::Arc;

use opentelemetry::StringValue;
use opentelemetry::metrics::Histogram;

use crate::core::handle::Telemetry;
use crate::core::readings::database::operation_durations;
pub use traced::Traced;

/// The port of a Redis that is told no other.
const DEFAULT_PORT: u16 = 6379;

/// What `db.query.text` shows of a command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum QueryText {
    /// Nothing: there is no `db.query.text`.
    Off,
    /// The name, and `?` for each argument: `SET ? ? PX ?` is `SET ? ? ? ?`.
    #[default]
    Masked,
    /// As [`QueryText::Masked`], but for the key where the first argument of a command is one: `SET price:prod456 ? ? ?`.
    /// Keys often hold ids of persons.
    Keys,
}

/// A Redis as its clients see it. Cheap to clone.
///
/// ```
/// use waypost_telemetry::redis::QueryText;
///
/// let telemetry = waypost_telemetry::testing::TestTelemetry::new("order-service");
/// let redis = telemetry.redis().server("cache.internal", 6380).query_text(QueryText::Keys).require_parent(true);
/// assert!(format!("{redis:?}").contains("cache.internal"));
/// ```
#[derive(Clone)]
pub struct Redis {
    shared: Arc<Shared>,
}

#[derive(Clone)]
struct Shared {
    telemetry: Telemetry,
    server: Option<(StringValue, Option<u16>)>,
    text: QueryText,
    requires_parent: bool,
    duration: Histogram<f64>,
}

impl Redis {
    /// A Redis whose operations are spans of this handle; the same as [`Telemetry::redis`].
    pub fn new(telemetry: &Telemetry) -> Self {
        let duration = operation_durations(telemetry.meter());
        let (telemetry, text) = (telemetry.clone(), QueryText::default());
        Self { shared: Arc::new(Shared { telemetry, server: None, text, requires_parent: false, duration }) }
    }

    /// Where it is: `server.address` and, unless it is 6379, `server.port`. For a cluster, the name that the program knows.
    #[must_use]
    pub fn server(&self, address: impl Into<Arc<str>>, port: u16) -> Self {
        let address: Arc<str> = address.into();
        let port = Some(port).filter(|port| *port != DEFAULT_PORT);
        self.changed(|shared| shared.server = Some((address.into(), port)))
    }

    /// What `db.query.text` shows. [`QueryText::Masked`] unless said.
    #[must_use]
    pub fn query_text(&self, text: QueryText) -> Self {
        self.changed(|shared| shared.text = text)
    }

    /// Whether an operation outside of any span has none of its own; it is measured all the same. For programs that ask
    /// Redis all the time in the background, whose traces would be of one span each.
    #[must_use]
    pub fn require_parent(&self, requires_parent: bool) -> Self {
        self.changed(|shared| shared.requires_parent = requires_parent)
    }

    /// A connection whose operations are spans.
    pub fn wrap<C>(&self, connection: C) -> Traced<C> {
        Traced::new(self.clone(), connection)
    }

    fn changed(&self, change: impl FnOnce(&mut Shared)) -> Self {
        let mut shared = Shared::clone(&self.shared);
        change(&mut shared);
        Self { shared: Arc::new(shared) }
    }
}

impl Telemetry {
    /// A Redis whose operations are spans of this handle.
    pub fn redis(&self) -> Redis {
        Redis::new(self)
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis")
            .field("server", &self.shared.server)
            .field("text", &self.shared.text)
            .field("requires_parent", &self.shared.requires_parent)
            .finish_non_exhaustive()
    }
}
