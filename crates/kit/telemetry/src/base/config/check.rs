//! Rules within and between the settings, whatever they were read from.

use std::collections::HashSet;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use reqwest::Url;

use super::{BatchSettings, Exporter, Headers, Problem, Settings, SettingsError};

impl Settings {
    /// `Ok` if these settings can be used; else everything that is wrong with them.
    pub fn check(&self) -> Result<(), SettingsError> {
        SettingsError::check(self.problems())
    }

    pub(super) fn problems(&self) -> Vec<Problem> {
        let mut check = Check { problems: Vec::new() };
        check.that(!self.service_name.trim().is_empty(), "service_name", "", "must not be empty");
        check.that(
            (0.0..=1.0).contains(&self.traces.ratio),
            "traces.ratio",
            &self.traces.ratio.to_string(),
            "must be from 0 to 1",
        );
        check.exporters("traces.exporters", &self.traces.exporters);
        check.exporters("metrics.exporters", &self.metrics.exporters);
        check.exporters("logs.exporters", &self.logs.exporters);
        check.batch("traces.batch", &self.traces.batch);
        check.batch("logs.batch", &self.logs.batch);
        for (name, number) in [
            ("traces.memory_capacity", self.traces.memory_capacity),
            ("logs.memory_capacity", self.logs.memory_capacity),
            ("metrics.cardinality_limit", self.metrics.cardinality_limit),
            ("limits.attribute_value_length", self.limits.attribute_value_length),
        ] {
            check.that(number > 0, name, "0", "must be at least 1");
        }
        check.time("metrics.interval", self.metrics.interval);
        check.time("metrics.export_timeout", self.metrics.export_timeout);
        check.otlp(self);
        if let Err(reason) = super::log_filter::check_filter(&self.logs.filter) {
            check.problems.push(Problem::new("logs.filter", &self.logs.filter, reason));
        }
        for (name, keys) in [
            ("baggage.outbound", &self.baggage.outbound),
            ("baggage.span_attributes", &self.baggage.span_attributes),
        ] {
            for key in keys {
                check.that(is_token(key), name, key, "is not a key that baggage can have");
            }
        }
        check.problems
    }
}

struct Check {
    problems: Vec<Problem>,
}

impl Check {
    fn that(&mut self, holds: bool, name: &str, value: &str, reason: &str) {
        if !holds {
            self.problems.push(Problem::new(name, value, reason));
        }
    }

    fn time(&mut self, name: &str, value: Duration) {
        self.that(!value.is_zero(), name, "0s", "must be longer than nothing");
    }

    fn exporters(&mut self, name: &str, exporters: &[Exporter]) {
        let mut seen = HashSet::new();
        for exporter in exporters {
            self.that(seen.insert(exporter.name()), name, exporter.name(), "is there twice");
        }
    }

    fn batch(&mut self, name: &str, batch: &BatchSettings) {
        let max_batch = batch.max_batch.to_string();
        self.that(batch.queue_size > 0, &format!("{name}.queue_size"), "0", "must be at least 1");
        self.that(batch.max_batch > 0, &format!("{name}.max_batch"), "0", "must be at least 1");
        self.that(
            batch.max_batch <= batch.queue_size,
            &format!("{name}.max_batch"),
            &max_batch,
            &format!("must not be larger than the queue_size of {}", batch.queue_size),
        );
        self.time(&format!("{name}.delay"), batch.delay);
        self.time(&format!("{name}.export_timeout"), batch.export_timeout);
    }

    fn otlp(&mut self, settings: &Settings) {
        let otlp = &settings.otlp;
        self.endpoint("otlp.endpoint", otlp.endpoint.as_deref());
        self.time("otlp.timeout", otlp.timeout);
        self.headers("otlp.headers", &otlp.headers);
        for (name, own) in [("traces", &otlp.traces), ("metrics", &otlp.metrics), ("logs", &otlp.logs)] {
            self.endpoint(&format!("otlp.{name}.endpoint"), own.endpoint.as_deref());
            self.time(&format!("otlp.{name}.timeout"), own.timeout.unwrap_or(otlp.timeout));
            self.headers(
                &format!("otlp.{name}.headers"),
                own.headers.as_ref().unwrap_or(&Headers::default()),
            );
        }
        for (place, receiver) in otlp.further.iter().enumerate() {
            self.endpoint(&format!("otlp.further[{place}].endpoint"), Some(&receiver.endpoint));
            self.time(&format!("otlp.further[{place}].timeout"), receiver.timeout);
            self.headers(&format!("otlp.further[{place}].headers"), &receiver.headers);
            if let Some(delay) = receiver.delay {
                self.time(&format!("otlp.further[{place}].delay"), delay);
            }
        }
    }

    fn endpoint(&mut self, name: &str, endpoint: Option<&str>) {
        let Some(endpoint) = endpoint else { return };
        let is_address = |url: &Url| matches!(url.scheme(), "http" | "https") && url.has_host();
        match Url::parse(endpoint).ok().filter(is_address) {
            Some(url) => self.that(
                url.username().is_empty() && url.password().is_none(),
                name,
                "***",
                "must not hold credentials; they belong into headers",
            ),
            None => self.that(false, name, endpoint, "is not an address such as http://collector:4318"),
        }
    }

    fn headers(&mut self, name: &str, headers: &Headers) {
        for (header, value) in &headers.0 {
            self.that(
                HeaderName::from_bytes(header.as_bytes()).is_ok() && HeaderValue::from_str(value).is_ok(),
                &format!("{name}.{header}"),
                "***",
                "is not a header that can be sent",
            );
        }
    }
}

/// What the OpenTelemetry API takes as a key of baggage.
fn is_token(key: &str) -> bool {
    !key.is_empty()
        && key.bytes().all(|byte| byte.is_ascii_graphic() && !b"(),/:;<=>?@[\\]{}\"".contains(&byte))
}
