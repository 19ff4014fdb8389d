//! What an imported file holds: OTLP JSON (one document, or one a line, as the OpenTelemetry Collector's file exporter
//! writes it), Jaeger's JSON, or Zipkin's.
//!
//! The form is seen from the document itself: what is a list is Zipkin's, what has `data` is Jaeger's, all else must be OTLP.

mod jaeger;

use crate::problem::Problem;
use serde::de::IgnoredAny;
use waypost_trace_model::{Batch, Limits, otlp, zipkin};
use waypost_trace_store::now;

/// Spans and log records of all documents of a body.
pub(super) fn decode(body: &[u8], limits: &Limits) -> Result<Batch, Problem> {
    let mut batch = Batch::default();
    let documents = documents(body)?;
    for (number, document) in (1..).zip(&documents) {
        let read = one(document, limits).map_err(|reason| match documents.len() {
            1 => Problem::body(reason),
            _ => Problem::body(format!("document {number}: {reason}")),
        })?;
        batch.spans.extend(read.spans);
        batch.logs.extend(read.logs);
        batch.refused.extend(read.refused);
    }
    if batch.spans.is_empty() && batch.logs.is_empty() && batch.refused.is_empty() {
        let reason = "there are neither spans nor log records in it: OTLP JSON has `resourceSpans` and `resourceLogs`, \
                      Jaeger's JSON `data`, and Zipkin's is a list of spans";
        return Err(Problem::body(reason));
    }
    Ok(batch)
}

/// The JSON documents that follow one another in the body.
fn documents(body: &[u8]) -> Result<Vec<&[u8]>, Problem> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let mut stream = serde_json::Deserializer::from_slice(body).into_iter::<IgnoredAny>();
    let mut documents = Vec::new();
    let mut from = 0;
    while let Some(read) = stream.next() {
        read.map_err(|error| Problem::body(format!("this is no JSON: {error}")))?;
        let to = stream.byte_offset();
        documents.push(body.get(from..to).unwrap_or_default());
        from = to;
    }
    Ok(documents)
}

fn one(document: &[u8], limits: &Limits) -> Result<Batch, String> {
    let first = document.iter().find(|byte| !byte.is_ascii_whitespace());
    if first == Some(&b'[') {
        return zipkin::spans_from_json(document, limits)
            .map(placed)
            .map_err(|error| format!("this is no list of Zipkin's spans: {error}"));
    }
    if let Some(converted) = jaeger::to_otlp(document)? {
        return otlp::traces_from_json(converted.to_string().as_bytes(), limits)
            .map_err(|error| format!("this is no JSON of Jaeger's: {error}"));
    }
    let refused = |error: otlp::DecodeError| format!("this is no OTLP JSON: {error}");
    let mut batch = otlp::traces_from_json(document, limits).map_err(refused)?;
    let logs = otlp::logs_from_json(document, limits).map_err(refused)?;
    batch.logs = logs.logs;
    batch.refused.extend(logs.refused);
    batch.wire = None;
    Ok(batch)
}

/// A span of which nothing says when it began, begins now.
fn placed(mut batch: Batch) -> Batch {
    for span in batch.spans.iter_mut().filter(|span| span.start == 0) {
        let now = now();
        (span.start, span.end) = (now, now.saturating_add(span.duration()));
    }
    batch
}
