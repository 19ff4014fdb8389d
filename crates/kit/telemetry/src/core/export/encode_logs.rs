//! Log records as OTLP messages.

use std::sync::Arc;
use std::sync::{PoisonError, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry::{InstrumentationScope, Value};

use super::scope::Scope;
use crate::base::config::Limits;
use crate::base::finished::FinishedLog;
use crate::base::wire::attributes::{cut, put_attributes};
use crate::base::wire::{put_bytes, put_fixed32, put_fixed64, put_message, put_number, put_text};

const STRING_VALUE: u32 = 1;
/// Bounded where it is made, so that the frames that matter stay; see [`crate::core::record`].
const STACK_TRACE: &str = "exception.stacktrace";

/// Appends a record as field `field` of the message around it, within its limits.
pub(super) fn put(out: &mut Vec<u8>, field: u32, record: &FinishedLog, limits: &Limits) {
    put_message(out, field, |out| {
        let time = nanoseconds(record.time);
        put_fixed64(out, 1, time);
        put_number(out, 2, record.severity as u64);
        put_text(out, 3, record.severity.name());
        let body = cut(&record.body, limits.log_value_length());
        put_message(out, 5, |out| put_bytes(out, STRING_VALUE, body.as_bytes()));
        let (stack, others): (Vec<_>, Vec<_>) =
            record.attributes.iter().cloned().partition(|attribute| attribute.key.as_str() == STACK_TRACE);
        let max = limits.log_attributes as usize;
        let over = put_attributes(out, 6, &others, max, limits.log_value_length());
        put_attributes(out, 6, &stack, 1, usize::MAX);
        put_number(out, 7, over.into());
        if record.span.is_valid() {
            put_fixed32(out, 8, record.span.trace_flags().to_u8().into());
            put_bytes(out, 9, &record.span.trace_id().to_bytes());
            put_bytes(out, 10, &record.span.span_id().to_bytes());
        }
        put_fixed64(out, 11, time);
    });
}

/// Nanoseconds since the epoch; zero for times before it.
#[inline]
pub(crate) fn nanoseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    // As 64 bits, which reach to the year 2554.
    since.as_secs().saturating_mul(1_000_000_000).saturating_add(since.subsec_nanos().into())
}

/// One scope for each target, as other OpenTelemetry log bridges do. Targets are in the program's text, so they are
/// few; those over the bound are made anew for each record.
#[derive(Debug, Default)]
pub(super) struct Targets(RwLock<Vec<Arc<Scope>>>);

impl Targets {
    const MAX: usize = 512;

    pub(super) fn scope(&self, target: &str) -> Arc<Scope> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(scope) = known.iter().find(|scope| scope.scope.name() == target) {
            return Arc::clone(scope);
        }
        drop(known);
        let made = Scope::new(InstrumentationScope::builder(target.to_owned()).build());
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() < Self::MAX {
            known.push(Arc::clone(&made));
        }
        made
    }
}

/// Brings a record within its limits: each key once, no endless text.
pub(super) fn tidy(record: &mut FinishedLog, limits: &Limits) {
    let max = limits.log_value_length();
    let kept = cut(&record.body, max).len();
    record.body.truncate(kept);
    let attributes = std::mem::take(&mut record.attributes);
    for mut attribute in attributes {
        if let Value::String(text) = &attribute.value
            && attribute.key.as_str() != STACK_TRACE
            && text.as_str().len() > max
        {
            attribute.value = cut(text.as_str(), max).to_owned().into();
        }
        let known = record.attributes.iter().position(|known| known.key == attribute.key);
        match known {
            Some(place) => record.attributes[place] = attribute,
            None if record.attributes.len() < limits.log_attributes as usize => {
                record.attributes.push(attribute);
            }
            None => {}
        }
    }
}
