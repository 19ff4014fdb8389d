//! The receivers that the settings name: where one signal of one exporter goes, and how.

use std::path::Path;

use http::{HeaderMap, HeaderName, HeaderValue, Uri};

use super::ExportError;
use super::console::Console;
use super::file::File;
use super::otlp::{Encoding, Health, Otlp, Signal, Tls, Transport};
use super::outlet::Outlet;
use crate::base::config::{
    Compression, ConsoleSettings, Endpoint, Exporter, Headers, OtlpProtocol, OtlpReceiver, OtlpSettings,
    OtlpSignal, Settings,
};

/// Where OTLP goes if the settings do not say.
const DEFAULT_HTTP: &str = "http://localhost:4318";
const DEFAULT_GRPC: &str = "http://localhost:4317";

/// The provider of cryptography that the program hands over.
#[cfg(feature = "tls")]
pub(crate) type TlsProvider = std::sync::Arc<rustls::crypto::CryptoProvider>;
#[cfg(not(feature = "tls"))]
pub(crate) type TlsProvider = std::convert::Infallible;

/// One signal's way to one receiver, ready to be opened on the export thread.
#[derive(Debug)]
pub(crate) struct Receiver {
    exporter: Exporter,
    name: &'static str,
    uri: Uri,
    headers: HeaderMap,
    compression: Compression,
    timeout: std::time::Duration,
    max_request_bytes: usize,
    tls: Option<Tls>,
    file: Option<File>,
    console: ConsoleSettings,
}

/// What one signal of one receiver is set to.
struct Choice<'a> {
    headers: &'a Headers,
    timeout: std::time::Duration,
    compression: Compression,
    certificate: Option<&'a Path>,
    client_certificate: Option<&'a Path>,
    client_key: Option<&'a Path>,
}

impl Receiver {
    /// The receiver of the common settings and those of the signal.
    pub(super) fn common(
        settings: &Settings,
        exporter: Exporter,
        signal: Signal,
        tls: Option<&TlsProvider>,
    ) -> Result<Self, ExportError> {
        if exporter == Exporter::Zipkin {
            return Self::zipkin(settings, tls);
        }
        let otlp = &settings.otlp;
        let own = match signal.path {
            "/v1/metrics" => &otlp.metrics,
            "/v1/logs" => &otlp.logs,
            _ => &otlp.traces,
        };
        let path = |own: &'_ Option<std::path::PathBuf>, common: &'_ Option<std::path::PathBuf>| {
            own.clone().or_else(|| common.clone())
        };
        let (certificate, client_certificate, client_key) = (
            path(&own.certificate, &otlp.certificate),
            path(&own.client_certificate, &otlp.client_certificate),
            path(&own.client_key, &otlp.client_key),
        );
        let choice = Choice {
            headers: own.headers.as_ref().unwrap_or(&otlp.headers),
            timeout: own.timeout.unwrap_or(otlp.timeout),
            compression: own.compression.unwrap_or(otlp.compression),
            certificate: certificate.as_deref(),
            client_certificate: client_certificate.as_deref(),
            client_key: client_key.as_deref(),
        };
        let uri = address(otlp, own, exporter, signal);
        let receiver = Self::new(exporter, exporter.name(), uri, &choice, otlp.max_request_bytes, tls)?;
        let file = (exporter == Exporter::OtlpFile)
            .then(|| File::new(&settings.otlp_file, signal, &settings.service_name));
        Ok(Self { file, console: settings.console.clone(), ..receiver })
    }

    /// Zipkin.
    pub(super) fn zipkin(settings: &Settings, tls: Option<&TlsProvider>) -> Result<Self, ExportError> {
        let choice = Choice {
            headers: &Headers::default(),
            timeout: settings.zipkin.timeout,
            compression: Compression::None,
            certificate: None,
            client_certificate: None,
            client_key: None,
        };
        // What is not an address was refused with the settings.
        let uri = Endpoint::parse(&settings.zipkin.endpoint).map(|endpoint| endpoint.as_given());
        let (exporter, max_request_bytes) = (Exporter::Zipkin, settings.otlp.max_request_bytes);
        Self::new(exporter, exporter.name(), uri.unwrap_or_default(), &choice, max_request_bytes, tls)
    }

