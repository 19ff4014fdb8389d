//! OTLP over TLS: who is trusted, and who is let in. That nothing is installed for the process is shown by `users`,
//! which has one to itself.

mod channels;
mod front;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::CryptoProvider;
use tempfile::TempDir;
use waypost_telemetry::config::Exporter;
use waypost_telemetry::testing::TestTelemetry;
use waypost_telemetry::{Builder, DropReason, InitError, Settings, Telemetry};

use crate::log_lines::process_lines;
use crate::receiver::{GrpcReceiver, HttpReceiver, Manner, PATIENCE};
use front::{Authority, Clients, Front};

fn provider() -> Arc<CryptoProvider> {
    rustls::crypto::ring::default_provider().into()
}

/// Files of one test.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn put(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

fn settings(exporter: Exporter, endpoint: &str) -> Settings {
    let mut settings = TestTelemetry::settings("s");
    settings.traces.exporters = vec![exporter];
    settings.logs.exporters.clear();
    settings.otlp.endpoint = Some(endpoint.to_owned());
    settings
}

fn start(settings: Settings) -> Result<Telemetry, InitError> {
    Builder::new(settings).tls_provider(provider()).init()
}

fn reason_of(settings: Settings) -> String {
    match start(settings) {
        Err(InitError::Exporter { reason, .. }) => reason,
        other => panic!("{other:?}"),
    }
}

/// Sends one span and stops.
async fn send(telemetry: &Telemetry) -> waypost_telemetry::Ledger {
    telemetry.span("a").in_scope(|| ());
    let report = telemetry.shutdown(PATIENCE).await;
    assert!(report.complete && report.traces.is_balanced(), "{report:?}");
    report.traces
}

#[tokio::test]
async fn a_receiver_of_a_given_authority_is_trusted() {
    let (authority, files) = (Authority::new(), Files::new());
    let http = HttpReceiver::start(Manner::Takes);
    let (grpc, grpc_endpoint) = GrpcReceiver::start().await;
    let grpc_address = grpc_endpoint.trim_start_matches("http://").parse().unwrap();
    for (exporter, behind) in [(Exporter::OtlpHttp, http.address), (Exporter::OtlpGrpc, grpc_address)] {
        let front = Front::start(&authority, &Clients::Anybody, behind);
        for host in ["localhost", "127.0.0.1"] {
            let mut settings = settings(exporter, &format!("https://{host}:{}", front.address.port()));
            settings.otlp.certificate = Some(files.put("ca.pem", &authority.pem()));
            let traces = send(&start(settings).unwrap()).await;
            assert_eq!((traces.exported(), traces.dropped()), (1, 0), "{exporter:?} {host}");
        }
    }
    assert_eq!(http.taken().len(), 2);
    assert_eq!(grpc.traces.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn a_receiver_of_an_unknown_authority_is_told_of_and_counted() {
    let lines = process_lines();
    let (authority, other, files) = (Authority::new(), Authority::new(), Files::new());
    let http = HttpReceiver::start(Manner::Takes);
    for exporter in [Exporter::OtlpHttp, Exporter::OtlpGrpc] {
        let front = Front::start(&authority, &Clients::Anybody, http.address);
        let mut settings = settings(exporter, &format!("https://{}", front.address));
        settings.otlp.certificate = Some(files.put("other.pem", &other.pem()));
        let traces = send(&start(settings).unwrap()).await;
        assert_eq!((traces.exported(), traces.dropped_for(DropReason::ExportFailed)), (0, 1));
        let (text, address) = (lines.text(), front.address.to_string());
        let about_it: Vec<_> = text.lines().filter(|line| line.contains(&address)).collect();
        assert_eq!(about_it.len(), 1, "{about_it:?}");
        assert!(about_it[0].contains("invalid peer certificate"), "{about_it:?}");
    }
    assert!(http.taken().is_empty());
}

#[tokio::test]
async fn a_client_certificate_is_shown_where_one_is_asked_for() {
    let (authority, of_clients, files) = (Authority::new(), Authority::new(), Files::new());
    let (certificate, key) = of_clients.issue("waypost");
    let http = HttpReceiver::start(Manner::Takes);
    let (grpc, grpc_endpoint) = GrpcReceiver::start().await;
    let grpc_address = grpc_endpoint.trim_start_matches("http://").parse().unwrap();
    for (exporter, behind) in [(Exporter::OtlpHttp, http.address), (Exporter::OtlpGrpc, grpc_address)] {
        let front = Front::start(&authority, &Clients::Of(&of_clients), behind);
        let mut settings = settings(exporter, &format!("https://{}", front.address));
        settings.otlp.certificate = Some(files.put("ca.pem", &authority.pem()));
        // The refusal comes after the handshake, so it looks like a connection that was cut: retried for a while.
        settings.traces.batch.export_timeout = Duration::from_secs(1);
        let refused = send(&start(settings.clone()).unwrap()).await;
        assert_eq!(
            (refused.exported(), refused.dropped_for(DropReason::ExportFailed)),
            (0, 1),
            "{exporter:?}"
        );

        settings.otlp.client_certificate = Some(files.put("client.pem", &certificate));
        settings.otlp.client_key = Some(files.put("client.key", &key));
        let taken = send(&start(settings).unwrap()).await;
        assert_eq!((taken.exported(), taken.dropped()), (1, 0), "{exporter:?}");
    }
    assert_eq!((http.taken().len(), grpc.traces.lock().unwrap().len()), (1, 1));
}

#[test]
fn files_that_cannot_be_used_are_named_at_the_start() {
    let (authority, files) = (Authority::new(), Files::new());
    let ((certificate, _), (_, wrong_key)) = (authority.issue("a"), authority.issue("b"));
    let certificate = files.put("client.pem", &certificate);
    let tls = || settings(Exporter::OtlpHttp, "https://127.0.0.1:1");

    let mut wrong_pair = tls();
    wrong_pair.otlp.client_certificate = Some(certificate.clone());
    wrong_pair.otlp.client_key = Some(files.put("wrong.key", &wrong_key));
    let reason = reason_of(wrong_pair);
    assert!(reason.contains("client.pem") && reason.to_lowercase().contains("key"), "{reason}");

    let mut no_certificate = tls();
    no_certificate.otlp.certificate = Some(files.put("empty.pem", "nothing"));
    let reason = reason_of(no_certificate);
    assert!(reason.contains("empty.pem") && reason.contains("holds no certificate"), "{reason}");

    let mut missing = tls();
    missing.otlp.certificate = Some(files.0.path().join("missing.pem"));
    let reason = reason_of(missing);
    assert!(reason.contains("missing.pem"), "{reason}");

    let mut half = tls();
    half.otlp.client_certificate = Some(certificate);
    let error = start(half).unwrap_err().to_string();
    assert!(error.contains("key"), "{error}");
}
