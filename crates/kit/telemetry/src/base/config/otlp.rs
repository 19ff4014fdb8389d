//! Where and how OTLP is sent.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Headers;

/// Where and how OTLP is sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OtlpSettings {
    /// Base address for all signals. Without it `http://localhost:4318` over HTTP and `http://localhost:4317`
    /// over gRPC. Over HTTP `/v1/traces` and its like are appended. Over gRPC `collector:4317` without a scheme is
    /// allowed; see `insecure`.
    pub endpoint: Option<String>,
    /// Sent with every request.
    pub headers: Headers,
    /// Longest time of one request; 0 is no limit.
    #[serde(with = "super::values::duration")]
    pub timeout: Duration,
    /// Whether request bodies are compressed.
    pub compression: Compression,
    /// File with the certificates (PEM) that a receiver behind TLS is checked against, in place of the system's.
    pub certificate: Option<PathBuf>,
    /// File with the client's own certificate chain (PEM), for receivers that ask for one.
    pub client_certificate: Option<PathBuf>,
    /// File with the private key (PEM) of `client_certificate`.
    pub client_key: Option<PathBuf>,
    /// Plaintext for a gRPC endpoint that is given without `http://` or `https://`.
    pub insecure: bool,
    /// Bytes of one request before compression; a larger batch is sent in parts.
    pub max_request_bytes: usize,
    /// Differences for spans.
    pub traces: OtlpSignal,
    /// Differences for metrics.
    pub metrics: OtlpSignal,
    /// Differences for log records.
    pub logs: OtlpSignal,
    /// Receivers beside this one. Each has queues of its own, so that none waits for another; they take no metrics.
    pub additional: Vec<OtlpReceiver>,
}

impl Default for OtlpSettings {
    fn default() -> Self {
        Self {
            endpoint: None,
            headers: Headers::default(),
            timeout: Duration::from_secs(10),
            compression: Compression::None,
            certificate: None,
            client_certificate: None,
            client_key: None,
            insecure: false,
            max_request_bytes: 64 * 1024 * 1024,
            traces: OtlpSignal::default(),
            metrics: OtlpSignal::default(),
            logs: OtlpSignal::default(),
            additional: Vec::new(),
        }
    }
}

/// A receiver beside the one of [`OtlpSettings`], whatever the signals' exporters are.
///
/// ```
/// let settings = waypost_telemetry::Settings::from_toml(
///     r#"
///     [[otlp.additional]]
///     endpoint = "http://127.0.0.1:4318"
///     logs = true
///     delay = "100ms"
///     "#,
/// )?;
/// assert!(settings.otlp.additional[0].traces);
/// # Ok::<(), waypost_telemetry::SettingsError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OtlpReceiver {
    /// Base address; over HTTP `/v1/traces` and `/v1/logs` are appended.
    pub endpoint: String,
    /// `http`, `http_json` or `grpc`.
    pub protocol: OtlpProtocol,
    /// Sent with every request.
    pub headers: Headers,
    /// Longest time of one request; 0 is no limit.
    #[serde(with = "super::values::duration")]
    pub timeout: Duration,
    /// Whether request bodies are compressed.
    pub compression: Compression,
    /// File with the certificates (PEM) that a receiver behind TLS is checked against, in place of the system's.
    pub certificate: Option<PathBuf>,
    /// File with the client's own certificate chain (PEM), for receivers that ask for one.
    pub client_certificate: Option<PathBuf>,
    /// File with the private key (PEM) of `client_certificate`.
    pub client_key: Option<PathBuf>,
    /// Whether it is sent spans.
    pub traces: bool,
    /// Whether it is sent log records.
    pub logs: bool,
    /// Longest time an item waits before it is sent; without it that of the signal's batches.
    #[serde(with = "super::values::optional_duration")]
    pub delay: Option<Duration>,
}

impl Default for OtlpReceiver {
    fn default() -> Self {
        Self {
            endpoint: "http://localhost:4318".to_owned(),
            protocol: OtlpProtocol::Http,
            headers: Headers::default(),
            timeout: Duration::from_secs(10),
            compression: Compression::None,
            certificate: None,
            client_certificate: None,
            client_key: None,
            traces: true,
            logs: false,
            delay: None,
        }
    }
}

/// How request bodies are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// With gzip.
    Gzip,
}

/// How OTLP travels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OtlpProtocol {
    /// As protobuf over HTTP/1.1.
    #[default]
    Http,
    /// As JSON over HTTP/1.1.
    HttpJson,
    /// Over gRPC.
    Grpc,
}

/// What differs for one signal; anything left out is as in [`OtlpSettings`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OtlpSignal {
    /// Full address, used as it stands.
    pub endpoint: Option<String>,
    /// Sent instead of the common headers.
    pub headers: Option<Headers>,
    /// Longest time of one request; 0 is no limit.
    #[serde(with = "super::values::optional_duration")]
    pub timeout: Option<Duration>,
    /// Whether request bodies are compressed.
    pub compression: Option<Compression>,
    /// File with the certificates (PEM) that the receiver is checked against.
    pub certificate: Option<PathBuf>,
    /// File with the client's own certificate chain (PEM).
    pub client_certificate: Option<PathBuf>,
    /// File with the private key (PEM) of `client_certificate`.
    pub client_key: Option<PathBuf>,
    /// Plaintext for a gRPC endpoint without a scheme.
    pub insecure: Option<bool>,
}
