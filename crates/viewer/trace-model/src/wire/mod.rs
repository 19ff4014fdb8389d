//! The protobuf wire format: fields out of bytes and into bytes, knowing no message.
//!
//! For the OTLP and Zipkin codecs. The reader copies nothing: what it returns are slices of the request, and a nested
//! message is a reader of such a slice, so that skipping a field of any size costs the same.
//!
//! Left out: groups, which no message here ever had and which are refused.

mod reader;
mod writer;

pub(crate) use reader::{Raw, Reader};
pub(crate) use writer::Writer;

use std::fmt;

/// Where and why bytes are not a message.
#[derive(Debug)]
pub(crate) struct Fault(Box<Place>);

#[derive(Debug)]
struct Place {
    /// Bytes before the field, from the beginning of the request.
    offset: usize,
    why: &'static str,
    /// Names of the messages around it, the innermost first.
    path: Vec<&'static str>,
}

impl Fault {
    #[cold]
    fn new(offset: usize, why: &'static str) -> Fault {
        Fault(Box::new(Place { offset, why, path: Vec::new() }))
    }

    /// The same, found within the message of this name.
    #[cold]
    pub(crate) fn within(mut self, name: &'static str) -> Fault {
        self.0.path.push(name);
        self
    }
}

/// `resource_spans.scope_spans.spans: a length runs past the end (at byte 17)`.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, name) in self.0.path.iter().rev().enumerate() {
            f.write_str(if place == 0 { "" } else { "." })?;
            f.write_str(name)?;
        }
        f.write_str(if self.0.path.is_empty() { "" } else { ": " })?;
        write!(f, "{} (at byte {})", self.0.why, self.0.offset)
    }
}
