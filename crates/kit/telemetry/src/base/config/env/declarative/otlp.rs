//! OTLP exporters: where they send and how.

use std::path::PathBuf;

use super::exporters::Signal;
use super::model::named_unless;
use super::reader::{Reader, Section};
use crate::base::config::env::kinds;
use crate::base::config::{Compression, Exporter, Headers, OtlpProtocol, OtlpReceiver, OtlpSignal};
use crate::base::yaml::{Content, Node};

/// A receiver beside the first one.
pub(super) fn receiver(form: Exporter, own: OtlpSignal, signal: Signal) -> OtlpReceiver {
    let (protocol, default) = match form {
        Exporter::OtlpGrpc => (OtlpProtocol::Grpc, "http://localhost:4317".to_owned()),
        Exporter::OtlpHttpJson => (OtlpProtocol::HttpJson, format!("http://localhost:4318{}", signal.path())),
        _ => (OtlpProtocol::Http, format!("http://localhost:4318{}", signal.path())),
    };
    let all = OtlpReceiver::default();
    OtlpReceiver {
        endpoint: own.endpoint.unwrap_or(default),
        exact_endpoint: true,
        protocol,
        headers: own.headers.unwrap_or_default(),
        timeout: own.timeout.unwrap_or(all.timeout),
        compression: own.compression.unwrap_or(all.compression),
        certificate: own.certificate,
        client_certificate: own.client_certificate,
        client_key: own.client_key,
        insecure: own.insecure.unwrap_or_default(),
        traces: signal == Signal::Traces,
        logs: signal == Signal::Logs,
        metrics: signal == Signal::Metrics,
        delay: None,
    }
}

/// The form of an exporter, and what it is set to.
pub(super) fn otlp(
    reader: &mut Reader<'_, '_>,
    exporter: &mut Section,
    is_grpc: bool,
) -> (Exporter, OtlpSignal) {
    let (path, line) = (exporter.path.clone(), exporter.line);
    let endpoint = reader.text(exporter, "endpoint");
    if let Some(endpoint) = &endpoint {
        let usable = (kinds::ENDPOINT.parse)(endpoint).is_some();
        if !usable || (!is_grpc && !endpoint.contains("://")) {
            reader.refuse(line, format!("{path}.endpoint"), format!("is not {}", kinds::ENDPOINT.takes));
        }
    }
    let headers = headers(reader, exporter);
    let compression = match reader.text(exporter, "compression").as_deref() {
        Some("gzip") => Compression::Gzip,
        Some("none") | None => Compression::None,
        Some(_) => {
            reader.not_had.push(format!("{path}.compression"));
            Compression::None
        }
    };
    let timeout = reader.milliseconds(exporter, "timeout", 0);
    let is_json = match reader.text(exporter, "encoding").as_deref() {
        Some("json") => true,
        Some("protobuf") | None => false,
        Some(_) => {
            reader.refuse(line, format!("{path}.encoding"), "is not one of protobuf, json");
            false
        }
    };
    if let Some(bytes) = reader.size(exporter, "max_request_size", 0) {
        let bytes = if bytes == 0 { usize::MAX } else { bytes };
        reader.set("otlp.max_request_bytes", |settings| settings.otlp.max_request_bytes = bytes);
    }
    named_unless(reader, exporter, "max_response_size", "4194304");
    let mut own =
        OtlpSignal { endpoint, headers, timeout, compression: Some(compression), ..OtlpSignal::default() };
    if let Some(mut tls) = reader.within(exporter, "tls") {
        let mut file = |key: &str| reader.text(&mut tls, key).map(PathBuf::from);
        own.certificate = file("ca_file");
        own.client_key = file("key_file");
        own.client_certificate = file("cert_file");
        own.insecure = reader.truth(&mut tls, "insecure");
        if own.client_key.is_some() != own.client_certificate.is_some() {
            reader.refuse(tls.line, tls.path.as_str(), "needs key_file and cert_file, or neither");
        }
        reader.finish(&tls);
    }
    let form = match (is_grpc, is_json) {
        (true, _) => Exporter::OtlpGrpc,
        (false, true) => Exporter::OtlpHttpJson,
        (false, false) => Exporter::OtlpHttp,
    };
    (form, own)
}

/// Pairs win over the list.
fn headers(reader: &mut Reader<'_, '_>, exporter: &mut Section) -> Option<Headers> {
    let mut headers = Headers::default();
    let path = exporter.path_of("headers_list");
    if let Some(text) = reader.text(exporter, "headers_list") {
        match (kinds::HEADERS.parse)(&text) {
            Some(listed) => headers = listed,
            None => reader.refuse(exporter.line, path, format!("is not {}", kinds::HEADERS.takes)),
        }
    }
    let path = exporter.path_of("headers");
    for (place, node) in reader.list(exporter, "headers").into_iter().enumerate() {
        let mut pair = reader.section(node, format!("{path}[{place}]"));
        let name = reader.text(&mut pair, "name");
        let value = pair.take("value");
        match (name, value) {
            (Some(name), Some(Node { content: Content::Text { text, .. }, .. })) => {
                headers.0.insert(name.to_lowercase(), text);
            }
            (Some(_), Some(Node { content: Content::Null, .. })) => {}
            _ => reader.refuse(pair.line, pair.path.as_str(), "needs a name and a value"),
        }
        reader.finish(&pair);
    }
    (!headers.0.is_empty()).then_some(headers)
}
