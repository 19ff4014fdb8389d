//! How often a call through each integration allocates, beyond the bare library: no more often than it did when it was measured.
//!
//! A binary of its own, since its allocator counts. Counted is the thread of the calls, which also drives what the client does beside
//! them; the thread that exports is another. Of many calls the least counts: a buffer that had to grow is no part of a call. A number that
//! falls may be lowered here; one that rises has a reason or is a defect.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod caches;
mod code;
mod databases;
mod http;
mod messages;
mod rpc;

use std::time::Duration;

use tokio::runtime::Runtime;
use waypost_telemetry::Telemetry;
use waypost_telemetry::config::Exporter;
use waypost_telemetry::testing::TestTelemetry;
use waypost_telemetry::testing::collector::FakeCollector;

/// Calls before any is counted: instruments, series, pools, caches of names.
const WARM_UP: usize = 50;
const COUNTED: usize = 100;

/// One thread, a handle that exports as a service's does, and who takes what it sends.
struct Bench {
    runtime: Runtime,
    telemetry: Telemetry,
    _collector: FakeCollector,
}

impl Bench {
    fn new() -> Self {
        let collector = FakeCollector::start();
        let mut settings = TestTelemetry::settings("shop");
        settings.traces.exporters = vec![Exporter::OtlpHttp];
        settings.traces.batch.delay = Duration::from_millis(50);
        settings.logs.exporters = vec![Exporter::OtlpHttp];
        settings.otlp.endpoint = Some(collector.endpoint());
        let telemetry = waypost_telemetry::init(settings).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { runtime, telemetry, _collector: collector }
    }

    /// Allocations of one call, with what it gives dropped.
    fn least(&self, mut call: impl AsyncFnMut()) -> u64 {
        for _ in 0..WARM_UP {
            self.runtime.block_on(call());
        }
        let counts =
            (0..COUNTED).map(|_| allocation_counter::measure(|| self.runtime.block_on(call())).count_total);
        counts.min().unwrap()
    }
}

/// What the kit adds to the bare library is no more than `most`.
#[track_caller]
fn assert_adds_at_most(most: u64, bare: u64, traced: u64) {
    let added = traced.saturating_sub(bare);
    assert!(
        added <= most,
        "{added} allocations are added to the {bare} of the bare library; they were {most}"
    );
}
