//! Settings while variables are laid over them, and what the variables amount to together.

use super::kinds;
use super::table::{Meaning, Variable, variables};
use super::{FromVariable, Warning};
use crate::base::config::values::HIDDEN;
use crate::base::config::{BatchSettings, Endpoint, Exporter, OtlpSignal, Settings, SettingsError};

pub(super) struct Overlay<'a> {
    pub(super) settings: Settings,
    pub(super) given: Vec<FromVariable>,
    lookup: &'a dyn Fn(&str) -> Option<String>,
    is_fixed: &'a dyn Fn(&str) -> bool,
}

impl<'a> Overlay<'a> {
    pub(super) fn new(
        settings: Settings,
        lookup: &'a dyn Fn(&str) -> Option<String>,
        is_fixed: &'a dyn Fn(&str) -> bool,
    ) -> Self {
        Self { settings, given: Vec::new(), lookup, is_fixed }
    }

    /// Rows in the order of the table, so that a signal's own variable comes after the common one.
    pub(super) fn apply(&mut self) -> Result<(), SettingsError> {
        let is_alone = self.read_config_file()?;
        for variable in variables() {
            // Our own variables are none of the configuration file's.
            let is_read = !is_alone || !variable.name.starts_with("OTEL_");
            if let Some(text) = self.text(variable.name).filter(|_| is_read) {
                self.take(variable, &text);
            }
        }
        self.reconcile();
        Ok(())
    }

    /// Whether a file speaks in place of all other standard variables.
    #[cfg(feature = "config-file")]
    fn read_config_file(&mut self) -> Result<bool, SettingsError> {
        let path = self.text(super::declarative::VARIABLE);
        path.map_or(Ok(false), |path| super::declarative::apply(self, &path).map(|()| true))
    }

