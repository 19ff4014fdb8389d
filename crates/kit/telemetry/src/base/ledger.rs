//! What became of everything that was started: counted exactly, so that nothing is lost in silence.
//!
//! For each exporter of a signal `ended = exported + pending + dropped`, and for spans `started = ended + open`.
//! "Pending" waits in the queue or is being sent. Reading takes no lock on the path of spans, so a reading taken
//! while spans end may be off by those; at rest it is exact.

use std::fmt;
use std::time::Duration;

/// Why something was not sent.
///
/// ```
/// use waypost_telemetry::DropReason;
/// use waypost_telemetry::testing::TestTelemetry;
///
/// let mut settings = TestTelemetry::settings("order-service");
/// settings.traces.memory_capacity = 2;
/// let telemetry = TestTelemetry::with(settings);
/// for _ in 0..3 {
///     telemetry.span("show").in_scope(|| ());
/// }
/// assert_eq!(telemetry.ledger().dropped_for(DropReason::Overwritten), 1);
/// assert_eq!(DropReason::Overwritten.to_string(), "overwritten");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DropReason {
    /// The queue was full.
    QueueFull,
    /// It could not be sent in time, or the receiver answered with an error.
    ExportFailed,
    /// The receiver took the request and refused this part of it.
    Rejected,
    /// The memory exporter made room for newer ones.
    Overwritten,
    /// It ended after shutdown.
    AfterShutdown,
    /// It was still waiting when the deadline of the shutdown came.
    ShutdownDeadline,
    /// It is larger than a request to the receiver may be.
    TooLarge,
    /// A filter of the settings keeps it from this exporter.
    Filtered,
}

impl DropReason {
    /// Every reason.
    pub const ALL: [Self; 8] = [
        Self::QueueFull,
        Self::ExportFailed,
        Self::Rejected,
        Self::Overwritten,
        Self::AfterShutdown,
        Self::ShutdownDeadline,
        Self::TooLarge,
        Self::Filtered,
    ];

    /// Its name in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::ExportFailed => "export_failed",
            Self::Rejected => "rejected",
            Self::Overwritten => "overwritten",
            Self::AfterShutdown => "already_shutdown",
            Self::ShutdownDeadline => "shutdown_deadline",
            Self::TooLarge => "too_large",
            Self::Filtered => "filtered",
        }
    }
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a sampler decided about a span.
///
/// ```
/// use waypost_telemetry::{ParentOrigin, SamplingResult};
/// use waypost_telemetry::testing::TestTelemetry;
///
/// let telemetry = TestTelemetry::new("order-service");
/// telemetry.span("show").in_scope(|| ());
/// let starts = telemetry.ledger().starts;
/// assert_eq!(starts.of(SamplingResult::RecordAndSample, ParentOrigin::None), 1);
/// assert_eq!(SamplingResult::RecordAndSample.as_str(), "RECORD_AND_SAMPLE");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SamplingResult {
    /// Neither recorded nor sent.
    Drop,
    /// Recorded for this process, not sent.
    RecordOnly,
    /// Recorded and sent.
    RecordAndSample,
}

impl SamplingResult {
    /// Every result.
    pub const ALL: [Self; 3] = [Self::Drop, Self::RecordOnly, Self::RecordAndSample];

    /// Its name in the conventions.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Drop => "DROP",
            Self::RecordOnly => "RECORD_ONLY",
            Self::RecordAndSample => "RECORD_AND_SAMPLE",
        }
    }
}

/// Where the parent of a span is.
///
/// ```
/// use waypost_telemetry::{ParentOrigin, SamplingResult, span};
/// use waypost_telemetry::testing::TestTelemetry;
///
/// let telemetry = TestTelemetry::new("order-service");
/// telemetry.span("show").in_scope(|| span("look-up").in_scope(|| ()));
/// let starts = telemetry.ledger().starts;
/// assert_eq!(starts.of(SamplingResult::RecordAndSample, ParentOrigin::Local), 1);
/// assert_eq!(ParentOrigin::Local.as_str(), "local");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParentOrigin {
    /// It has none: it is a root.
    None,
    /// In this process.
    Local,
    /// In another process.
    Remote,
}

impl ParentOrigin {
    /// Every origin.
    pub const ALL: [Self; 3] = [Self::None, Self::Local, Self::Remote];

    /// Its name in the conventions.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Local => "local",
            Self::Remote => "remote",
        }
    }
}

/// How many spans were started, by the sampler's decision and the place of their parent.
///
/// ```
/// let telemetry = waypost_telemetry::testing::TestTelemetry::new("order-service");
/// telemetry.span("show").in_scope(|| ());
/// assert_eq!(telemetry.ledger().starts.sampled(), 1);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpanStarts([[u64; ParentOrigin::ALL.len()]; SamplingResult::ALL.len()]);

