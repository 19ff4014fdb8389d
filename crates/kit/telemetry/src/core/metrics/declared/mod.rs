//! A service's metrics, declared in one place.
//!
//! A struct of instruments is made with a [`Declaration`], which notes what each is: name, unit, what it measures, its
//! attributes and their values. The same code gives the instruments that the service records with, the page that documents
//! them ([`Declaration::markdown`]) and the registry by which telemetry is checked ([`Declaration::registry`]).
//!
//! Attributes are types with a fixed list of values ([`Attribute`]), so a typing error does not compile and no caller can
//! make up a series. How many series an instrument can have is known when it is compiled; there may be
//! [`MAX_SERIES`] of them. Each is resolved when it is first recorded and kept: recording is then an index into a table.
//!
//! ```
//! use waypost_telemetry::Telemetry;
//! use waypost_telemetry::metrics::REQUEST_SECONDS;
//! use waypost_telemetry::metrics::declared::{Attribute, Counter, Declaration, Histogram, UpDownCounter};
//! use waypost_telemetry::metrics::{render_prometheus, sample};
//! use waypost_telemetry::testing::TestTelemetry;
//!
//! #[derive(Clone, Copy, Debug, PartialEq)]
//! enum Channel {
//!     Web,
//!     Shop,
//! }
//!
//! impl Attribute for Channel {
//!     const KEY: &'static str = "order.channel";
//!     const DESCRIPTION: &'static str = "Where the order came from.";
//!     const VALUES: &'static [(Self, &'static str)] = &[(Self::Web, "web"), (Self::Shop, "shop")];
//! }
//!
//! struct OrderMetrics {
//!     placed: Counter<(Channel,)>,
//!     open: UpDownCounter<()>,
//!     duration: Histogram<(Channel,)>,
//! }
//!
//! impl OrderMetrics {
//!     fn declare(metrics: &mut Declaration) -> Self {
//!         Self {
//!             placed: metrics.counter("order.placed", "{order}", "Orders that were placed."),
//!             open: metrics.up_down_counter("order.open", "{order}", "Orders that are neither delivered nor given up."),
//!             duration: metrics.histogram("order.place.duration", "s", "Time to place an order.", &REQUEST_SECONDS),
//!         }
//!     }
//! }
//!
//! let telemetry = TestTelemetry::new("order-service");
//! let metrics = OrderMetrics::declare(&mut Declaration::new(&telemetry));
//! metrics.placed.add(1, (Channel::Web,));
//! metrics.open.add(1, ());
//! metrics.duration.record(0.2, (Channel::Shop,));
//! let page = render_prometheus(&[telemetry.handle().clone()]);
//! assert_eq!(sample(&page, "order_placed_total", &[("order_channel", "web")]), Some(1.0));
//!
//! // The documentation needs no running service.
//! let mut declaration = Declaration::new(&Telemetry::disabled());
//! OrderMetrics::declare(&mut declaration);
//! assert!(declaration.markdown().contains("| `order.placed` | counter | `{order}` | Orders that were placed."));
//! ```

mod attributes;
mod page;

use std::fmt;
use std::marker::PhantomData;
use std::sync::OnceLock;

use opentelemetry::metrics::{
    self as api, BoundCounter, BoundGauge, BoundHistogram, BoundUpDownCounter, Meter,
};

use crate::core::handle::Telemetry;
pub use attributes::{Attribute, Attributes};

/// Series that an instrument may have by the values of its attributes. One that could have more does not compile.
pub const MAX_SERIES: usize = 1_000;

/// What was declared, and where instruments are made.
#[derive(Debug)]
pub struct Declaration {
    meter: Meter,
    instruments: Vec<Declared>,
}

/// An instrument, as it is documented.
#[derive(Debug)]
struct Declared {
    name: &'static str,
    instrument: &'static str,
    unit: &'static str,
    description: &'static str,
    bounds: Vec<f64>,
    attributes: Vec<DeclaredAttribute>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct DeclaredAttribute {
    key: &'static str,
    description: &'static str,
    values: Vec<&'static str>,
}

impl Declaration {
    /// Instruments of this handle. A disabled handle is enough for the documentation.
    pub fn new(telemetry: &Telemetry) -> Self {
        Self { meter: telemetry.meter().clone(), instruments: Vec::new() }
    }

    /// A sum that only grows.
    pub fn counter<A: Attributes>(
        &mut self,
        name: &'static str,
        unit: &'static str,
        description: &'static str,
    ) -> Counter<A> {
        self.note::<A>("counter", name, unit, description, &[]);
        let instrument = self.meter.u64_counter(name).with_unit(unit).with_description(description).build();
        Counter::new(instrument)
    }

