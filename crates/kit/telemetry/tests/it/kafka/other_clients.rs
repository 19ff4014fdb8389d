//! A client that nobody here wrote, Python's `kafka-python`, reads the context that the kit wrote, and what it writes is
//! processed in its trace.
//!
//! `cargo xtask test` installs it and names it in `TEST_PYTHON` and `TEST_PYTHON_PACKAGES`; without them the test says that
//! it is left out.

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use waypost_telemetry::messaging::Correlation;
use waypost_test_process::Process;

use super::*;

#[expect(clippy::print_stderr, reason = "what is left out is said")]
/// Runs a part of the script and gives what it printed; `None` where there is no Python.
async fn python(arguments: &[&str]) -> Option<Value> {
    let (Ok(program), Ok(packages)) = (std::env::var("TEST_PYTHON"), std::env::var("TEST_PYTHON_PACKAGES"))
    else {
        eprintln!("LEFT OUT: TEST_PYTHON and TEST_PYTHON_PACKAGES are not set; `cargo xtask test` sets them");
        return None;
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/kafka/client.py");
    let mut command = Command::new(program);
    command.arg(script).args(arguments).env("PYTHONPATH", packages);
    let ended = Process::start(&mut command).unwrap().ended().await.unwrap();
    assert!(ended.status.success(), "{arguments:?}: {}", ended.err);
    Some(serde_json::from_str(&ended.out).unwrap())
}

#[tokio::test]
async fn another_client_reads_the_context_that_was_written() {
    let topic = Topic::own().await;
    let telemetry = TestTelemetry::new("shop");
    placed(&telemetry, &topic.producer(&telemetry.kafka()), topic.record("order-1", "placed")).await;
    let send = telemetry.only_span(&format!("send {}", topic.name));
    let Some(read) = python(&["read", topic.topics.bootstrap(), &topic.name]).await else { return };
    let parent = format!("00-{}-{}-", send.trace_id(), send.span_id());
    assert!(read["headers"]["traceparent"].as_str().unwrap().starts_with(&parent), "{read}");
    assert_eq!((read["key"].as_str(), read["value"].as_str()), (Some("order-1"), Some("placed")));
}

#[tokio::test]
async fn a_record_of_another_client_is_processed_in_its_trace() {
    let topic = Topic::own().await;
    let telemetry = TestTelemetry::new("mail");
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let Some(_) = python(&["write", topic.topics.bootstrap(), &topic.name, parent]).await else { return };
    let consumer = topic.consumer(&telemetry.kafka().correlation(Correlation::Parent));
    let message = next(&consumer).await;
    let work = async { Ok::<_, std::io::Error>(waypost_telemetry::tenant::current()) };
    let tenant = consumer.process(&message, work).await.unwrap();
    assert_eq!(tenant.unwrap().as_str(), "acme", "its baggage is here");
    let process = telemetry.only_span(&format!("process {}", topic.name));
    assert_eq!(process.trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(process.parent_id().unwrap().to_string(), "00f067aa0ba902b7");
    assert!(process.parent_is_remote());
}
