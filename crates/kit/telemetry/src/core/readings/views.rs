//! Which view an instrument has, and what the SDK is told of it.

use opentelemetry_sdk::metrics::{Aggregation, Instrument, InstrumentKind as SdkKind, Stream};

use crate::base::config::{InstrumentKind, ViewSettings};
use crate::core::sampling::matches;

/// The views of a handle: the first one that fits an instrument is its view.
#[derive(Debug)]
pub(crate) struct Views {
    views: Vec<ViewSettings>,
    cardinality_limit: usize,
}

/// An instrument, as views look at it.
pub(crate) struct Seen<'a> {
    pub(crate) name: &'a str,
    pub(crate) unit: &'a str,
    pub(crate) kind: InstrumentKind,
    pub(crate) scope: &'a str,
}

impl Views {
    pub(crate) fn new(views: &[ViewSettings], cardinality_limit: usize) -> Self {
        Self { views: views.to_vec(), cardinality_limit }
    }

    /// Whether any of them leaves out attributes.
    pub(crate) fn filter_attributes(&self) -> bool {
        self.views.iter().any(|view| view.attributes.is_some())
    }

    pub(crate) fn of(&self, instrument: &Seen<'_>) -> Option<&ViewSettings> {
        let fits = |view: &&ViewSettings| {
            matches(&view.instrument.to_ascii_lowercase(), &instrument.name.to_ascii_lowercase())
                && matches(&view.scope, instrument.scope)
                && view.kind.is_none_or(|kind| kind == instrument.kind)
                && view.unit.as_ref().is_none_or(|unit| unit == instrument.unit)
        };
        self.views.iter().find(fits)
    }

    /// The one stream of an instrument.
    pub(crate) fn stream(&self, instrument: &Instrument) -> Option<Stream> {
        let kind = kind_of(instrument.kind());
        let seen =
            Seen { name: instrument.name(), unit: instrument.unit(), kind, scope: instrument.scope().name() };
        let view = self.of(&seen);
        let limit = view.and_then(|view| view.cardinality_limit).unwrap_or(self.cardinality_limit);
        let mut stream = Stream::builder().with_cardinality_limit(limit);
        if let Some(view) = view {
            if let Some(name) = &view.name {
                stream = stream.with_name(name.clone());
            }
            if let Some(description) = &view.description {
                stream = stream.with_description(description.clone());
            }
            if view.drop {
                stream = stream.with_aggregation(Aggregation::Drop);
            } else if let Some(boundaries) =
                view.buckets.clone().filter(|_| kind == InstrumentKind::Histogram)
            {
                let buckets = Aggregation::ExplicitBucketHistogram { boundaries, record_min_max: true };
                stream = stream.with_aggregation(buckets);
            }
        }
        stream.build().ok()
    }
}

fn kind_of(kind: SdkKind) -> InstrumentKind {
    match kind {
        SdkKind::Counter => InstrumentKind::Counter,
        SdkKind::UpDownCounter => InstrumentKind::UpDownCounter,
        SdkKind::Histogram => InstrumentKind::Histogram,
        SdkKind::Gauge => InstrumentKind::Gauge,
        SdkKind::ObservableCounter => InstrumentKind::ObservableCounter,
        SdkKind::ObservableUpDownCounter => InstrumentKind::ObservableUpDownCounter,
        SdkKind::ObservableGauge => InstrumentKind::ObservableGauge,
    }
}
