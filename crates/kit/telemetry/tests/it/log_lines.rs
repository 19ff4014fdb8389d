//! Log lines carry the ids of the moment, and records go to the handle of the moment.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, OnceLock};

use serde_json::Value;
use tracing_subscriber::fmt::MakeWriter;
use waypost_telemetry::config::{Exporter, LogFormat, LogSettings};
use waypost_telemetry::opentelemetry::logs::Severity;
use waypost_telemetry::testing::TestTelemetry;
use waypost_telemetry::{DropReason, logs, record_error, span};

use crate::receiver::{PATIENCE, wait_until};

/// Output kept in memory.
#[derive(Clone, Default)]
pub(crate) struct Output(Arc<Mutex<Vec<u8>>>);

impl Output {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Output {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// The lines that `f` writes.
pub(crate) fn lines_of(settings: &LogSettings, f: impl FnOnce()) -> String {
    let output = Output::default();
    tracing::subscriber::with_default(logs::subscriber(settings, output.clone()).unwrap(), f);
    output.text()
}

pub(crate) fn json() -> LogSettings {
    LogSettings { format: LogFormat::Json, ..LogSettings::default() }
}

#[test]
fn a_json_line_names_trace_span_and_service() {
    let telemetry = TestTelemetry::new("order-service");
    let text = lines_of(&json(), || {
        telemetry.span("place").in_scope(|| {
            tracing::info!(order.id = "order-1", quantity = 2_u64, paid = true, "placed \"it\"");
        });
    });
    let line: Value = serde_json::from_str(text.trim_end()).unwrap();
    let span = telemetry.only_span("place");
    assert_eq!(line["trace_id"], span.trace_id().to_string());
    assert_eq!(line["span_id"], span.span_id().to_string());
    assert_eq!(line["service.name"], "order-service");
    assert_eq!((&line["level"], &line["message"]), (&"INFO".into(), &"placed \"it\"".into()));
    assert_eq!(
        (&line["order.id"], &line["quantity"], &line["paid"]),
        (&"order-1".into(), &2.into(), &true.into())
    );
    assert_eq!(line["target"], module_path!());
}

#[test]
fn a_field_cannot_pose_as_a_key_of_the_line() {
    let text = lines_of(&json(), || tracing::warn!(trace_id = "forged", "x"));
    let line: Value = serde_json::from_str(text.trim_end()).unwrap();
    assert_eq!(line["field.trace_id"], "forged");
    assert_eq!(line["trace_id"], Value::Null);
    assert_eq!(line["service.name"], Value::Null);
}

#[test]
fn a_pretty_line_is_one_line_with_ids_at_its_end() {
    let telemetry = TestTelemetry::new("order-service");
    let text = lines_of(&LogSettings::default(), || {
        telemetry.span("place").in_scope(|| tracing::info!(note = "two words", "first\nsecond"));
    });
    let span = telemetry.only_span("place");
    let end = format!(
        "INFO order-service {}: first second note=\"two words\" trace_id={} span_id={}\n",
        module_path!(),
        span.trace_id(),
        span.span_id()
    );
    assert!(text.ends_with(&end) && text.lines().count() == 1, "{text}");
}

#[test]
fn records_go_to_the_handle_of_the_moment() {
    let (orders, users) = (TestTelemetry::new("order-service"), TestTelemetry::new("user-service"));
    lines_of(&json(), || {
        orders.span("place").in_scope(|| tracing::warn!(order.id = "order-1", "slow"));
        users.context().attach();
        tracing::info!("nobody's");
    });
    let [record] = &orders.finished_logs()[..] else { panic!("one record was expected") };
    assert_eq!((record.body(), record.severity()), ("slow", Severity::Warn));
    assert_eq!(record.attribute("order.id").unwrap().as_str(), "order-1");
    assert_eq!(record.span_context().span_id(), orders.only_span("place").span_id());
    assert!(users.finished_logs().is_empty());
}

#[test]
fn what_exporters_log_is_not_exported() {
    let telemetry = TestTelemetry::new("s");
    let settings = LogSettings { filter: "trace,h2=trace,opentelemetry=trace".to_owned(), ..json() };
    let text = lines_of(&settings, || {
        telemetry.span("a").in_scope(|| {
            for_each_target();
            let _suppressed = waypost_telemetry::opentelemetry::Context::enter_telemetry_suppressed_scope();
            tracing::info!("inside an exporter");
        });
    });
    assert!(telemetry.finished_logs().is_empty());
    assert!(text.contains("frame") && text.contains("inside an exporter"), "{text}");
}

fn for_each_target() {
    tracing::info!(target: "h2::codec", "frame");
    tracing::info!(target: "hyper_util::client", "connect");
    tracing::info!(target: "opentelemetry_sdk", "internal");
    tracing::info!(target: "tonic::transport", "call");
}

#[test]
fn libraries_are_quiet_unless_they_are_named() {
    let debug = LogSettings { filter: "debug".to_owned(), ..json() };
    let text = lines_of(&debug, || {
        tracing::debug!(target: "h2::codec", "frame");
        tracing::error!(target: "opentelemetry_sdk", "internal");
        tracing::debug!("mine");
    });
    assert!(text.contains("mine") && !text.contains("frame") && !text.contains("internal"), "{text}");
}

#[test]
fn a_recorded_failure_is_one_line_and_one_record() {
    let telemetry = TestTelemetry::new("s");
    let text = lines_of(&json(), || {
        telemetry.span("a").in_scope(|| record_error(&io::Error::other("no disk")));
    });
    let line: Value = serde_json::from_str(text.trim_end()).unwrap();
    assert_eq!((&line["level"], &line["error.type"]), (&"ERROR".into(), &"other".into()));
    assert_eq!(line["message"], "no disk");
    assert_eq!(line["trace_id"], telemetry.only_span("a").trace_id().to_string());
    assert_eq!(telemetry.finished_logs().len(), 1);
}

#[test]
fn long_records_are_cut() {
    let mut settings = TestTelemetry::settings("s");
    settings.limits.attribute_value_length = 10;
    let telemetry = TestTelemetry::with(settings);
    lines_of(&json(), || {
        telemetry.span("a").in_scope(|| tracing::info!(field = "0123456789abc", "0123456789abc"));
    });
    let record = &telemetry.finished_logs()[0];
    assert_eq!(
        (record.body(), record.attribute("field").unwrap().as_str().as_ref()),
        ("0123456789", "0123456789")
    );
}

#[test]
fn a_filter_that_cannot_be_read_is_named() {
    let settings = LogSettings { filter: "info,=[".to_owned(), ..json() };
    let refused = logs::subscriber(&settings, io::sink).err().unwrap();
    assert!(refused.to_string().contains("info,=["), "{refused}");
}

/// The lines of the process: export threads have no other subscriber than that.
pub(crate) fn process_lines() -> &'static Output {
    static OUTPUT: OnceLock<Output> = OnceLock::new();
    OUTPUT.get_or_init(|| {
        let output = Output::default();
        tracing::subscriber::set_global_default(logs::subscriber(&json(), output.clone()).unwrap()).unwrap();
        output
    })
}

#[test]
fn a_receiver_that_is_down_gets_one_line_a_minute() {
    let output = process_lines();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut settings = TestTelemetry::settings("s");
    settings.traces.exporters = vec![Exporter::OtlpHttp];
    settings.traces.batch.max_batch = 1;
    settings.traces.batch.export_timeout = std::time::Duration::from_millis(1);
    settings.otlp.endpoint = Some(format!("http://{nobody}"));
    let telemetry = TestTelemetry::with(settings);
    for _ in 0..20 {
        span("a").parent(&telemetry.context()).in_scope(|| ());
    }
    wait_until("giving up twice", || telemetry.ledger().dropped_for(DropReason::ExportFailed) >= 2);
    let report = telemetry.shutdown_blocking(PATIENCE);
    assert_eq!(report.traces.dropped_for(DropReason::ExportFailed), 20);
    let about_it = output.text().lines().filter(|line| line.contains(&nobody.to_string())).count();
    assert_eq!(about_it, 1, "{}", output.text());
}