    /// A sum that may shrink.
    pub fn up_down_counter<A: Attributes>(
        &mut self,
        name: &'static str,
        unit: &'static str,
        description: &'static str,
    ) -> UpDownCounter<A> {
        self.note::<A>("updowncounter", name, unit, description, &[]);
        let instrument =
            self.meter.i64_up_down_counter(name).with_unit(unit).with_description(description).build();
        UpDownCounter::new(instrument)
    }

    /// A value of the moment.
    pub fn gauge<A: Attributes>(
        &mut self,
        name: &'static str,
        unit: &'static str,
        description: &'static str,
    ) -> Gauge<A> {
        self.note::<A>("gauge", name, unit, description, &[]);
        let instrument = self.meter.f64_gauge(name).with_unit(unit).with_description(description).build();
        Gauge::new(instrument)
    }

    /// A value of the moment that is asked for when metrics are read. `read` must not block; without a value there is no
    /// point.
    pub fn observed(
        &mut self,
        name: &'static str,
        unit: &'static str,
        description: &'static str,
        read: impl Fn() -> Option<f64> + Send + Sync + 'static,
    ) {
        self.note::<()>("gauge", name, unit, description, &[]);
        let instrument = self.meter.f64_observable_gauge(name).with_unit(unit).with_description(description);
        let observe = move |observer: &dyn api::AsyncInstrument<f64>| {
            if let Some(value) = read() {
                observer.observe(value, &[]);
            }
        };
        instrument.with_callback(observe).build();
    }

    /// A distribution. `bounds` are the upper bounds of its buckets in its unit, growing; a view of the settings may give it
    /// others.
    pub fn histogram<A: Attributes>(
        &mut self,
        name: &'static str,
        unit: &'static str,
        description: &'static str,
        bounds: &[f64],
    ) -> Histogram<A> {
        self.note::<A>("histogram", name, unit, description, bounds);
        let instrument = self.meter.f64_histogram(name).with_unit(unit).with_description(description);
        Histogram::new(instrument.with_boundaries(bounds.to_vec()).build())
    }

    fn note<A: Attributes>(
        &mut self,
        instrument: &'static str,
        name: &'static str,
        unit: &'static str,
        description: &'static str,
        bounds: &[f64],
    ) {
        const { assert!(A::SERIES <= MAX_SERIES, "the values of the attributes make too many series") };
        let mut attributes = Vec::new();
        A::describe(&mut |key, description, values| {
            attributes.push(DeclaredAttribute { key, description, values });
        });
        let bounds = bounds.to_vec();
        self.instruments.push(Declared { name, instrument, unit, description, bounds, attributes });
    }
}

macro_rules! instruments {
    ($(
        $(#[$doc:meta])*
        $name:ident = $inner:ident<$number:ty> by $bound:ident;
        $(#[$verb_doc:meta])*
        $verb:ident
    );*) => {$(
        $(#[$doc])*
        pub struct $name<A: Attributes> {
            instrument: api::$inner<$number>,
            /// The series that were recorded, by their place.
            bound: Box<[OnceLock<$bound<$number>>]>,
            attributes: PhantomData<fn(A)>,
        }

        impl<A: Attributes> $name<A> {
            fn new(instrument: api::$inner<$number>) -> Self {
                let bound = (0..A::PLACES).map(|_| OnceLock::new()).collect();
                Self { instrument, bound, attributes: PhantomData }
            }

            $(#[$verb_doc])*
            pub fn $verb(&self, value: $number, attributes: A) {
                if let Some(series) = self.bound.get(attributes.place()) {
                    series.get_or_init(|| self.instrument.bind(&attributes.attributes())).$verb(value);
                }
            }
        }

        impl<A: Attributes> fmt::Debug for $name<A> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).field("series", &A::SERIES).finish_non_exhaustive()
            }
        }
    )*};
}

instruments! {
    /// A sum that only grows, with the attributes `A`. Made by [`Declaration::counter`].
    Counter = Counter<u64> by BoundCounter;
    /// Adds to the series of these attributes.
    add;
    /// A sum that may shrink, with the attributes `A`. Made by [`Declaration::up_down_counter`].
    UpDownCounter = UpDownCounter<i64> by BoundUpDownCounter;
    /// Adds to the series of these attributes, or takes from it.
    add;
    /// A value of the moment, with the attributes `A`. Made by [`Declaration::gauge`].
    Gauge = Gauge<f64> by BoundGauge;
    /// Takes the place of the value of these attributes.
    record;
    /// A distribution, with the attributes `A`. Made by [`Declaration::histogram`].
    Histogram = Histogram<f64> by BoundHistogram;
    /// Takes one value into the distribution of these attributes.
    record
}
