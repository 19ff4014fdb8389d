//! What the exporter `console` prints, in a process of its own.

use std::process::Command;

use waypost_telemetry::config::{ConsoleForm, Exporter, MessageRule};
use waypost_telemetry::opentelemetry::trace::SpanKind;
use waypost_telemetry::testing::TestTelemetry;
use waypost_telemetry::{Settings, record_error, set, span};

use crate::receiver::PATIENCE;

/// Set where this test binary runs as the program that prints.
const ROLE: &str = "KIT_TEST_CONSOLE";

/// The program: run by the tests below with a variable that says as which.
#[test]
fn printing_program() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let mut settings = TestTelemetry::settings("shop");
    settings.logs.exporters.clear();
    settings.traces.exporters = vec![Exporter::Console];
    match role.as_str() {
        "tree" => {}
        "lines" => settings.console.form = ConsoleForm::Lines,
        "environment" => {
            settings = Settings::standard("shop").with_env().unwrap();
            settings.metrics.exporters.clear();
            settings.logs.exporters.clear();
        }
        "masked" => settings.errors.messages = MessageRule::Masked,
        other => panic!("{other}"),
    }
    let telemetry = waypost_telemetry::init(settings).unwrap();
    telemetry.span("POST /orders").kind(SpanKind::Server).attr("url.path", "/orders").in_scope(|| {
        span("price").in_scope(|| set("order.items", 3));
        span("pay\x1b[2J").in_scope(|| {
            record_error(&std::io::Error::new(std::io::ErrorKind::TimedOut, "no answer for 'card-4711'"));
        });
    });
    let report = telemetry.shutdown_blocking(PATIENCE);
    assert!(report.complete && report.traces.exported() == 3, "{report:?}");
}

fn printed(role: &str, variables: &[(&str, &str)]) -> String {
    let mut program = Command::new(std::env::current_exe().unwrap());
    program.args(["--exact", "console::printing_program", "--nocapture"]).env(ROLE, role);
    let output = program.envs(variables.iter().copied()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_trace_is_printed_as_a_tree() {
    for (role, variables) in [("tree", &[][..]), ("environment", &[("OTEL_TRACES_EXPORTER", "console")])] {
        let text = printed(role, variables);
        let begin = text.find("trace ").unwrap_or_else(|| panic!("{text}"));
        let lines: Vec<&str> = text[begin..].lines().take(4).collect();
        assert!(lines[0].ends_with(" 3 spans"), "{text}");
        assert!(lines[1].starts_with("  POST /orders SERVER ") && lines[1].ends_with(" shop"), "{text}");
        assert!(
            lines[2].starts_with("    price INTERNAL ") && lines[2].ends_with(" order.items=3"),
            "{text}"
        );
        assert!(lines[3].starts_with("    pay\\u{1b}[2J INTERNAL "), "{text}");
        assert!(lines[3].contains(" ERROR no answer for 'card-4711' error.type=timed_out"), "{text}");
        assert!(!text.contains('\x1b'), "no colours and no control characters in a pipe: {text:?}");
    }
}

#[test]
fn lines_are_there_for_programs() {
    let text = printed("lines", &[]);
    let lines: Vec<&str> = text.lines().filter(|line| line.contains(" trace_id=")).collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert!(lines.iter().any(|line| line.contains("url.path=\"/orders\"")), "{text}");
}

#[test]
fn masked_messages_are_masked_on_the_way_out_too() {
    let text = printed("masked", &[]);
    assert!(text.contains("ERROR no answer for '?'") && !text.contains("card-4711"), "{text}");
}
