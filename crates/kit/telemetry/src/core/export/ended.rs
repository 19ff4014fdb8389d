//! A span at its end, on its way into the bytes of an OTLP `Span` message.

use std::sync::Arc;

use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status};

use super::scope::Scope;
use crate::base::wire::{bytes_len, put_fixed32, put_head, put_message_with_room, put_number, put_text};

// The fields of `Span` that hold encoded parts.
pub(crate) const ATTRIBUTES: u32 = 9;
pub(crate) const EVENTS: u32 = 11;
pub(crate) const LINKS: u32 = 13;

/// The flags of a span or link: beside those of the trace context whether the parent or target is remote.
pub(crate) fn wire_flags(trace_flags: u8, is_remote: bool) -> u32 {
    const HAS_IS_REMOTE: u32 = 0x100;
    const IS_REMOTE: u32 = 0x200;
    u32::from(trace_flags) | HAS_IS_REMOTE | if is_remote { IS_REMOTE } else { 0 }
}

/// Everything a span was when it ended. `attributes`, `events` and `links` are encoded fields.
#[derive(Debug)]
pub(crate) struct EndedSpan<'a> {
    pub(crate) scope: &'a Arc<Scope>,
    pub(crate) context: &'a SpanContext,
    pub(crate) trace_state: &'a str,
    pub(crate) parent_id: SpanId,
    pub(crate) parent_is_remote: bool,
    pub(crate) name: &'a str,
    pub(crate) kind: &'a SpanKind,
    /// Nanoseconds since the epoch.
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) attributes: &'a [u8],
    pub(crate) dropped_attributes: u32,
    pub(crate) events: &'a [u8],
    pub(crate) dropped_events: u32,
    pub(crate) links: &'a [u8],
    pub(crate) dropped_links: u32,
    pub(crate) status: &'a Status,
}

impl EndedSpan<'_> {
    /// Appends it as field `field` of the message around it.
    #[inline]
    pub(super) fn put(&self, out: &mut Vec<u8>, field: u32) {
        // Ids, times and a few attributes take more than 128 bytes.
        put_message_with_room::<2>(out, field, |out| self.put_message(out));
    }

    /// Appends it without tag and length.
    #[inline]
    pub(super) fn put_message(&self, out: &mut Vec<u8>) {
        self.put_place_and_name(out);
        out.extend_from_slice(&self.kind_and_times());
        out.extend_from_slice(self.attributes);
        put_number(out, 10, self.dropped_attributes.into());
        // Most spans have neither, and nothing is to be called for it.
        if !self.events.is_empty() {
            out.extend_from_slice(self.events);
        }
        put_number(out, 12, self.dropped_events.into());
        if !self.links.is_empty() {
            out.extend_from_slice(self.links);
        }
        put_number(out, 14, self.dropped_links.into());
        self.put_status_and_flags(out);
    }

    /// Fields 1 to 5, as one piece where they are those of most spans.
    #[inline]
    fn put_place_and_name(&self, out: &mut Vec<u8>) {
        match u8::try_from(self.name.len()) {
            Ok(len @ 1..0x80) if self.trace_state.is_empty() && self.parent_id != SpanId::INVALID => {
                let mut fields = [0; 40];
                fields[..28].copy_from_slice(&self.ids());
                fields[28..38].copy_from_slice(&self.parent());
                fields[38..].copy_from_slice(&[5 << 3 | 2, len]);
                out.extend_from_slice(&fields);
                out.extend_from_slice(self.name.as_bytes());
            }
            _ => {
                out.extend_from_slice(&self.ids());
                put_text(out, 3, self.trace_state);
                if self.parent_id != SpanId::INVALID {
                    out.extend_from_slice(&self.parent());
                }
                put_text(out, 5, self.name);
            }
        }
    }

    /// Fields 15 and 16, as one piece where the status says no more than its code.
    #[inline]
    fn put_status_and_flags(&self, out: &mut Vec<u8>) {
        const STATUS: u8 = 15 << 3 | 2;
        const CODE: u8 = 3 << 3;
        // The tag of field 16 takes two bytes.
        const FLAGS: [u8; 2] = [(16 << 3 | 5) | 0x80, 1];
        let flags = wire_flags(self.context.trace_flags().to_u8(), self.parent_is_remote);
        let [tag, rest] = FLAGS;
        let [a, b, c, d] = flags.to_le_bytes();
        match self.status {
            Status::Unset => out.extend_from_slice(&[STATUS, 0, tag, rest, a, b, c, d]),
            Status::Ok => out.extend_from_slice(&[STATUS, 2, CODE, 1, tag, rest, a, b, c, d]),
            Status::Error { description } if description.is_empty() => {
                out.extend_from_slice(&[STATUS, 2, CODE, 2, tag, rest, a, b, c, d]);
            }
            Status::Error { description } => {
                put_head(out, 15, status_len(description, 2));
                put_text(out, 2, description);
                put_number(out, 3, 2);
                put_fixed32(out, 16, flags);
            }
        }
    }

    /// Fields 1 and 2.
    #[inline]
    fn ids(&self) -> [u8; 28] {
        let mut fields = [0; 28];
        fields[..2].copy_from_slice(&[1 << 3 | 2, 16]);
        fields[2..18].copy_from_slice(&self.context.trace_id().to_bytes());
        fields[18..20].copy_from_slice(&[2 << 3 | 2, 8]);
        fields[20..].copy_from_slice(&self.context.span_id().to_bytes());
        fields
    }

    /// Field 4.
    #[inline]
    fn parent(&self) -> [u8; 10] {
        let mut field = [0; 10];
        field[..2].copy_from_slice(&[4 << 3 | 2, 8]);
        field[2..].copy_from_slice(&self.parent_id.to_bytes());
        field
    }

    /// Fields 6 to 8.
    #[inline]
    fn kind_and_times(&self) -> [u8; 20] {
        let mut fields = [0; 20];
        fields[..3].copy_from_slice(&[6 << 3, self.kind_number(), 7 << 3 | 1]);
        fields[3..11].copy_from_slice(&self.start.to_le_bytes());
        fields[11] = 8 << 3 | 1;
        fields[12..].copy_from_slice(&self.end.to_le_bytes());
        fields
    }

    fn kind_number(&self) -> u8 {
        match self.kind {
            SpanKind::Internal => 1,
            SpanKind::Server => 2,
            SpanKind::Client => 3,
            SpanKind::Producer => 4,
            SpanKind::Consumer => 5,
        }
    }
}

#[inline]
fn status_len(message: &str, code: u64) -> usize {
    let message = if message.is_empty() { 0 } else { bytes_len(message.len()) };
    message + if code == 0 { 0 } else { 2 }
}
