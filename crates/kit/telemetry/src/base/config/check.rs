//! Rules within and between the settings, whatever they were read from.

use std::collections::HashSet;
use std::time::Duration;

use http::{HeaderName, HeaderValue};

use super::values::MAX_TIME;
use super::{BatchSettings, Complaint, Endpoint, Exporter, Headers, OtlpProtocol, Settings, SettingsError};

impl Settings {
    /// `Ok` if these settings can be used; else everything that is wrong with them.
    ///
    /// ```
    /// use waypost_telemetry::Settings;
    ///
    /// let mut settings = Settings::new("order-service");
    /// settings.traces.ratio = 7.0;
    /// let error = settings.check().unwrap_err();
    /// assert!(error.to_string().contains("traces.ratio"), "{error}");
    /// ```
    pub fn check(&self) -> Result<(), SettingsError> {
        SettingsError::check(self.complaints())
    }

    /// Every broken rule, for a program in whose settings these are a section.
    ///
    /// ```
    /// let mut settings = waypost_telemetry::Settings::new("order-service");
    /// assert!(settings.complaints().is_empty());
    /// settings.traces.batch.queue_size = 0;
    /// assert!(!settings.complaints().is_empty());
    /// ```
    pub fn complaints(&self) -> Vec<Complaint> {
        let mut check = Check { complaints: Vec::new() };
        check.that(!self.service_name.trim().is_empty(), "service_name", "", "must not be empty");
        check.that(
            (0.0..=1.0).contains(&self.traces.ratio),
            "traces.ratio",
            &self.traces.ratio.to_string(),
            "must be from 0 to 1",
        );
        check.sampling(self);
        check.exporters("traces.exporters", &self.traces.exporters);
        check.exporters("metrics.exporters", &self.metrics.exporters);
        check.exporters("logs.exporters", &self.logs.exporters);
        check.outputs(self);
        check.batch("traces.batch", &self.traces.batch);
        check.batch("logs.batch", &self.logs.batch);
        for (name, number) in [
            ("traces.memory_capacity", self.traces.memory_capacity),
            ("logs.memory_capacity", self.logs.memory_capacity),
            ("metrics.cardinality_limit", self.metrics.cardinality_limit),
            ("otlp.max_request_bytes", self.otlp.max_request_bytes),
        ] {
            check.that(number > 0, name, "0", "must be at least 1");
        }
        check.views(self);
        check.that(!self.metrics.interval.is_zero(), "metrics.interval", "0s", "must be longer than nothing");
        check.time("metrics.interval", self.metrics.interval);
        check.time("flush_timeout", self.flush_timeout);
        check.time("metrics.export_timeout", self.metrics.export_timeout);
        check.otlp(self);
        if let Err(reason) = super::log_filter::check_filter(&self.logs.filter) {
            check.that(false, "logs.filter", &self.logs.filter, &reason);
        }
        for (name, keys) in [
            ("baggage.outbound", &self.baggage.outbound),
            ("baggage.span_attributes", &self.baggage.span_attributes),
        ] {
            for key in keys {
                check.that(is_token(key), name, key, "is not a key that baggage can have");
            }
        }
        check.complaints
    }
}

struct Check {
    complaints: Vec<Complaint>,
}

impl Check {
    fn that(&mut self, holds: bool, name: &str, value: &str, reason: &str) {
        if !holds {
            let reason = if value.is_empty() { reason.to_owned() } else { format!("{value:?}: {reason}") };
            self.complaints.push(Complaint::new(name, reason));
        }
    }

    fn time(&mut self, name: &str, value: Duration) {
        let text = waypost_settings::Duration::from(value).to_string();
        self.that(value <= MAX_TIME, name, &text, "must not be longer than a year");
    }

    fn sampling(&mut self, settings: &Settings) {
        let sampling = &settings.traces.sampling;
        for (place, rule) in sampling.rules.iter().enumerate() {
            let name = format!("traces.sampling.rules[{place}]");
            let ratio = rule.ratio.to_string();
            self.that(
                (0.0..=1.0).contains(&rule.ratio),
                &format!("{name}.ratio"),
                &ratio,
                "must be from 0 to 1",
            );
            let rate = rule.max_per_second.unwrap_or_default();
            self.that(
                (0.0..=1e6).contains(&rate),
                &format!("{name}.max_per_second"),
                &rate.to_string(),
                "must be from 0 to 1000000",
            );
        }
        let tail = &settings.traces.tail;
        let bytes = tail.max_bytes.to_string();
        self.that(tail.max_bytes >= 65_536, "traces.tail.max_bytes", &bytes, "must be at least 65536");
        self.time("traces.tail.max_age", tail.max_age);
        self.time("traces.tail.slow", tail.slow);
        self.time("traces.tail.rare_interval", tail.rare_interval);
        let debug = &sampling.debug_header;
        let header = debug.name.as_deref().unwrap_or("x");
        let is_name = HeaderName::from_bytes(header.as_bytes()).is_ok();
        self.that(is_name, "traces.sampling.debug_header.name", header, "is not the name of a header");
        let token = debug.token.as_ref().map_or("x", |token| token.expose().as_str());
        self.that(!token.is_empty(), "traces.sampling.debug_header.token", "", "must not be empty");
        let remote = &sampling.jaeger_remote;
        let name = "traces.sampling.jaeger_remote";
        self.that(
            Endpoint::parse(&remote.endpoint).is_ok() && remote.endpoint.starts_with("http://"),
            &format!("{name}.endpoint"),
            if remote.endpoint.contains('@') { "***" } else { &remote.endpoint },
            "is not an http:// address",
        );
        self.that(
            !remote.interval.is_zero(),
            &format!("{name}.interval"),
            "0s",
            "must be longer than nothing",
        );
        self.time(&format!("{name}.interval"), remote.interval);
        self.that(
            cfg!(feature = "jaeger-remote") || !settings.traces.sampler.asks_jaeger(),
            "traces.sampler",
            "jaeger_remote",
            "this program was built without the kit's feature `jaeger-remote`",
        );
    }

