//! Spans and metrics of Memcached, around the client of the crate `async-memcached`.
//!
//! [`Memcached`] says which server it is and what is shown; [`Memcached::wrap`] puts a client, or a reference to one, inside a
//! [`Traced`], which has the methods of `async_memcached::AsciiProtocol`. Each is one CLIENT span and one measurement, and what
//! is read counts as a hit or a miss of a cache. Values are recorded nowhere, and keys only where a program asks for them.
//! Left out: the meta protocol and the dump of keys, which [`Traced::inner_mut`] leads to.
//!
//! ```no_run
//! # async fn example() -> Result<(), async_memcached::Error> {
//! let telemetry = waypost_telemetry::testing::TestTelemetry::new("price-service");
//! let client = async_memcached::Client::new("tcp://127.0.0.1:11211").await?;
//! let mut client = telemetry.memcached().server("127.0.0.1", 11211).wrap(client);
//!
//! client.set("prod456", 4995_u64, Some(60), None).await?;
//! let price = client.get("prod456").await?;
//! telemetry.tree().assert_matches("get CLIENT price-service db.system.name=memcached cache.hit=true");
//! # drop(price);
//! # Ok(())
//! # }
//! ```

mod operation;
mod shown;
mod traced;

use std::fmt;
use std::sync::Arc;

use opentelemetry::StringValue;
use opentelemetry::metrics::Histogram;

use crate::core::handle::Telemetry;
use crate::core::lookups::Lookups;
use crate::core::readings::database::operation_durations;
pub use traced::Traced;

/// The port of a Memcached that is told no other.
const DEFAULT_PORT: u16 = 11211;

/// `cache.name` of a server that was given none.
const NAMELESS: &str = "memcached";

/// What `db.query.text` shows of an operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum QueryText {
    /// Nothing: there is no `db.query.text`.
    Off,
    /// The command, and `?` for each key: `get ? ?`.
    #[default]
    Masked,
    /// As [`QueryText::Masked`], with the keys: `get price:prod456`. Keys often hold ids of persons.
    Keys,
}

/// A Memcached as its clients see it. Cheap to clone; make it once and keep it.
///
/// ```
/// use waypost_telemetry::memcached::QueryText;
///
/// let telemetry = waypost_telemetry::testing::TestTelemetry::new("price-service");
/// let memcached = telemetry
///     .memcached()
///     .server("cache.internal", 11212)
///     .cache_name("prices")
///     .query_text(QueryText::Keys)
///     .require_parent(true);
/// assert!(format!("{memcached:?}").contains("cache.internal"));
/// ```
#[derive(Clone)]
pub struct Memcached {
    shared: Arc<Shared>,
}

#[derive(Clone)]
struct Shared {
    telemetry: Telemetry,
    server: Option<(StringValue, Option<u16>)>,
    text: QueryText,
    requires_parent: bool,
    duration: Histogram<f64>,
    lookups: Lookups,
}

impl Memcached {
    /// A Memcached whose operations are spans of this handle; the same as [`Telemetry::memcached`].
    pub fn new(telemetry: &Telemetry) -> Self {
        let duration = operation_durations(telemetry.meter());
        let shared = Shared {
            telemetry: telemetry.clone(),
            server: None,
            text: QueryText::default(),
            requires_parent: false,
            duration,
            lookups: Lookups::new(telemetry, NAMELESS.into()),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Where it is: `server.address` and, unless it is 11211, `server.port`.
    #[must_use]
    pub fn server(&self, address: impl Into<Arc<str>>, port: u16) -> Self {
        let address: Arc<str> = address.into();
        let port = Some(port).filter(|port| *port != DEFAULT_PORT);
        self.changed(|shared| shared.server = Some((address.into(), port)))
    }

    /// `cache.name` of its hits and misses; `memcached` unless said. For what is kept in it under keys of one kind.
    #[must_use]
    pub fn cache_name(&self, name: impl Into<Arc<str>>) -> Self {
        let name: Arc<str> = name.into();
        self.changed(|shared| shared.lookups = Lookups::new(&shared.telemetry, name.into()))
    }

    /// What `db.query.text` shows. [`QueryText::Masked`] unless said.
    #[must_use]
    pub fn query_text(&self, text: QueryText) -> Self {
        self.changed(|shared| shared.text = text)
    }

    /// Whether an operation outside of any span has none of its own; it is measured all the same.
    #[must_use]
    pub fn require_parent(&self, requires_parent: bool) -> Self {
        self.changed(|shared| shared.requires_parent = requires_parent)
    }

    /// A client whose operations are spans: one that is owned, or an exclusive reference to one.
    pub fn wrap<C>(&self, client: C) -> Traced<C> {
        Traced::new(self.clone(), client)
    }

    fn changed(&self, change: impl FnOnce(&mut Shared)) -> Self {
        let mut shared = Shared::clone(&self.shared);
        change(&mut shared);
        Self { shared: Arc::new(shared) }
    }
}

impl Telemetry {
    /// A Memcached whose operations are spans of this handle.
    pub fn memcached(&self) -> Memcached {
        Memcached::new(self)
    }
}

impl fmt::Debug for Memcached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memcached")
            .field("server", &self.shared.server)
            .field("text", &self.shared.text)
            .finish_non_exhaustive()
    }
}
