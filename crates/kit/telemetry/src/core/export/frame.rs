//! A frame: encoded spans or log records that travel together, ready to be sent as they are.
//!
//! It is one OTLP `ResourceSpans` or `ResourceLogs` message (the two have the same field numbers), kept as the
//! pieces it was written in. Any number of frames, one after another, is a valid export request, so requests are
//! put together without a copy, and the same frame goes to several receivers.

use std::sync::Arc;

use bytes::Bytes;
use opentelemetry::KeyValue;

use super::buffers::BUFFERS;
use super::scope::Scope;
use crate::base::wire::attributes::put_attributes;
use crate::base::wire::{bytes_len, put_bytes, put_head, put_text};

/// Field of the items in a `ScopeSpans` or `ScopeLogs` message.
pub(super) const ITEMS: u32 = 2;

#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(super) pieces: Vec<Bytes>,
    pub(super) items: usize,
    pub(super) bytes: usize,
}

impl Frame {
    /// One that was written by other means.
    pub(super) fn whole(bytes: Bytes) -> Self {
        Self { bytes: bytes.len(), items: 1, pieces: vec![bytes] }
    }
}

/// Items of one scope, each as field [`ITEMS`].
#[derive(Debug)]
pub(super) struct Part {
    pub(super) scope: Arc<Scope>,
    pub(super) items: Vec<u8>,
}

/// What stands before the scopes in every frame of a handle: resource and schema URL.
#[derive(Debug, Default)]
pub(crate) struct Envelope(Vec<u8>);

impl Envelope {
    pub(crate) fn new(resource: &[KeyValue], schema_url: &str) -> Self {
        let mut message = Vec::new();
        put_attributes(&mut message, 1, resource, usize::MAX, usize::MAX);
        let mut head = Vec::new();
        put_bytes(&mut head, 1, &message);
        put_text(&mut head, 3, schema_url);
        Self(head)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// A frame of these parts, which are left empty.
    pub(super) fn seal(&self, parts: &mut Vec<Part>, items: usize) -> Frame {
        let scope_len = |part: &Part| part.scope.head.len() + part.items.len();
        let inner: usize = self.0.len() + parts.iter().map(|part| bytes_len(scope_len(part))).sum::<usize>();
        let mut pieces = Vec::with_capacity(parts.len() * 2);
        let mut head = Vec::with_capacity(self.0.len() + 64);
        put_head(&mut head, 1, inner);
        head.extend_from_slice(&self.0);
        for part in parts.drain(..) {
            let Part { scope, items } = part;
            put_head(&mut head, 2, scope.head.len() + items.len());
            head.extend_from_slice(&scope.head);
            pieces.push(Bytes::from(std::mem::take(&mut head)));
            pieces.push(BUFFERS.freeze(items));
        }
        let bytes = pieces.iter().map(Bytes::len).sum();
        Frame { pieces, items, bytes }
    }
}