    fn views(&mut self, settings: &Settings) {
        for (place, view) in settings.metrics.views.iter().enumerate() {
            let name = |setting| format!("metrics.views[{place}].{setting}");
            let buckets = view.buckets.as_deref().unwrap_or_default();
            let are_bounds = buckets.iter().all(|bound| bound.is_finite())
                && buckets.iter().zip(buckets.iter().skip(1)).all(|(lower, upper)| lower < upper);
            let text = if are_bounds { String::new() } else { format!("{buckets:?}") };
            self.that(are_bounds, &name("buckets"), &text, "must be numbers that grow");
            let limit = view.cardinality_limit.unwrap_or(1);
            self.that(
                (1..usize::MAX).contains(&limit),
                &name("cardinality_limit"),
                "0",
                "must be at least 1",
            );
        }
    }

    fn outputs(&mut self, settings: &Settings) {
        for (name, exporters) in
            [("metrics.exporters", &settings.metrics.exporters), ("logs.exporters", &settings.logs.exporters)]
        {
            self.that(!exporters.contains(&Exporter::Zipkin), name, "zipkin", "takes spans alone");
        }
        let over_http = settings.traces.exporters.contains(&Exporter::Zipkin);
        self.endpoint("zipkin.endpoint", Some(settings.zipkin.endpoint.as_str()), over_http);
        self.time("zipkin.timeout", settings.zipkin.timeout);
        self.that(settings.otlp_file.max_bytes > 0, "otlp_file.max_bytes", "0", "must be at least 1");
        let files = &settings.otlp_file;
        let paths = [
            ("traces", &settings.traces.exporters, &files.traces),
            ("metrics", &settings.metrics.exporters, &files.metrics),
            ("logs", &settings.logs.exporters, &files.logs),
        ];
        let mut seen = HashSet::new();
        for (signal, exporters, path) in paths {
            let is_free = !exporters.contains(&Exporter::OtlpFile) || seen.insert(path);
            let name = format!("otlp_file.{signal}");
            self.that(is_free, &name, &path.display().to_string(), "is the file of another signal");
        }
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
        self.that(batch.queue_bytes > 0, &format!("{name}.queue_bytes"), "0", "must be at least 1");
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
        let signals = [
            ("traces", &otlp.traces, &settings.traces.exporters),
            ("metrics", &otlp.metrics, &settings.metrics.exporters),
            ("logs", &otlp.logs, &settings.logs.exporters),
        ];
        let over_http = |exporters: &[Exporter]| {
            exporters.iter().any(|exporter| matches!(exporter, Exporter::OtlpHttp | Exporter::OtlpHttpJson))
        };
        let common_over_http =
            signals.iter().any(|(_, own, exporters)| own.endpoint.is_none() && over_http(exporters));
        self.endpoint("otlp.endpoint", otlp.endpoint.as_deref(), common_over_http);
        self.time("otlp.timeout", otlp.timeout);
        self.headers("otlp.headers", &otlp.headers);
        self.key_pair("otlp", otlp.client_certificate.is_some(), otlp.client_key.is_some());
        for (name, own, exporters) in signals {
            let name = format!("otlp.{name}");
            self.endpoint(&format!("{name}.endpoint"), own.endpoint.as_deref(), over_http(exporters));
            self.time(&format!("{name}.timeout"), own.timeout.unwrap_or_default());
            self.headers(&format!("{name}.headers"), own.headers.as_ref().unwrap_or(&Headers::default()));
            let certificate = own.client_certificate.as_ref().or(otlp.client_certificate.as_ref());
            let key = own.client_key.as_ref().or(otlp.client_key.as_ref());
            if own.client_certificate.is_some() || own.client_key.is_some() {
                self.key_pair(&name, certificate.is_some(), key.is_some());
            }
        }
        for (place, receiver) in otlp.additional.iter().enumerate() {
            let name = format!("otlp.additional[{place}]");
            let over_http = receiver.protocol != OtlpProtocol::Grpc;
            self.endpoint(&format!("{name}.endpoint"), Some(&receiver.endpoint), over_http);
            self.time(&format!("{name}.timeout"), receiver.timeout);
            self.headers(&format!("{name}.headers"), &receiver.headers);
            self.time(&format!("{name}.delay"), receiver.delay.unwrap_or_default());
            self.key_pair(&name, receiver.client_certificate.is_some(), receiver.client_key.is_some());
        }
    }

    fn endpoint(&mut self, name: &str, endpoint: Option<&str>, over_http: bool) {
        let Some(text) = endpoint else { return };
        match Endpoint::parse(text) {
            Ok(endpoint) => self.that(
                endpoint.has_scheme() || !over_http,
                name,
                text,
                "needs http:// or https:// in front, unless it is for gRPC",
            ),
            // It may hold credentials.
            Err(reason) => self.that(false, name, if text.contains('@') { "***" } else { text }, reason),
        }
    }

    fn key_pair(&mut self, name: &str, certificate: bool, key: bool) {
        self.that(
            certificate == key,
            &format!("{name}.client_certificate"),
            "",
            "and client_key belong together; one of them is missing",
        );
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
