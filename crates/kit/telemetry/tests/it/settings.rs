//! Settings from code and from files, and what is refused.

use std::time::Duration;

use waypost_telemetry::testing::TestTelemetry;
use waypost_telemetry::{InitError, Settings};

#[test]
fn a_disabled_sdk_starts_nothing() {
    let settings = Settings { enabled: false, ..Settings::new("off") };
    let telemetry = waypost_telemetry::init(settings).unwrap();
    telemetry.span("a").in_scope(|| ());
    telemetry.meter().u64_counter("c").build().add(1, &[]);
    assert!(!telemetry.is_enabled());
    assert_eq!((telemetry.service_name(), telemetry.ledger().started), ("off", 0));
    assert_eq!(waypost_telemetry::metrics::render_prometheus(std::slice::from_ref(&telemetry)), "");
    let report = telemetry.shutdown_blocking(Duration::from_secs(1));
    assert!(report.complete, "{report:?}");
}

#[test]
fn settings_that_cannot_be_used_do_not_start() {
    let mut settings = TestTelemetry::settings("s");
    settings.traces.ratio = 1.5;
    settings.traces.batch.queue_size = 0;
    settings.otlp.headers.0.insert("bad name".to_owned(), "secret".to_owned());
    settings.otlp.endpoint = Some("http://user:secret@collector:4318".to_owned());
    let InitError::Settings(error) = waypost_telemetry::init(settings).unwrap_err() else {
        panic!("settings were to blame")
    };
    assert_eq!(
        error.iter().map(|problem| problem.key.as_str()).collect::<Vec<_>>(),
        [
            "traces.ratio",
            "traces.batch.queue_size",
            "traces.batch.max_batch",
            "otlp.endpoint",
            "otlp.headers.bad name"
        ]
    );
    assert!(!error.to_string().contains("secret"));
}

#[test]
fn a_file_is_read_and_its_mistakes_are_named_with_their_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("telemetry.toml");
    std::fs::write(&path, "service_name = \"from-file\"\n[traces]\nratio = 0.5\n").unwrap();
    assert_eq!(Settings::from_file(&path).unwrap().service_name, "from-file");

    std::fs::write(
        &path,
        "service_name = \"a\"\n[otlp]\nheaders = { authorization = \"secret\" }\nwhat = 1\n",
    )
    .unwrap();
    let error = Settings::from_file(&path).unwrap_err().to_string();
    assert!(error.contains("telemetry.toml:4: otlp.what: there is no such setting"), "{error}");
    assert!(!error.contains("secret"), "{error}");

    let missing = Settings::from_file(folder.path().join("missing.toml")).unwrap_err().to_string();
    assert!(missing.contains("missing.toml"), "{missing}");
}
