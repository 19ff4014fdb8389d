//! What a decoder puts up with.

/// Limits of what is kept. Every limit is checked while decoding, before memory for the excess is taken.
///
/// They are limits of the decoded record, whatever format it came in: what one decoder lets through, the decoder of
/// another format lets through as well, and so does the same one after [`crate::otlp::traces_to_protobuf`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Attributes of one span, event, link, scope or resource; a record with more is refused.
    pub attributes: usize,
    /// Bytes of one attribute key; longer keys: the record is refused.
    pub key_length: usize,
    /// Bytes of one attribute value; longer: the record is refused. For an array or a map these are the bytes of all its
    /// texts, byte strings and keys together, and 8 for each of its parts.
    pub value_length: usize,
    /// Arrays and maps within each other in one value, never more than [`Limits::DEEPEST`]; deeper: the record is refused.
    pub depth: usize,
    /// Bytes of a span's name, status message or trace state; longer: the record is refused.
    pub text_length: usize,
    /// Events of one span.
    pub events: usize,
    /// Links of one span.
    pub links: usize,
    /// Spans and log records of one request; with more the whole request is refused.
    pub records: usize,
    /// Attributes, parts of their values, events and links of one request together. Each takes two bytes on the wire and
    /// up to 72 in memory, so that this, not the size of a request, bounds what it can take. A record that does not fit
    /// beside those before it is refused.
    pub parts: usize,
}

impl Limits {
    /// No value is nested deeper than this, whatever the limits say: decoding, comparing and dropping a value use the
    /// stack, and what is kept must fit within the 128 levels of JSON parsers after an export.
    pub const DEEPEST: usize = 24;

    /// For bytes that were let through before, such as those of a store's journal: no limits but [`Limits::DEEPEST`].
    pub fn none() -> Limits {
        Limits {
            attributes: usize::MAX,
            key_length: usize::MAX,
            value_length: usize::MAX,
            depth: Limits::DEEPEST,
            text_length: usize::MAX,
            events: usize::MAX,
            links: usize::MAX,
            records: usize::MAX,
            parts: usize::MAX,
        }
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            attributes: 1024,
            key_length: 1024,
            value_length: 256 * 1024,
            depth: 16,
            text_length: 64 * 1024,
            events: 4096,
            links: 4096,
            records: 200_000,
            parts: 4_000_000,
        }
    }
}
