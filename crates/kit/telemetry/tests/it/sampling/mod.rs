//! Which traces are recorded, by rules, shares, rates, parents, a header, and as a Jaeger collector says.

mod debug_header;
mod jaeger_remote;
mod parents;
mod rules;
mod shares;
mod tail;

use std::collections::HashMap;

use waypost_telemetry::Settings;
use waypost_telemetry::testing::TestTelemetry;

const CALLER_TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// A handle whose settings of the traces are these lines of TOML.
fn sampling(traces: &str) -> TestTelemetry {
    let mut settings = TestTelemetry::settings("s");
    let read = Settings::from_toml(&format!("[traces]\n{traces}")).unwrap().traces;
    settings.traces.sampler = read.sampler;
    settings.traces.ratio = read.ratio;
    settings.traces.sampling = read.sampling;
    TestTelemetry::with(settings)
}

fn wire(headers: &[(&str, &str)]) -> HashMap<String, String> {
    headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// The headers of a caller with these flags and this trace state.
fn caller(flags: &str, state: &str) -> HashMap<String, String> {
    wire(&[("traceparent", &format!("00-{CALLER_TRACE}-00f067aa0ba902b7-{flags}")), ("tracestate", state)])
}

/// Names of what was recorded, in order.
fn recorded(telemetry: &TestTelemetry) -> Vec<String> {
    telemetry.finished_spans().iter().map(|span| span.name().to_owned()).collect()
}
