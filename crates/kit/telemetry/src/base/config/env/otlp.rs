//! The variables of the OTLP exporter, common and of each signal.
//!
//! <https://opentelemetry.io/docs/specs/otel/protocol/exporter/>

use super::kinds::{self, Show as _};
use super::overlay::Overlay;
use super::table::{Meaning, Reading, Variable, boolean, key, row};
use crate::base::config::{Exporter, Settings};

const EXPORTERS: &[&str] = &["traces.exporters", "metrics.exporters", "logs.exporters"];

pub(super) const COMMON: &[Variable] = &[
    Variable {
        name: "OTEL_EXPORTER_OTLP_PROTOCOL",
        meaning: Meaning::Read(Reading {
            settings: EXPORTERS,
            takes: kinds::PROTOCOL.takes,
            is_secret: kinds::never,
            read: |overlay, name, text| {
                EXPORTERS.iter().try_for_each(|setting| protocol(overlay, name, text, setting))
            },
            used: |settings| kinds::protocol_of(&settings.traces.exporters),
        }),
    },
    row!("OTEL_EXPORTER_OTLP_ENDPOINT", kinds::ENDPOINT, otlp.endpoint, Some, kinds::with_credentials),
    row!("OTEL_EXPORTER_OTLP_HEADERS", kinds::HEADERS, otlp.headers, std::convert::identity, kinds::always),
    row!("OTEL_EXPORTER_OTLP_TIMEOUT", kinds::TIMEOUT, otlp.timeout),
    row!("OTEL_EXPORTER_OTLP_COMPRESSION", kinds::COMPRESSION, otlp.compression),
    row!("OTEL_EXPORTER_OTLP_CERTIFICATE", kinds::CERTIFICATES, otlp.certificate, Some),
    row!("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", kinds::CERTIFICATES, otlp.client_certificate, Some),
    row!("OTEL_EXPORTER_OTLP_CLIENT_KEY", kinds::PRIVATE_KEY, otlp.client_key, Some),
    insecure("OTEL_EXPORTER_OTLP_INSECURE", &["otlp.insecure"], |overlay, name, text| {
        let (insecure, outcome) = boolean(text);
        overlay.set(name, "otlp.insecure", |settings| settings.otlp.insecure = insecure);
        outcome
    }),
];

/// The rows of one signal.
macro_rules! signal {
    ($infix:literal, $signal:ident) => {
        &[
            Variable {
                name: concat!("OTEL_EXPORTER_OTLP_", $infix, "_PROTOCOL"),
                meaning: Meaning::Read(Reading {
                    settings: &[key!($signal.exporters)],
                    takes: kinds::PROTOCOL.takes,
                    is_secret: kinds::never,
                    read: |overlay, name, text| protocol(overlay, name, text, key!($signal.exporters)),
                    used: |settings| kinds::protocol_of(&settings.$signal.exporters),
                }),
            },
            row!(
                concat!("OTEL_EXPORTER_OTLP_", $infix, "_ENDPOINT"),
                kinds::ENDPOINT,
                otlp.$signal.endpoint,
                Some,
                kinds::with_credentials
            ),
            row!(
                concat!("OTEL_EXPORTER_OTLP_", $infix, "_HEADERS"),
                kinds::HEADERS,
                otlp.$signal.headers,
                Some,
                kinds::always
            ),
            row!(
                concat!("OTEL_EXPORTER_OTLP_", $infix, "_TIMEOUT"),
                kinds::TIMEOUT,
                otlp.$signal.timeout,
                Some
            ),
            row!(
                concat!("OTEL_EXPORTER_OTLP_", $infix, "_COMPRESSION"),
                kinds::COMPRESSION,
                otlp.$signal.compression,
                Some
            ),
            row!(
                concat!("OTEL_EXPORTER_OTLP_", $infix, "_CERTIFICATE"),
                kinds::CERTIFICATES,
                otlp.$signal.certificate,
                Some
            ),
            row!(
                concat!("OTEL_EXPORTER_OTLP_", $infix, "_CLIENT_CERTIFICATE"),
                kinds::CERTIFICATES,
                otlp.$signal.client_certificate,
                Some
            ),
            row!(
                concat!("OTEL_EXPORTER_OTLP_", $infix, "_CLIENT_KEY"),
                kinds::PRIVATE_KEY,
                otlp.$signal.client_key,
                Some
            ),
            insecure(
                concat!("OTEL_EXPORTER_OTLP_", $infix, "_INSECURE"),
                &[key!(otlp.$signal.insecure)],
                |overlay, name, text| {
                    let (insecure, outcome) = boolean(text);
                    overlay.set(name, key!(otlp.$signal.insecure), |settings| {
                        settings.otlp.$signal.insecure = Some(insecure);
                    });
                    outcome
                },
            ),
        ]
    };
}

pub(super) const TRACES: &[Variable] = signal!("TRACES", traces);
pub(super) const METRICS: &[Variable] = signal!("METRICS", metrics);
pub(super) const LOGS: &[Variable] = signal!("LOGS", logs);

const fn insecure(
    name: &'static str,
    settings: &'static [&'static str],
    read: fn(&mut Overlay<'_>, &'static str, &str) -> Result<(), String>,
) -> Variable {
    let used = |_: &Settings| "false".to_owned();
    Variable {
        name,
        meaning: Meaning::Read(Reading {
            settings,
            takes: "true or false",
            is_secret: kinds::never,
            read,
            used,
        }),
    }
}

/// Says how OTLP travels, not whether: exporters of another kind stay.
fn protocol(
    overlay: &mut Overlay<'_>,
    name: &'static str,
    text: &str,
    setting: &'static str,
) -> Result<(), String> {
    let chosen = (kinds::PROTOCOL.parse)(text).ok_or_else(|| format!("is not {}", kinds::PROTOCOL.takes))?;
    let is_otlp = |exporter: &Exporter| {
        matches!(exporter, Exporter::OtlpHttp | Exporter::OtlpHttpJson | Exporter::OtlpGrpc)
    };
    if exporters(&mut overlay.settings, setting).iter().any(is_otlp) {
        overlay.set(name, setting, |settings| {
            let exporters = exporters(settings, setting);
            let mut seen = false;
            exporters.retain(|exporter| !is_otlp(exporter) || !std::mem::replace(&mut seen, true));
            exporters.iter_mut().filter(|exporter| is_otlp(exporter)).for_each(|exporter| *exporter = chosen);
        });
    }
    Ok(())
}

fn exporters<'a>(settings: &'a mut Settings, setting: &str) -> &'a mut Vec<Exporter> {
    match setting {
        "traces.exporters" => &mut settings.traces.exporters,
        "metrics.exporters" => &mut settings.metrics.exporters,
        _ => &mut settings.logs.exporters,
    }
}
