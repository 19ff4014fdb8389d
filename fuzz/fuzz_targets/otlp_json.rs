//! OTLP JSON with spans.

#![no_main]

use libfuzzer_sys::fuzz_target;
use waypost_fuzz::{check_account, check_spans, tight};
use waypost_trace_model::{Limits, otlp};

fuzz_target!(|data: &[u8]| {
    let Ok(batch) = otlp::traces_from_json(data, &Limits::default()) else { return };
    check_spans(&batch, &Limits::default());
    if let Ok(few) = otlp::traces_from_json(data, &tight()) {
        check_spans(&few, &tight());
        check_account(&batch, &few);
    }
});