    /// A receiver beside the common one.
    pub(super) fn additional(
        settings: &Settings,
        additional: &OtlpReceiver,
        signal: Signal,
        tls: Option<&TlsProvider>,
    ) -> Result<Self, ExportError> {
        let (exporter, name) = match additional.protocol {
            OtlpProtocol::Http => (Exporter::OtlpHttp, "additional_otlp_http"),
            OtlpProtocol::HttpJson => (Exporter::OtlpHttpJson, "additional_otlp_http_json"),
            OtlpProtocol::Grpc => (Exporter::OtlpGrpc, "additional_otlp_grpc"),
        };
        let choice = Choice {
            headers: &additional.headers,
            timeout: additional.timeout,
            compression: additional.compression,
            certificate: additional.certificate.as_deref(),
            client_certificate: additional.client_certificate.as_deref(),
            client_key: additional.client_key.as_deref(),
        };
        let endpoint = Some(additional.endpoint.clone());
        let (common, own) = if additional.exact_endpoint { (None, endpoint) } else { (endpoint, None) };
        let insecure = additional.insecure;
        let otlp = OtlpSettings { endpoint: common, insecure, ..OtlpSettings::default() };
        let own = OtlpSignal { endpoint: own, ..OtlpSignal::default() };
        let uri = address(&otlp, &own, exporter, signal);
        Self::new(exporter, name, uri, &choice, settings.otlp.max_request_bytes, tls)
    }

    fn new(
        exporter: Exporter,
        name: &'static str,
        uri: Uri,
        choice: &Choice<'_>,
        max_request_bytes: usize,
        tls: Option<&TlsProvider>,
    ) -> Result<Self, ExportError> {
        if choice.compression == Compression::Gzip && !cfg!(feature = "gzip") {
            let reason = "gzip is asked for, and this program was built without the kit's feature `gzip`";
            return Err(ExportError::exporter(exporter, &reason));
        }
        let is_local = matches!(exporter, Exporter::Console | Exporter::OtlpFile);
        let wants_tls = !is_local && uri.scheme_str() == Some("https");
        let tls = if wants_tls {
            Some(secured(exporter, choice, tls).map_err(|reason| ExportError::exporter(exporter, &reason))?)
        } else {
            None
        };
        Ok(Self {
            exporter,
            name,
            uri,
            headers: header_map(choice.headers),
            compression: choice.compression,
            timeout: choice.timeout,
            max_request_bytes,
            tls,
            file: None,
            console: ConsoleSettings::default(),
        })
    }

    /// Its name in the ledger.
    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    pub(super) fn max_request_bytes(&self) -> usize {
        self.max_request_bytes
    }

    /// How it is sent to.
    pub(super) fn exporter(&self) -> Exporter {
        self.exporter
    }

    /// Host and port.
    pub(super) fn server(&self) -> Option<(String, u16)> {
        if matches!(self.exporter, Exporter::Console | Exporter::OtlpFile) {
            return None;
        }
        let default = if self.uri.scheme_str() == Some("https") { 443 } else { 80 };
        Some((self.uri.host()?.to_owned(), self.uri.port_u16().unwrap_or(default)))
    }

    /// Opens it. Within a runtime; nothing is sent yet.
    pub(super) fn outlet(mut self, signal: Signal) -> Result<Outlet, ExportError> {
        let (timeout, max_request_bytes) = (self.timeout, self.max_request_bytes);
        let (mut compression, mut encoding) = (self.compression, Encoding::Protobuf);
        if let Some(file) = self.file.take() {
            return Ok(Outlet::File(Box::new(file)));
        }
        let transport = match self.exporter {
            Exporter::OtlpHttp => self.http(false)?,
            Exporter::OtlpHttpJson => {
                encoding = Encoding::Json(signal.json);
                self.http(true)?
            }
            Exporter::Zipkin => {
                encoding = Encoding::Zipkin;
                self.http(true)?
            }
            Exporter::OtlpGrpc => {
                // There the transport compresses, message by message.
                compression = Compression::None;
                self.grpc(signal)?
            }
            Exporter::Console | Exporter::OtlpFile | Exporter::Memory | Exporter::None => {
                return Ok(Outlet::Console(Console::new(signal.path, &self.console)));
            }
        };
        let health = Health::default();
        Ok(Outlet::Otlp(Box::new(Otlp {
            transport,
            encoding,
            compression,
            timeout,
            max_request_bytes,
            health,
        })))
    }