    #[cfg(not(feature = "config-file"))]
    #[expect(
        clippy::unnecessary_wraps,
        clippy::unused_self,
        reason = "it has the shape of the one that reads"
    )]
    fn read_config_file(&mut self) -> Result<bool, SettingsError> {
        Ok(false)
    }

    /// An empty variable is as good as absent.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        let text = (self.lookup)(name)?;
        Some(text.trim().to_owned()).filter(|text| !text.is_empty())
    }

    fn take(&mut self, variable: &Variable, text: &str) {
        match &variable.meaning {
            Meaning::Read(meaning) => {
                let taken = (meaning.read)(self, variable.name, text);
                if let Err(reason) = taken {
                    let value = if (meaning.is_secret)(text) { HIDDEN } else { text };
                    self.warn(variable.name, value, reason, Some((meaning.used)(&self.settings)));
                }
            }
            Meaning::Ignored(reason) => {
                self.warn(variable.name, text, format!("is not read: {reason}"), None);
            }
        }
    }

    pub(super) fn warn(&mut self, variable: &str, value: &str, reason: String, used: Option<String>) {
        let (variable, value) = (variable.to_owned(), value.to_owned());
        self.settings.warnings.push(Warning { variable, value, reason, used });
    }

    /// Sets what is not fixed by a layer above.
    pub(super) fn set(
        &mut self,
        variable: &'static str,
        setting: &'static str,
        change: impl FnOnce(&mut Settings),
    ) {
        if !(self.is_fixed)(setting) {
            change(&mut self.settings);
            self.given.push(FromVariable { variable, setting });
        }
    }

    /// Attributes that are settings of their own set these, so that they win over what the program was built with.
    pub(super) fn set_resource_attribute(&mut self, variable: &'static str, key: String, value: String) {
        let (setting, target): (&'static str, fn(&mut Settings) -> &mut Option<String>) = match key.as_str() {
            "service.name" if value.is_empty() => return,
            "service.name" => return self.set(variable, "service_name", |s| s.service_name = value),
            "service.namespace" => ("service_namespace", |s| &mut s.service_namespace),
            "service.version" => ("service_version", |s| &mut s.service_version),
            "service.instance.id" => ("service_instance_id", |s| &mut s.service_instance_id),
            "deployment.environment.name" => ("environment", |s| &mut s.environment),
            _ => {
                let insert = |s: &mut Settings| drop(s.resource_attributes.insert(key, value));
                return self.set(variable, "resource_attributes", insert);
            }
        };
        self.set(variable, setting, |settings| *target(settings) = Some(value));
    }

    /// The variable that set this, if one did.
    fn source(&self, setting: &str) -> Option<&'static str> {
        self.given.iter().rev().find(|given| given.setting == setting).map(|given| given.variable)
    }

    /// Values that are right each for itself and wrong together.
    fn reconcile(&mut self) {
        self.clamp_batch("traces.batch.max_batch", |settings| &mut settings.traces.batch);
        self.clamp_batch("logs.batch.max_batch", |settings| &mut settings.logs.batch);
        self.drop_bare_endpoints();
        self.drop_lone_certificates();
    }

    /// A queue that is smaller than the default batch is a valid wish; a batch that is larger than the queue is not.
    fn clamp_batch(&mut self, setting: &str, batch: fn(&mut Settings) -> &mut BatchSettings) {
        let source = self.source(setting);
        let batch = batch(&mut self.settings);
        if batch.max_batch <= batch.queue_size {
            return;
        }
        let given = std::mem::replace(&mut batch.max_batch, batch.queue_size);
        let used = batch.queue_size.to_string();
        if let Some(variable) = source {
            let reason = "is more than the queue holds".to_owned();
            self.warn(variable, &given.to_string(), reason, Some(used));
        }
    }

    /// `collector:4317` is an address for gRPC only.
    fn drop_bare_endpoints(&mut self) {
        let signals: [(&str, SignalOf); 3] = [
            ("otlp.traces.endpoint", |settings| (&mut settings.otlp.traces, &settings.traces.exporters)),
            ("otlp.metrics.endpoint", |settings| (&mut settings.otlp.metrics, &settings.metrics.exporters)),
            ("otlp.logs.endpoint", |settings| (&mut settings.otlp.logs, &settings.logs.exporters)),
        ];
        let is_bare = |text: &str| Endpoint::parse(text).is_ok_and(|endpoint| !endpoint.has_scheme());
        let common = self.settings.otlp.endpoint.clone().filter(|text| is_bare(text));
        let common_source = self.source("otlp.endpoint");
        let mut is_common_refused = false;
        for (setting, signal) in signals {
            let source = self.source(setting);
            let (own, exporters) = signal(&mut self.settings);
            let over_http = exporters
                .iter()
                .any(|exporter| matches!(exporter, Exporter::OtlpHttp | Exporter::OtlpHttpJson));
            match (&own.endpoint, source) {
                (Some(text), Some(variable)) if over_http && is_bare(text) => {
                    let text = own.endpoint.take().unwrap_or_default();
                    self.refuse_bare(variable, &text);
                }
                (None, _) if over_http => is_common_refused = true,
                // It keeps the common address even if that is dropped for the others.
                (None, _) if common_source.is_some() => own.endpoint.clone_from(&common),
                _ => {}
            }
        }
        if let (true, Some(text), Some(variable)) = (is_common_refused, common, common_source) {
            self.settings.otlp.endpoint = None;
            self.refuse_bare(variable, &text);
        }
    }

    fn refuse_bare(&mut self, variable: &str, text: &str) {
        let reason = "needs http:// or https:// in front for OTLP over HTTP".to_owned();
        let value = if kinds::with_credentials(text) { HIDDEN } else { text };
        self.warn(variable, value, reason, Some("the default".to_owned()));
    }

    /// A certificate without its key, or the other way round, identifies nobody.
    fn drop_lone_certificates(&mut self) {
        let otlp = &mut self.settings.otlp;
        let common = (otlp.client_certificate.is_some(), otlp.client_key.is_some());
        let signals = [
            ("otlp.traces.client_certificate", "otlp.traces.client_key", &mut otlp.traces),
            ("otlp.metrics.client_certificate", "otlp.metrics.client_key", &mut otlp.metrics),
            ("otlp.logs.client_certificate", "otlp.logs.client_key", &mut otlp.logs),
        ];
        let mut lone = Vec::new();
        for (certificate, key, own) in signals {
            let has_own = own.client_certificate.is_some() || own.client_key.is_some();
            let has_both =
                (own.client_certificate.is_some() || common.0) && (own.client_key.is_some() || common.1);
            if has_own && !has_both {
                lone.push(dropped(certificate, key, &mut own.client_certificate, &mut own.client_key));
            }
        }
        if common.0 != common.1 {
            let (certificate, key) = ("otlp.client_certificate", "otlp.client_key");
            lone.push(dropped(certificate, key, &mut otlp.client_certificate, &mut otlp.client_key));
        }
        for (setting, path) in lone {
            if let Some(variable) = self.source(setting) {
                let reason = "is of no use: certificate and key belong together".to_owned();
                self.warn(variable, &path, reason, Some("no client certificate".to_owned()));
            }
        }
    }
}

type SignalOf = for<'a> fn(&'a mut Settings) -> (&'a mut OtlpSignal, &'a Vec<Exporter>);

/// The one of the two that was there, as setting and path.
fn dropped(
    certificate: &'static str,
    key: &'static str,
    of_certificate: &mut Option<std::path::PathBuf>,
    of_key: &mut Option<std::path::PathBuf>,
) -> (&'static str, String) {
    let path = |path: std::path::PathBuf| path.display().to_string();
    match (of_certificate.take(), of_key.take()) {
        (Some(there), _) => (certificate, path(there)),
        (None, there) => (key, there.map(path).unwrap_or_default()),
    }
}
