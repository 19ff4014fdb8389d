//! Zipkin v2 protobuf and JSON.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use waypost_fuzz::{check_account, check_spans, tight};
use waypost_trace_model::{Batch, Limits, zipkin};

fuzz_target!(|data: &[u8]| {
    let bytes = Bytes::copy_from_slice(data);
    if let Ok(batch) = zipkin::spans_from_protobuf(&bytes, &Limits::default()) {
        check(&batch);
        if let Ok(few) = zipkin::spans_from_protobuf(&bytes, &tight()) {
            check_account(&batch, &few);
        }
    }
    if let Ok(batch) = zipkin::spans_from_json(data, &Limits::default()) {
        check(&batch);
        if let Ok(few) = zipkin::spans_from_json(data, &tight()) {
            check_account(&batch, &few);
        }
    }
});

/// What goes out as Zipkin's JSON comes in and goes out again as the same.
fn check(batch: &Batch) {
    check_spans(batch, &Limits::default());
    let json = zipkin::spans_to_json(&batch.spans);
    let again =
        zipkin::spans_from_json(json.to_string().as_bytes(), &Limits::default()).expect("our own JSON");
    assert_eq!(again.refused, []);
    assert_eq!(zipkin::spans_to_json(&again.spans), json);
}
