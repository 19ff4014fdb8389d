//! What the operator may change.

use waypost_settings::{ByteSize, Duration, settings};
use waypost_trace_model::Limits;

settings! {
    /// What the viewer takes in, and how much of it at once.
    pub struct Settings {
        /// Bytes of one request, before and after decompression; more are refused (413, RESOURCE_EXHAUSTED) and not to be
        /// sent again.
        pub body_size: ByteSize = ByteSize::mib(64),
        /// Time for the body of one request to arrive.
        pub body_timeout: Duration = Duration::from_secs(30),
        /// Bytes of all requests that are read, decoded and written at once; further ones are asked to come back (429,
        /// RESOURCE_EXHAUSTED with a time).
        pub in_flight: ByteSize = ByteSize::mib(256),
        /// Requests at once, over all protocols; further ones are asked to come back.
        pub calls: usize = 1024,
        /// After which time a refused sender is asked to come back.
        pub retry_after: Duration = Duration::from_secs(1),
        /// Origins of web pages that may send spans from a browser, each exactly as the browser writes it, such as
        /// "https://shop.example". None: no page of another origin may.
        pub cors_origins: Vec<String> = Vec::new(),
        /// Limits of what one request may hold.
        pub limits: RecordLimits = RecordLimits::default(),
    }
}

settings! {
    /// Limits of what one request may hold. A record beyond them is refused; the others of its request are kept.
    pub struct RecordLimits {
        /// Attributes of one span, event, link, scope, resource or log record.
        pub attributes: usize = 1024,
        /// Bytes of one attribute key.
        pub key_length: ByteSize = ByteSize::kib(1),
        /// Bytes of one attribute value, all parts of an array or map together.
        pub value_length: ByteSize = ByteSize::kib(256),
        /// Arrays and maps within each other in one value; never more than 24.
        pub depth: usize = 16,
        /// Bytes of a span's name, status message or trace state.
        pub text_length: ByteSize = ByteSize::kib(64),
        /// Events of one span.
        pub events: usize = 4096,
        /// Links of one span.
        pub links: usize = 4096,
        /// Spans and log records of one request; with more the whole request is refused.
        pub records: usize = 200_000,
        /// Attributes, parts of their values, events and links of one request together.
        pub parts: usize = 2_000_000,
    }
}

impl RecordLimits {
    /// As the decoders take them.
    pub fn limits(&self) -> Limits {
        Limits {
            attributes: self.attributes,
            key_length: self.key_length.as_usize(),
            value_length: self.value_length.as_usize(),
            depth: self.depth,
            text_length: self.text_length.as_usize(),
            events: self.events,
            links: self.links,
            records: self.records,
            parts: self.parts,
        }
    }
}