    #[cfg(feature = "otlp-http")]
    #[expect(clippy::unnecessary_wraps, reason = "as without the feature")]
    fn http(self, is_json: bool) -> Result<Box<dyn Transport>, ExportError> {
        let connector = super::otlp::Connector::new(self.tls);
        Ok(Box::new(super::otlp::HttpTransport::new(self.uri, self.headers, is_json, connector)))
    }

    #[cfg(not(feature = "otlp-http"))]
    fn http(self, _is_json: bool) -> Result<Box<dyn Transport>, ExportError> {
        Err(self.left_out("otlp-http"))
    }

    #[cfg(feature = "otlp-grpc")]
    fn grpc(self, signal: Signal) -> Result<Box<dyn Transport>, ExportError> {
        let is_compressed = self.compression == Compression::Gzip;
        let connector = super::otlp::Connector::new(self.tls);
        let transport =
            super::otlp::GrpcTransport::new(&self.uri, signal.method, self.headers, is_compressed, connector);
        Ok(Box::new(transport.map_err(|error| ExportError::exporter(self.exporter, &error))?))
    }

    #[cfg(not(feature = "otlp-grpc"))]
    fn grpc(self, _signal: Signal) -> Result<Box<dyn Transport>, ExportError> {
        Err(self.left_out("otlp-grpc"))
    }

    #[cfg(not(all(feature = "otlp-http", feature = "otlp-grpc")))]
    fn left_out(&self, feature: &str) -> ExportError {
        let reason = format!("this program was built without the kit's feature `{feature}`");
        ExportError::exporter(self.exporter, &reason)
    }
}

#[cfg(feature = "tls")]
fn secured(exporter: Exporter, choice: &Choice<'_>, provider: Option<&TlsProvider>) -> Result<Tls, String> {
    let provider = provider
        .cloned()
        .or_else(|| rustls::crypto::CryptoProvider::get_default().cloned())
        .or_else(built_in)
        .ok_or_else(|| {
            "an https address needs a provider of cryptography: hand one over with `Builder::tls_provider`, for \
             example `rustls::crypto::ring::default_provider()`, or build with the kit's feature `tls-ring`"
                .to_owned()
        })?;
    let files = super::otlp::Files {
        authorities: choice.certificate,
        certificate: choice.client_certificate,
        key: choice.client_key,
    };
    let is_http2 = exporter == Exporter::OtlpGrpc;
    Tls::new(provider, &files, is_http2).map_err(|error| error.to_string())
}

/// That of the kit's own build, where it was asked for by a feature.
#[cfg(feature = "tls-ring")]
#[expect(clippy::unnecessary_wraps, reason = "as without the feature")]
fn built_in() -> Option<TlsProvider> {
    Some(std::sync::Arc::new(rustls::crypto::ring::default_provider()))
}

#[cfg(all(feature = "tls", not(feature = "tls-ring")))]
fn built_in() -> Option<TlsProvider> {
    None
}

#[cfg(not(feature = "tls"))]
fn secured(_: Exporter, _: &Choice<'_>, _: Option<&TlsProvider>) -> Result<Tls, String> {
    Err("the address wants https, and this program was built without the kit's feature `tls`".to_owned())
}

/// Where a signal goes. A signal's own address is used as it stands, the common one gets the signal's path over HTTP.
fn address(otlp: &OtlpSettings, own: &OtlpSignal, exporter: Exporter, signal: Signal) -> Uri {
    // What is not an address was refused with the settings.
    let parsed = |text: &str| Endpoint::parse(text).ok();
    if exporter == Exporter::OtlpGrpc {
        let endpoint = own.endpoint.as_deref().or(otlp.endpoint.as_deref()).unwrap_or(DEFAULT_GRPC);
        let insecure = own.insecure.unwrap_or(otlp.insecure);
        return parsed(endpoint).map(|endpoint| endpoint.for_grpc(insecure)).unwrap_or_default();
    }
    if let Some(endpoint) = own.endpoint.as_deref().and_then(parsed) {
        return endpoint.as_given();
    }
    let base = parsed(otlp.endpoint.as_deref().unwrap_or(DEFAULT_HTTP));
    base.map(|endpoint| endpoint.for_signal(signal.path)).unwrap_or_default()
}

/// What is not a header was refused with the settings.
fn header_map(headers: &Headers) -> HeaderMap {
    let pairs = headers.0.iter().filter_map(|(name, value)| {
        let mut value = HeaderValue::from_str(value).ok()?;
        value.set_sensitive(true);
        Some((HeaderName::from_bytes(name.as_bytes()).ok()?, value))
    });
    pairs.collect()
}
