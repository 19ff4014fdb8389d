//! Failures as they are recorded: a class for an error of another crate, groups, and texts without values.
//!
//! `cargo run -p waypost-telemetry --features testing --example errors`
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;

use waypost_telemetry::config::MessageRule;
use waypost_telemetry::error::{Classification, ErrorClass, add_classifier};
use waypost_telemetry::record_error;
use waypost_telemetry::testing::TestTelemetry;

pub(crate) fn main() {
    // Once, at the start of the program: what a number that is none means here.
    add_classifier(|error: &(dyn Error + 'static)| {
        error.downcast_ref::<std::num::ParseFloatError>()?;
        Some(Classification::new("not_a_price").class(ErrorClass::Caller).code("E7"))
    });

    let mut settings = TestTelemetry::settings("order-service");
    settings.errors.messages = MessageRule::Masked;
    let telemetry = TestTelemetry::with(settings);
    for customer in ["anna", "bert"] {
        telemetry.span("price").in_scope(|| {
            if let Err(error) = "12,50".parse::<f64>() {
                record_error(&Box::<dyn Error>::from(error));
            }
            let full = std::io::Error::other(format!("no room for '{customer}' on disk 7"));
            record_error(&full);
        });
    }
    for log in telemetry.finished_logs() {
        let attribute = |key| log.attribute(key).map(|value| value.as_str().into_owned()).unwrap_or_default();
        println!(
            "{} {} in group {}: {}",
            log.severity().name(),
            attribute("error.type"),
            attribute("waypost.error.fingerprint"),
            log.body()
        );
    }
}
