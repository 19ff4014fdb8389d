//! Where and how OTLP is sent.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use waypost_settings::settings;

use super::Headers;

settings! {
    /// Where and how OTLP is sent.
    ///
    /// ```
    /// use waypost_telemetry::Settings;
    /// use waypost_telemetry::config::{Compression, Headers};
    ///
    /// let mut settings = Settings::new("order-service");
    /// settings.otlp.endpoint = Some("http://collector:4318".to_owned());
    /// settings.otlp.headers = Headers([("api-key".to_owned(), "secret".to_owned())].into());
    /// settings.otlp.compression = Compression::Gzip;
    /// settings.check()?;
    /// # Ok::<(), waypost_telemetry::SettingsError>(())
    /// ```
    #[derive(PartialEq)]
    pub struct OtlpSettings {
        /// Base address for all signals. Without it `http://localhost:4318` over HTTP and `http://localhost:4317`
        /// over gRPC. Over HTTP `/v1/traces` and its like are appended. Over gRPC `collector:4317` without a scheme is
        /// allowed; see `insecure`.
        pub endpoint: Option<String> = None,
        /// Sent with every request.
        pub headers: Headers = Headers::default(),
        /// Longest time of one request; 0 is no limit.
        #[serde(with = "waypost_settings::std_duration")]
        pub timeout: Duration = Duration::from_secs(10),
        /// Whether request bodies are compressed.
        pub compression: Compression = Compression::None,
        /// File with the certificates (PEM) that a receiver behind TLS is checked against, in place of the system's.
        pub certificate: Option<PathBuf> = None,
        /// File with the client's own certificate chain (PEM), for receivers that ask for one.
        pub client_certificate: Option<PathBuf> = None,
        /// File with the private key (PEM) of `client_certificate`.
        pub client_key: Option<PathBuf> = None,
        /// Plaintext for a gRPC endpoint that is given without `http://` or `https://`.
        pub insecure: bool = false,
        /// Bytes of one request before compression, whether as protobuf or as JSON. A larger batch is sent in parts; a span,
        /// log record or data point that is larger by itself is dropped. 4 MiB is what receivers of gRPC take by default.
        pub max_request_bytes: usize = 4 * 1024 * 1024,
        /// Differences for spans.
        pub traces: OtlpSignal = OtlpSignal::default(),
        /// Differences for metrics.
        pub metrics: OtlpSignal = OtlpSignal::default(),
        /// Differences for log records.
        pub logs: OtlpSignal = OtlpSignal::default(),
        /// Receivers beside this one. Each has queues of its own, so that none waits for another.
        pub additional: Vec<OtlpReceiver> = Vec::new(),
    }
}

settings! {
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
    #[derive(PartialEq)]
    pub struct OtlpReceiver {
        /// Base address; over HTTP `/v1/traces` and its like are appended, unless `exact_endpoint` says otherwise.
        pub endpoint: String = "http://localhost:4318".to_owned(),
        /// Whether `endpoint` is the full address, used as it stands.
        pub exact_endpoint: bool = false,
        /// `http`, `http_json` or `grpc`.
        pub protocol: OtlpProtocol = OtlpProtocol::Http,
        /// Sent with every request.
        pub headers: Headers = Headers::default(),
        /// Longest time of one request; 0 is no limit.
        #[serde(with = "waypost_settings::std_duration")]
        pub timeout: Duration = Duration::from_secs(10),
        /// Whether request bodies are compressed.
        pub compression: Compression = Compression::None,
        /// File with the certificates (PEM) that a receiver behind TLS is checked against, in place of the system's.
        pub certificate: Option<PathBuf> = None,
        /// File with the client's own certificate chain (PEM), for receivers that ask for one.
        pub client_certificate: Option<PathBuf> = None,
        /// File with the private key (PEM) of `client_certificate`.
        pub client_key: Option<PathBuf> = None,
        /// Whether it is sent spans.
        pub traces: bool = true,
        /// Whether it is sent log records.
        pub logs: bool = false,
        /// Whether metrics are pushed to it, as often as to the others and with the same temporality.
        pub metrics: bool = false,
        /// Plaintext for a gRPC endpoint without a scheme.
        pub insecure: bool = false,
        /// Longest time an item waits before it is sent; without it that of the signal's batches.
        #[serde(with = "waypost_settings::optional_std_duration")]
        pub delay: Option<Duration> = None,
    }
}

/// How request bodies are compressed.
///
/// ```
/// use waypost_telemetry::config::Compression;
///
/// let settings = waypost_telemetry::Settings::from_toml("[otlp]\ncompression = \"gzip\"")?;
/// assert_eq!(settings.otlp.compression, Compression::Gzip);
/// # Ok::<(), waypost_telemetry::SettingsError>(())
/// ```
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
///
/// ```
/// use waypost_telemetry::config::{OtlpProtocol, OtlpReceiver};
///
/// let receiver = OtlpReceiver { protocol: OtlpProtocol::Grpc, ..OtlpReceiver::default() };
/// assert!(receiver.traces && !receiver.logs);
/// ```
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

settings! {
    /// What differs for one signal; anything left out is as in [`OtlpSettings`].
    ///
    /// ```
    /// let settings = waypost_telemetry::Settings::from_toml(
    ///     r#"
    ///     [otlp]
    ///     endpoint = "http://collector:4318"
    ///     [otlp.metrics]
    ///     endpoint = "http://metrics.example/otlp/v1/metrics"
    ///     "#,
    /// )?;
    /// assert_eq!(settings.otlp.traces.endpoint, None);
    /// # Ok::<(), waypost_telemetry::SettingsError>(())
    /// ```
    #[derive(PartialEq)]
    pub struct OtlpSignal {
        /// Full address, used as it stands.
        pub endpoint: Option<String> = None,
        /// Sent instead of the common headers.
        pub headers: Option<Headers> = None,
        /// Longest time of one request; 0 is no limit.
        #[serde(with = "waypost_settings::optional_std_duration")]
        pub timeout: Option<Duration> = None,
        /// Whether request bodies are compressed.
        pub compression: Option<Compression> = None,
        /// File with the certificates (PEM) that the receiver is checked against.
        pub certificate: Option<PathBuf> = None,
        /// File with the client's own certificate chain (PEM).
        pub client_certificate: Option<PathBuf> = None,
        /// File with the private key (PEM) of `client_certificate`.
        pub client_key: Option<PathBuf> = None,
        /// Plaintext for a gRPC endpoint without a scheme.
        pub insecure: Option<bool> = None,
    }
}