impl SpanStarts {
    /// Spans with this decision and this parent.
    pub fn of(&self, sampling: SamplingResult, parent: ParentOrigin) -> u64 {
        self.0[sampling as usize][parent as usize]
    }

    /// Spans that are recorded and sent.
    pub fn sampled(&self) -> u64 {
        self.0[SamplingResult::RecordAndSample as usize].iter().sum()
    }

    pub(crate) fn add(&mut self, sampling: SamplingResult, parent: ParentOrigin, count: u64) {
        self.0[sampling as usize][parent as usize] += count;
    }
}

/// The account of one exporter of one signal.
///
/// ```
/// let telemetry = waypost_telemetry::testing::TestTelemetry::new("order-service");
/// telemetry.span("show").in_scope(|| ());
/// let memory = &telemetry.ledger().exporters[0];
/// assert_eq!((memory.exporter, memory.exported, memory.dropped_total()), ("memory", 1, 0));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExporterLedger {
    /// `otlp_http`, `otlp_grpc`, `zipkin`, `otlp_file`, `console` or `memory`; `additional_otlp_http` or `additional_otlp_grpc` for a receiver
    /// beside the common one.
    pub exporter: &'static str,
    /// Host and port of the receiver, if it has any.
    pub server: Option<(String, u16)>,
    /// Items that may wait; 0 where nothing waits.
    pub capacity: u64,
    /// Accepted by the receiver.
    pub exported: u64,
    /// Waiting or being sent.
    pub pending: u64,
    /// Of those, being sent.
    pub inflight: u64,
    /// Not sent, by reason; only reasons that happened.
    pub dropped: Vec<(DropReason, u64)>,
}

impl ExporterLedger {
    /// All that was not sent.
    pub fn dropped_total(&self) -> u64 {
        self.dropped.iter().map(|(_, count)| count).sum()
    }

    /// Not sent for this reason.
    pub fn dropped_for(&self, reason: DropReason) -> u64 {
        self.dropped.iter().find(|(given, _)| *given == reason).map_or(0, |(_, count)| *count)
    }
}

/// The account of the spans of one handle.
///
/// ```
/// let telemetry = waypost_telemetry::testing::TestTelemetry::new("order-service");
/// telemetry.span("show").in_scope(|| ());
/// let ledger = telemetry.ledger();
/// assert_eq!((ledger.started, ledger.ended, ledger.open()), (1, 1, 0));
/// assert!(ledger.is_balanced() && ledger.exported() == 1 && ledger.dropped() == 0);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Spans that were started and will be sent, those that a tail buffer kept included.
    pub started: u64,
    /// All spans that were started, by the sampler's decision, those that are not recorded included.
    pub starts: SpanStarts,
    /// Those of them that ended.
    pub ended: u64,
    /// One account an exporter; each of them gets every span.
    pub exporters: Vec<ExporterLedger>,
}

impl Ledger {
    /// Started and not ended.
    pub fn open(&self) -> u64 {
        self.started.saturating_sub(self.ended)
    }

    /// Sent, summed over the exporters.
    pub fn exported(&self) -> u64 {
        self.exporters.iter().map(|exporter| exporter.exported).sum()
    }

    /// Not sent, summed over the exporters.
    pub fn dropped(&self) -> u64 {
        self.exporters.iter().map(ExporterLedger::dropped_total).sum()
    }

    /// Not sent for this reason, summed over the exporters.
    pub fn dropped_for(&self, reason: DropReason) -> u64 {
        self.exporters.iter().map(|exporter| exporter.dropped_for(reason)).sum()
    }

    /// Whether every span is accounted for at every exporter.
    pub fn is_balanced(&self) -> bool {
        self.exporters
            .iter()
            .all(|exporter| self.ended == exporter.exported + exporter.pending + exporter.dropped_total())
    }
}

/// The account of a tail buffer: every span that waited was kept, still waits, or is gone.
///
/// ```
/// use waypost_telemetry::testing::TestTelemetry;
///
/// let mut settings = TestTelemetry::settings("order-service");
/// settings.traces.ratio = 1e-9;
/// settings.traces.sampler = waypost_telemetry::config::SamplerKind::ParentBasedRatio;
/// settings.traces.tail.enabled = true;
/// settings.traces.tail.rare_interval = std::time::Duration::ZERO;
/// let telemetry = TestTelemetry::with(settings);
/// telemetry.span("fine").in_scope(|| ());
/// let tail = telemetry.tail_ledger().unwrap();
/// assert_eq!((tail.waiting_spans, tail.kept_spans), (1, 0));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TailLedger {
    /// Spans that wait.
    pub waiting_spans: u64,
    /// Bytes that they take.
    pub waiting_bytes: u64,
    /// Traces that are kept, those of which nothing waited included.
    pub kept_traces: u64,
    /// Spans that waited, or ended late, and were handed to the exporters.
    pub kept_spans: u64,
    /// Spans that nothing spoke for in time.
    pub expired_spans: u64,
    /// Spans that made room for newer ones.
    pub evicted_spans: u64,
}

