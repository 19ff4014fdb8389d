//! Metrics of caches in memory, and spans of what they load.
//!
//! [`Cache`] counts look-ups by whether they were answered, measures what a miss costs, and counts what is given up and why; the
//! load of a missing value is a span where that is wanted. [`Cache::wrap`] does it around any cache that implements the small
//! trait [`Store`]; with the feature `moka`, [`Cache::moka`] does it around `moka::future::Cache`, whose callers share a load.
//! Keys and values are recorded nowhere.
//!
//! ```
//! use std::collections::HashMap;
//! use std::sync::Mutex;
//! use waypost_telemetry::cache::Store;
//! use waypost_telemetry::metrics::{render_prometheus, sample};
//! use waypost_telemetry::testing::TestTelemetry;
//!
//! struct Prices(Mutex<HashMap<u32, i64>>);
//!
//! impl Store for Prices {
//!     type Key = u32;
//!     type Value = i64;
//!     fn look_up(&self, key: &u32) -> Option<i64> {
//!         self.0.lock().unwrap().get(key).copied()
//!     }
//!     fn keep(&self, key: u32, value: i64) {
//!         self.0.lock().unwrap().insert(key, value);
//!     }
//!     fn forget(&self, key: &u32) {
//!         self.0.lock().unwrap().remove(key);
//!     }
//!     fn entries(&self) -> Option<u64> {
//!         Some(self.0.lock().unwrap().len() as u64)
//!     }
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let telemetry = TestTelemetry::new("price-service");
//! let prices = telemetry.cache("prices").wrap(Prices(Mutex::default()));
//! for _ in 0..3 {
//!     let price = prices.get_with(7, async { Ok::<_, std::io::Error>(4_995) }).await?;
//!     assert_eq!(price, 4_995);
//! }
//! let page = render_prometheus(&[telemetry.handle().clone()]);
//! assert_eq!(sample(&page, "waypost_cache_lookups_total", &[("cache_hit", "true")]), Some(2.0));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod loading;
#[cfg(feature = "moka")]
mod moka;
mod traced;

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram};

use crate::base::error::AsErrorType;
use crate::core::handle::Telemetry;
use crate::core::lookups::{Lookups, NAME};
use crate::core::readings::{DATABASE_SECONDS, durations};
use loading::Loading;
#[cfg(feature = "moka")]
pub use moka::TracedMoka;
pub use traced::{Store, Traced};

const REASON: &str = "waypost.cache.eviction.reason";

/// Why an entry is no longer there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Eviction {
    /// It was too old.
    Expired,
    /// There were too many.
    Size,
    /// The program removed it.
    Explicit,
    /// The program put another value in its place.
    Replaced,
}

impl Eviction {
    fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Size => "size",
            Self::Explicit => "explicit",
            Self::Replaced => "replaced",
        }
    }
}

/// A cache as it is measured. Cheap to clone.
///
/// ```
/// let telemetry = waypost_telemetry::testing::TestTelemetry::new("price-service");
/// let prices = telemetry.cache("prices").load_spans(true);
/// prices.looked_up(false);
/// assert!(format!("{prices:?}").contains("prices"));
/// ```
#[derive(Clone)]
pub struct Cache {
    shared: Arc<Shared>,
}

#[derive(Clone)]
struct Shared {
    telemetry: Telemetry,
    name: &'static str,
    has_load_spans: bool,
    lookups: Lookups,
    loads: Histogram<f64>,
    evictions: Counter<u64>,
}

impl Cache {
    /// A cache of this name; the same as [`Telemetry::cache`]. Make it once and keep it.
    pub fn new(telemetry: &Telemetry, name: &'static str) -> Self {
        let meter = telemetry.meter();
        let evictions = meter.u64_counter("waypost.cache.evictions").with_unit("{entry}");
        let loads = durations(
            meter,
            "waypost.cache.load.duration",
            "Duration of loading a value that a cache did not have.",
            &DATABASE_SECONDS,
        );
        let shared = Shared {
            telemetry: telemetry.clone(),
            name,
            has_load_spans: false,
            lookups: Lookups::new(telemetry, name.into()),
            loads,
            evictions: evictions.with_description("Entries that are no longer in a cache.").build(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Whether each load is a span, `load {name}`. Not unless said: what a load does has spans of its own in most programs.
    #[must_use]
    pub fn load_spans(&self, has_load_spans: bool) -> Self {
        Self { shared: Arc::new(Shared { has_load_spans, ..Shared::clone(&self.shared) }) }
    }

    /// Counts one look-up.
    pub fn looked_up(&self, is_hit: bool) {
        self.shared.lookups.count(is_hit, 1);
    }

    /// Counts one entry that is no longer there.
    pub fn evicted(&self, reason: Eviction) {
        let labels = [KeyValue::new(NAME, self.shared.name), KeyValue::new(REASON, reason.as_str())];
        self.shared.evictions.add(1, &labels);
    }

    /// Measures a load. Dropped before it is done it counts as cancelled.
    ///
    /// # Errors
    /// That of the load.
    pub async fn load<T, E: AsErrorType>(&self, load: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        Loading::start(self).run(load).await
    }

    /// Shows how many entries there are whenever metrics are read, until `entries` says `None`: then the cache is gone.
    pub fn observe(&self, entries: impl Fn() -> Option<u64> + Send + Sync + 'static) {
        let labels = [KeyValue::new(NAME, self.shared.name)];
        self.shared
            .telemetry
            .meter()
            .i64_observable_up_down_counter("waypost.cache.entries")
            .with_unit("{entry}")
            .with_description("Entries in a cache.")
            .with_callback(move |level| {
                if let Some(entries) = entries() {
                    level.observe(i64::try_from(entries).unwrap_or(i64::MAX), &labels);
                }
            })
            .build();
    }

    /// A cache whose look-ups are counted.
    pub fn wrap<S: Store>(&self, store: S) -> Traced<S> {
        Traced::new(self.clone(), store)
    }
}

impl Telemetry {
    /// A cache of this name whose look-ups are counted by this handle.
    pub fn cache(&self, name: &'static str) -> Cache {
        Cache::new(self, name)
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("name", &self.shared.name)
            .field("load_spans", &self.shared.has_load_spans)
            .finish_non_exhaustive()
    }
}
