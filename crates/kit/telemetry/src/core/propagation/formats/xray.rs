//! The tracing header of AWS X-Ray: <https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader>.
//!
//! `Root=1-{8 digits}-{24 digits};Parent={16 digits};Sampled=1`: the 32 digits are the trace id, of which X-Ray takes the first
//! eight for the time, by which it finds traces. Fields of other names, such as `Lineage`, are neither kept nor written.

use opentelemetry::propagation::Extractor;
use opentelemetry::trace::TraceId;

use super::{Choice, Headers, Sent, hex, only, span_id};

const HEADER: &str = "x-amzn-trace-id";

pub(super) const FIELDS: [&str; 1] = [HEADER];

pub(super) fn read(carrier: &dyn Extractor) -> Option<Sent> {
    let (mut root, mut parent, mut choice) = (None, None, Choice::Deferred);
    for field in only(carrier, HEADER)?.split(';') {
        let Some((name, value)) = field.trim().split_once('=') else { continue };
        match name {
            "Root" => root = Some(trace_id(value)?),
            "Parent" => parent = Some(span_id(value).filter(|_| value.len() == 16)?),
            "Sampled" => {
                choice = match value {
                    "1" => Choice::Sampled,
                    "0" => Choice::NotSampled,
                    "?" => Choice::Deferred,
                    _ => return None,
                }
            }
            _ => {}
        }
    }
    Some(Sent { trace_id: root?, span_id: parent?, choice })
}

fn trace_id(value: &str) -> Option<TraceId> {
    let parts: Vec<&str> = value.split('-').collect();
    let ["1", time, unique] = *parts.as_slice() else { return None };
    let is_whole = time.len() == 8 && unique.len() == 24;
    let id = hex(time, 8)? << 96 | hex(unique, 24)?;
    is_whole.then_some(TraceId::from(id))
}

pub(super) fn write(sent: &Sent) -> Headers {
    let id = sent.trace_id.to_string();
    let (time, unique) = id.split_at(8);
    let decision = u8::from(matches!(sent.choice, Choice::Sampled | Choice::Debug));
    vec![(HEADER, format!("Root=1-{time}-{unique};Parent={};Sampled={decision}", sent.span_id))]
}
