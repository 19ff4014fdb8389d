//! From a body to a batch: the gRPC frame, the compression, the message.

use crate::{
    Refused,
    account::Reservation,
    compression::{Encoding, decompress},
    points,
};
use bytes::{Buf as _, Bytes};
use waypost_trace_model::{Batch, Limits, otlp, zipkin};

/// What a body is said to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Envelope {
    pub(crate) signal: Signal,
    pub(crate) format: Format,
    pub(crate) encoding: Encoding,
    /// Whether it is in a frame of gRPC, which says for itself whether it is compressed.
    pub(crate) is_framed: bool,
}

/// Of what kind the records are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    Traces,
    Logs,
    Metrics,
    Zipkin,
}

/// How they are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Protobuf,
    Json,
}

/// What a body held.
#[derive(Debug)]
pub(crate) enum Decoded {
    Records(Batch),
    /// Data points, which are not kept.
    Points(u64),
}

/// Decodes a body of at most `limit` bytes, also after decompression.
pub(crate) fn decode(
    envelope: Envelope,
    body: Bytes,
    limit: usize,
    limits: &Limits,
    reservation: &mut Reservation,
) -> Result<Decoded, Refused> {
    let (encoding, body) =
        if envelope.is_framed { unframe(envelope.encoding, body)? } else { (envelope.encoding, body) };
    let held = reservation.bytes();
    let plain = decompress(encoding, body, limit, reservation)?;
    if encoding != Encoding::Identity {
        // The compressed body is gone.
        reservation.shrink_to(reservation.bytes() - held);
    }
    let batch = match (envelope.signal, envelope.format) {
        (Signal::Traces, Format::Protobuf) => otlp::traces_from_protobuf(&plain, limits),
        (Signal::Traces, Format::Json) => otlp::traces_from_json(&plain, limits),
        (Signal::Logs, Format::Protobuf) => otlp::logs_from_protobuf(&plain, limits),
        (Signal::Logs, Format::Json) => otlp::logs_from_json(&plain, limits),
        (Signal::Zipkin, Format::Protobuf) => zipkin::spans_from_protobuf(&plain, limits).map(placed),
        (Signal::Zipkin, Format::Json) => zipkin::spans_from_json(&plain, limits).map(placed),
        (Signal::Metrics, Format::Protobuf) => return points::in_protobuf(&plain).map(Decoded::Points),
        (Signal::Metrics, Format::Json) => return points::in_json(&plain).map(Decoded::Points),
    };
    Ok(Decoded::Records(batch?))
}

/// Gives a span of which nothing says when it began the time of its arrival: a time is optional in Zipkin's format, and
/// 1970 would be wrong for certain.
fn placed(mut batch: Batch) -> Batch {
    let now = waypost_trace_store::now();
    for span in batch.spans.iter_mut().filter(|span| span.start == 0) {
        (span.start, span.end) = (now, now.saturating_add(span.duration()));
    }
    batch
}

/// The message of a unary call: one byte that says whether it is compressed, four of its length, itself.
fn unframe(encoding: Encoding, mut body: Bytes) -> Result<(Encoding, Bytes), Refused> {
    let malformed = |reason: &str| Refused::Malformed(reason.to_owned());
    if body.len() < 5 {
        return Err(malformed("there is no whole message in the call"));
    }
    let encoding = match (body.get_u8(), encoding) {
        (0, _) => Encoding::Identity,
        (1, Encoding::Identity) => return Err(malformed("the message is compressed and nobody says how")),
        (1, encoding) => encoding,
        _ => return Err(malformed("the message has an unknown flag")),
    };
    let length = body.get_u32();
    if body.len() as u64 == u64::from(length) {
        Ok((encoding, body))
    } else {
        Err(malformed("the call is not one message of the length that it says"))
    }
}
