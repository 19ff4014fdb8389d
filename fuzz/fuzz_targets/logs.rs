//! OTLP protobuf and JSON with log records.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use waypost_fuzz::{check_account, check_logs, tight};
use waypost_trace_model::{Limits, otlp};

fuzz_target!(|data: &[u8]| {
    let bytes = Bytes::copy_from_slice(data);
    if let Ok(batch) = otlp::logs_from_protobuf(&bytes, &Limits::default()) {
        check_logs(&batch, &Limits::default());
        if let Ok(few) = otlp::logs_from_protobuf(&bytes, &tight()) {
            check_logs(&few, &tight());
            check_account(&batch, &few);
        }
    }
    if let Ok(batch) = otlp::logs_from_json(data, &Limits::default()) {
        check_logs(&batch, &Limits::default());
        if let Ok(few) = otlp::logs_from_json(data, &tight()) {
            check_logs(&few, &tight());
            check_account(&batch, &few);
        }
    }
});
