//! An instrumentation scope with its OTLP bytes, made once.

use std::sync::Arc;

use opentelemetry::{InstrumentationScope, KeyValue};

use crate::base::wire::attributes::put_attributes;
use crate::base::wire::{put_bytes, put_text};

/// Who made a span or a log record.
#[derive(Debug)]
pub(crate) struct Scope {
    pub(crate) scope: InstrumentationScope,
    /// What stands before the items in a `ScopeSpans` or `ScopeLogs` message: scope and schema URL.
    pub(super) head: Vec<u8>,
}

impl Scope {
    pub(crate) fn new(scope: InstrumentationScope) -> Arc<Self> {
        let mut message = Vec::new();
        put_text(&mut message, 1, scope.name());
        put_text(&mut message, 2, scope.version().unwrap_or_default());
        let attributes: Vec<KeyValue> = scope.attributes().cloned().collect();
        put_attributes(&mut message, 3, &attributes, usize::MAX, usize::MAX);
        let mut head = Vec::new();
        put_bytes(&mut head, 1, &message);
        put_text(&mut head, 3, scope.schema_url().unwrap_or_default());
        Arc::new(Self { scope, head })
    }
}
