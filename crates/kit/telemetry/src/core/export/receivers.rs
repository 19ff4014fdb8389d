//! The receivers that the settings name, one outlet for each signal and exporter.

use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::trace::SpanData;
use reqwest::Url;

use super::ExportError;
use super::console;
use super::otlp::{GrpcTransport, HttpTransport, Otlp, Signal, Transport, encode};
use super::outlet::Outlet;
use crate::base::config::{
    Endpoint, Exporter, Headers, OtlpProtocol, OtlpReceiver, OtlpSettings, OtlpSignal, Settings, limited,
};
use crate::base::finished::FinishedLog;

/// Where OTLP goes if the settings do not say.
const DEFAULT_HTTP: &str = "http://localhost:4318";
const DEFAULT_GRPC: &str = "http://localhost:4317";

pub(crate) struct Receivers {
    otlp: OtlpSettings,
    resource: Resource,
}

impl Receivers {
    pub(crate) fn new(settings: &Settings, resource: &Resource) -> Self {
        Self { otlp: settings.otlp.clone(), resource: resource.clone() }
    }

    /// The outlets of a receiver beside the common one, and the exporter that it is like.
    pub(crate) fn of(receiver: &OtlpReceiver, resource: &Resource) -> (Self, Exporter) {
        let otlp = OtlpSettings {
            endpoint: Some(receiver.endpoint.clone()),
            headers: receiver.headers.clone(),
            timeout: receiver.timeout,
            compression: receiver.compression,
            certificate: receiver.certificate.clone(),
            client_certificate: receiver.client_certificate.clone(),
            client_key: receiver.client_key.clone(),
            ..OtlpSettings::default()
        };
        let exporter = match receiver.protocol {
            OtlpProtocol::Http => Exporter::OtlpHttp,
            OtlpProtocol::HttpJson => Exporter::OtlpHttpJson,
            OtlpProtocol::Grpc => Exporter::OtlpGrpc,
        };
        (Self { otlp, resource: resource.clone() }, exporter)
    }

    pub(crate) fn traces(&self, exporter: Exporter) -> Result<Outlet<SpanData>, ExportError> {
        self.outlet(exporter, &self.otlp.traces, &encode::TRACES, console::span)
    }

    pub(crate) fn metrics(&self, exporter: Exporter) -> Result<Outlet<ResourceMetrics>, ExportError> {
        self.outlet(exporter, &self.otlp.metrics, &encode::METRICS, console::reading)
    }

    pub(crate) fn logs(&self, exporter: Exporter) -> Result<Outlet<FinishedLog>, ExportError> {
        self.outlet(exporter, &self.otlp.logs, &encode::LOGS, console::log)
    }

    fn outlet<T: 'static>(
        &self,
        exporter: Exporter,
        own: &OtlpSignal,
        signal: &'static Signal<T>,
        line: fn(&T) -> String,
    ) -> Result<Outlet<T>, ExportError> {
        let headers = header_map(own.headers.as_ref().unwrap_or(&self.otlp.headers));
        let transport = match exporter {
            Exporter::OtlpHttp | Exporter::OtlpHttpJson => {
                let address = http_address(&self.otlp, own, signal.path).to_string();
                let url = Url::parse(&address).map_err(|error| ExportError::exporter(exporter, &error))?;
                let transport = HttpTransport::new(url, headers)
                    .map_err(|error| ExportError::exporter(exporter, &error))?;
                Transport::Http(transport)
            }
            Exporter::OtlpGrpc => {
                let address =
                    own.endpoint.as_deref().or(self.otlp.endpoint.as_deref()).unwrap_or(DEFAULT_GRPC);
                let insecure = own.insecure.unwrap_or(self.otlp.insecure);
                let address = Endpoint::parse(address).map(|endpoint| endpoint.for_grpc(insecure));
                let address = address.unwrap_or_default().to_string();
                let transport = GrpcTransport::new(address, signal.method, headers)
                    .map_err(|error| ExportError::exporter(exporter, &error))?;
                Transport::Grpc(transport)
            }
            Exporter::Console | Exporter::Memory | Exporter::None => return Ok(Outlet::Console(line)),
        };
        let timeout = limited(own.timeout.unwrap_or(self.otlp.timeout));
        Ok(Outlet::Otlp(Box::new(Otlp { transport, signal, resource: (&self.resource).into(), timeout })))
    }
}

/// A signal's own address is used as it stands, the common one gets the signal's path.
fn http_address(otlp: &OtlpSettings, own: &OtlpSignal, path: &str) -> Uri {
    // What is not an address was refused with the settings.
    let parsed = |text: &str| Endpoint::parse(text).ok();
    if let Some(endpoint) = own.endpoint.as_deref().and_then(parsed) {
        return endpoint.as_given();
    }
    let base = parsed(otlp.endpoint.as_deref().unwrap_or(DEFAULT_HTTP));
    base.map(|endpoint| endpoint.for_signal(path)).unwrap_or_default()
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
