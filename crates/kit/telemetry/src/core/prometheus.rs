//! Metrics of several handles as one page in Prometheus' text format.
//!
//! Each family has one HELP and one TYPE line, however many handles have it; their series differ by the label
//! `service_name`. Names follow the OpenTelemetry rules for Prometheus: dots become underscores, the unit is
//! spelled out at the end, counters end in `_total`.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};

use opentelemetry::{Key, KeyValue};
use opentelemetry_sdk::metrics::data::{
    AggregatedMetrics, Histogram, Metric, MetricData, ResourceMetrics, ScopeMetrics,
};

/// One reading, under the service name of its resource.
pub(crate) fn render_reading(reading: &ResourceMetrics) -> String {
    let service = reading.resource().get(&Key::from_static_str("service.name"));
    let mut page = Page::default();
    page.add(reading, &service.map(|name| name.to_string()).unwrap_or_default());
    page.render()
}

/// The value of the one series of a rendered page with this name and at least these labels, for tests.
pub fn sample(page: &str, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let mut found = page.lines().filter_map(|line| {
        let (series, value) = line.rsplit_once(' ')?;
        let (given, set) = series.split_once('{').unwrap_or((series, "}"));
        let has = |(key, value): &(&str, &str)| set.contains(&format!("{key}=\"{}\"", escaped(value)));
        (given == name && labels.iter().all(has)).then(|| value.parse::<f64>().ok())?
    });
    let value = found.next();
    if found.next().is_some() { None } else { value }
}

#[derive(Debug, Default)]
pub(crate) struct Page {
    families: BTreeMap<String, Family>,
}

#[derive(Debug)]
struct Family {
    help: String,
    kind: &'static str,
    series: String,
}

impl Page {
    pub(crate) fn add(&mut self, reading: &ResourceMetrics, service: &str) {
        for metric in reading.scope_metrics().flat_map(ScopeMetrics::metrics) {
            match metric.data() {
                AggregatedMetrics::F64(data) => self.add_data(metric, data, service),
                AggregatedMetrics::U64(data) => self.add_data(metric, data, service),
                AggregatedMetrics::I64(data) => self.add_data(metric, data, service),
            }
        }
    }

    fn add_data<T: Display + Copy>(&mut self, metric: &Metric, data: &MetricData<T>, service: &str) {
        match data {
            MetricData::Gauge(gauge) => {
                let Some((name, series)) = self.family(metric, "gauge") else { return };
                for point in gauge.data_points() {
                    line(series, &name, "", service, point.attributes(), None, &point.value());
                }
            }
            MetricData::Sum(sum) => {
                let kind = if sum.is_monotonic() { "counter" } else { "gauge" };
                let Some((name, series)) = self.family(metric, kind) else { return };
                for point in sum.data_points() {
                    line(series, &name, "", service, point.attributes(), None, &point.value());
                }
            }
            MetricData::Histogram(histogram) => {
                let Some((name, series)) = self.family(metric, "histogram") else { return };
                add_histogram(series, &name, histogram, service);
            }
            // The kit makes no exponential histograms, and the text format cannot show them.
            MetricData::ExponentialHistogram(_) => {}
        }
    }

    /// Name and series of a family; `None` if another handle has it with another type.
    fn family(&mut self, metric: &Metric, kind: &'static str) -> Option<(String, &mut String)> {
        let name = family_name(metric.name(), metric.unit(), kind);
        let family = self.families.entry(name.clone()).or_insert_with(|| Family {
            help: metric.description().replace('\\', "\\\\").replace('\n', "\\n"),
            kind,
            series: String::new(),
        });
        (family.kind == kind).then_some((name, &mut family.series))
    }

    pub(crate) fn render(&self) -> String {
        let mut page = String::new();
        for (name, family) in &self.families {
            let _ = write!(page, "# HELP {name} {}\n# TYPE {name} {}\n", family.help, family.kind);
            page.push_str(&family.series);
        }
        page
    }
}

fn add_histogram<T: Display + Copy>(
    series: &mut String,
    name: &str,
    histogram: &Histogram<T>,
    service: &str,
) {
    for point in histogram.data_points() {
        let mut total = 0;
        let bounds = point.bounds().map(|bound| number(&bound)).chain(["+Inf".to_owned()]);
        for (bound, count) in bounds.zip(point.bucket_counts()) {
            total += count;
            line(series, name, "_bucket", service, point.attributes(), Some(&bound), &total);
        }
        line(series, name, "_sum", service, point.attributes(), None, &point.sum());
        line(series, name, "_count", service, point.attributes(), None, &point.count());
    }
}

fn line<'a>(
    series: &mut String,
    name: &str,
    suffix: &str,
    service: &str,
    attributes: impl Iterator<Item = &'a KeyValue>,
    bound: Option<&str>,
    value: &impl Display,
) {
    let _ = write!(series, "{name}{suffix}{{service_name=\"{}\"", escaped(service));
    for attribute in attributes {
        let (label, text) = (sanitized(attribute.key.as_str()), attribute.value.as_str());
        let _ = write!(series, ",{label}=\"{}\"", escaped(&text));
    }
    if let Some(bound) = bound {
        let _ = write!(series, ",le=\"{bound}\"");
    }
    let _ = writeln!(series, "}} {}", number(value));
}

/// Rust writes `inf` and `NaN` where the format wants `+Inf` and `NaN`.
fn number(value: &impl Display) -> String {
    match value.to_string().as_str() {
        "inf" => "+Inf".to_owned(),
        "-inf" => "-Inf".to_owned(),
        other => other.to_owned(),
    }
}

fn family_name(name: &str, unit: &str, kind: &str) -> String {
    let mut family = sanitized(name);
    let unit = match unit {
        "s" => "seconds",
        "ms" => "milliseconds",
        "By" => "bytes",
        "1" if kind == "gauge" => "ratio",
        unit if unit.starts_with('{') || unit == "1" => "",
        unit => unit,
    };
    let unit = sanitized(unit);
    if !unit.is_empty() && !family.ends_with(&unit) {
        family = format!("{family}_{unit}");
    }
    if kind == "counter" && !family.ends_with("_total") {
        family.push_str("_total");
    }
    family
}

fn sanitized(name: &str) -> String {
    let mut clean: String =
        name.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '_' }).collect();
    if clean.starts_with(|first: char| first.is_ascii_digit()) {
        clean.insert(0, '_');
    }
    clean
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_rules_for_prometheus() {
        let cases = [
            (("http.server.request.duration", "s", "histogram"), "http_server_request_duration_seconds"),
            (("process.memory.usage", "By", "gauge"), "process_memory_usage_bytes"),
            (("process.cpu.time", "s", "counter"), "process_cpu_time_seconds_total"),
            (("otel.sdk.span.live", "{span}", "gauge"), "otel_sdk_span_live"),
            (("jobs_total", "1", "counter"), "jobs_total"),
            (("2xx", "", "counter"), "_2xx_total"),
        ];
        for ((name, unit, kind), expected) in cases {
            assert_eq!(family_name(name, unit, kind), expected);
        }
    }

    #[test]
    fn what_an_attribute_holds_cannot_break_the_line() {
        let mut series = String::new();
        let hostile = KeyValue::new("a b", "x\"} 1\n# EOF\\");
        line(&mut series, "jobs", "", "s", [&hostile].into_iter(), None, &1);
        assert_eq!(series, "jobs{service_name=\"s\",a_b=\"x\\\"} 1\\n# EOF\\\\\"} 1\n");
    }
}