/// The account of one signal when a flush or a shutdown ended.
///
/// ```
/// use std::time::Duration;
///
/// let telemetry = waypost_telemetry::testing::TestTelemetry::new("order-service");
/// let report = telemetry.shutdown_blocking(Duration::from_secs(5));
/// assert_eq!(report.logs.exporters[0].exporter, "memory");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SignalLedger {
    /// One account an exporter.
    pub exporters: Vec<ExporterLedger>,
}

impl SignalLedger {
    fn exported(&self) -> u64 {
        self.exporters.iter().map(|exporter| exporter.exported).sum()
    }

    fn pending(&self) -> u64 {
        self.exporters.iter().map(|exporter| exporter.pending).sum()
    }
}

/// What a flush achieved.
///
/// ```
/// use std::time::Duration;
///
/// let telemetry = waypost_telemetry::testing::TestTelemetry::new("order-service");
/// telemetry.span("show").in_scope(|| ());
/// let report = telemetry.flush_blocking(Duration::from_secs(5));
/// assert!(report.complete && report.elapsed < Duration::from_secs(5));
/// assert_eq!(report.traces.exported(), 1);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlushReport {
    /// Whether everything that waited when the flush began was sent or dropped before the deadline.
    pub complete: bool,
    /// How long it took.
    pub elapsed: Duration,
    /// Spans of this handle so far.
    pub traces: Ledger,
    /// Log records of this handle so far.
    pub logs: SignalLedger,
    /// Pushes of metrics of this handle so far; the unit is one push, not one instrument.
    pub metrics: SignalLedger,
}

/// What was sent and what was dropped over the life of a handle.
///
/// ```
/// use std::time::Duration;
///
/// let telemetry = waypost_telemetry::testing::TestTelemetry::new("order-service");
/// telemetry.span("show").in_scope(|| ());
/// let report = telemetry.shutdown_blocking(Duration::from_secs(5));
/// assert!(report.complete);
/// assert_eq!(report.to_string(), "spans: 1 sent");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShutdownReport {
    /// Whether every exporter stopped before the deadline.
    pub complete: bool,
    /// How long the shutdown took.
    pub elapsed: Duration,
    /// Spans.
    pub traces: Ledger,
    /// Log records.
    pub logs: SignalLedger,
    /// Pushes of metrics; the unit is one push, not one instrument.
    pub metrics: SignalLedger,
}

impl fmt::Display for ShutdownReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("spans: ")?;
        write_sent(f, &self.traces.exporters)?;
        for exporter in &self.traces.exporters {
            for (reason, count) in &exporter.dropped {
                write!(f, ", {count} dropped ({reason}, {})", exporter.exporter)?;
            }
        }
        if self.traces.open() > 0 {
            write!(f, ", {} never ended", self.traces.open())?;
        }
        for (name, signal) in [("logs", &self.logs), ("metric pushes", &self.metrics)] {
            let dropped: u64 = signal.exporters.iter().map(ExporterLedger::dropped_total).sum();
            if signal.exported() + signal.pending() + dropped > 0 {
                write!(f, "; {name}: ")?;
                write_sent(f, &signal.exporters)?;
                write!(f, ", {dropped} dropped")?;
            }
        }
        let pending: u64 = self.traces.exporters.iter().map(|exporter| exporter.pending).sum();
        if pending > 0 {
            write!(f, "; {pending} spans still wait")?;
        }
        if !self.complete {
            f.write_str("; the deadline came first")?;
        }
        Ok(())
    }
}

/// What each exporter sent: every one of them gets everything, so a sum would count the same span several times.
fn write_sent(f: &mut fmt::Formatter<'_>, exporters: &[ExporterLedger]) -> fmt::Result {
    match exporters {
        [] => f.write_str("0 sent"),
        [only] => write!(f, "{} sent", only.exported),
        [first, others @ ..] => {
            write!(f, "{} sent ({})", first.exported, first.exporter)?;
            others.iter().try_for_each(|other| write!(f, ", {} sent ({})", other.exported, other.exporter))
        }
    }
}
