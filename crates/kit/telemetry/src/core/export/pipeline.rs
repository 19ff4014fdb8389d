//! The one span processor of a handle: what happens to a span at its start and at its end.
//!
//! At the start it is counted and gets the attributes that baggage may set. At the end it is brought within its
//! limits and handed to every sink; the last sink gets it without a copy. Nothing here waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use opentelemetry::baggage::BaggageExt;
use opentelemetry::trace::Span as _;
use opentelemetry::{Context, Key, KeyValue};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};

use super::Sink;
use super::limits;
use crate::base::attributes::TENANT_ID;
use crate::base::config::{BaggageSettings, Limits};
use crate::core::tenant;

/// How many spans began and ended.
#[derive(Debug, Default)]
pub(crate) struct SpanCounts {
    started: AtomicU64,
    ended: AtomicU64,
}

impl SpanCounts {
    /// Started and ended. `ended` is read first, so that it is never the larger.
    pub(crate) fn read(&self) -> (u64, u64) {
        let ended = self.ended.load(Ordering::Acquire);
        (self.started.load(Ordering::Acquire), ended)
    }
}

#[derive(Debug)]
pub(crate) struct Pipeline {
    counts: Arc<SpanCounts>,
    sinks: Arc<[Arc<dyn Sink<SpanData>>]>,
    limits: Limits,
    baggage_keys: Vec<Key>,
    max_baggage_value: usize,
}

impl Pipeline {
    pub(crate) fn new(
        counts: Arc<SpanCounts>,
        sinks: Arc<[Arc<dyn Sink<SpanData>>]>,
        limits: Limits,
        baggage: &BaggageSettings,
    ) -> Self {
        let baggage_keys = baggage.span_attributes.iter().cloned().map(Key::from).collect();
        Self { counts, sinks, limits, baggage_keys, max_baggage_value: baggage.max_value_length }
    }

    fn may_become_attribute(&self, key: &Key, value: &str) -> bool {
        if key.as_str() == TENANT_ID {
            return tenant::is_valid(value);
        }
        value.len() <= self.max_baggage_value && !value.chars().any(char::is_control)
    }
}

impl SpanProcessor for Pipeline {
    fn on_start(&self, span: &mut Span, parent: &Context) {
        self.counts.started.fetch_add(1, Ordering::Relaxed);
        let baggage = parent.baggage();
        if baggage.is_empty() {
            return;
        }
        for key in &self.baggage_keys {
            if let Some(value) = baggage.get(key)
                && self.may_become_attribute(key, value.as_str())
            {
                span.set_attribute(KeyValue::new(key.clone(), value.clone()));
            }
        }
    }

    fn on_end(&self, mut span: SpanData) {
        limits::tidy_span(&mut span, &self.limits);
        // Counted before it is shown anywhere: whoever sees the last span of a trace sees none of it open.
        self.counts.ended.fetch_add(1, Ordering::Release);
        if let Some((last, others)) = self.sinks.split_last() {
            for sink in others {
                sink.accept(span.clone());
            }
            last.accept(span);
        }
    }

    /// The handle flushes its exporters itself, with a deadline.
    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    /// The handle shuts its exporters down itself; spans that end later are still counted.
    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        Ok(())
    }
}
