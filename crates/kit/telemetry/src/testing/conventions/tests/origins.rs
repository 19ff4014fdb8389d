//! Log records and resources.

use std::time::SystemTime;

use opentelemetry::KeyValue;
use opentelemetry::logs::Severity;
use opentelemetry::trace::SpanContext;

use super::only;
use crate::base::finished::FinishedLog;
use crate::testing::conventions::Level::{Information, Violation};
use crate::testing::conventions::{Conventions, ConventionsReport, Rule};

fn resource(extra: &[(&'static str, &'static str)], without: &str) -> ConventionsReport {
    let sdk = [
        ("service.name", "order-service"),
        ("telemetry.sdk.name", "opentelemetry"),
        ("telemetry.sdk.language", "rust"),
        ("telemetry.sdk.version", "1"),
    ];
    let pairs = sdk.iter().chain(extra).filter(|(key, _)| *key != without);
    let mut attributes: Vec<_> = pairs.map(|(key, value)| KeyValue::new(*key, *value)).collect();
    if extra.iter().any(|(key, _)| key.starts_with("process.")) {
        attributes.push(KeyValue::new("process.pid", 7));
    }
    Conventions::current().begin().resource(&attributes).report()
}

fn log(attributes: Vec<KeyValue>) -> ConventionsReport {
    let log = FinishedLog {
        time: SystemTime::UNIX_EPOCH,
        severity: Severity::Info,
        target: "shop".into(),
        body: "placed".to_owned(),
        attributes,
        span: SpanContext::NONE,
        service_name: "order-service".into(),
    };
    Conventions::current().begin().logs(&[log]).report()
}

#[test]
fn a_resource_says_which_service_and_which_sdk() {
    resource(&[], "").assert_clean();
    only(&resource(&[], "service.name"), Violation, Rule::MissingRequired, "service.name");
    only(
        &resource(&[], "telemetry.sdk.language"),
        Violation,
        Rule::MissingRequired,
        "telemetry.sdk.language",
    );
}

#[test]
fn a_process_is_known_by_its_number_and_its_beginning() {
    let process = [("process.creation.time", "2026-11-28T00:00:00Z")];
    resource(&process, "").assert_clean();
    let owner = resource(&[("process.owner", "shop")], "");
    only(&owner, Violation, Rule::MissingRequired, "process.creation.time");
}

#[test]
fn an_entity_that_is_there_is_complete() {
    resource(&[("os.type", "linux")], "").assert_clean();
    only(&resource(&[("os.name", "Debian")], ""), Violation, Rule::MissingRequired, "os.type");
}

#[test]
fn fields_of_log_records_need_no_declaration_but_names_of_the_conventions_hold() {
    let plain = log(vec![KeyValue::new("channel", "email"), KeyValue::new("order.id", "1")]);
    plain.assert_clean();
    assert!(plain.findings().all(|finding| finding.level() == Information), "{plain}");
    only(&log(vec![KeyValue::new("url.paths", "/")]), Violation, Rule::UnknownAttribute, "url.paths");
    only(&log(vec![KeyValue::new("url.path", 1)]), Violation, Rule::WrongType, "url.path");
}

#[test]
fn an_exception_in_a_log_record_has_a_type_or_a_message() {
    log(vec![KeyValue::new("exception.type", "DiskFull")]).assert_clean();
    let nameless = log(vec![KeyValue::new("exception.stacktrace", "at 1")]);
    only(&nameless, Violation, Rule::MissingRequired, "exception.type");
}
