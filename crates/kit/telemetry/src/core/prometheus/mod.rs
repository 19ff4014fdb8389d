//! Metrics of several handles as one page in Prometheus' text format, 0.0.4.
//!
//! Prometheus refuses a whole page for one bad line, so the page keeps these, whatever instruments and attributes
//! there are: each family has one TYPE line and stands in one piece, no series and no label stands twice, no two
//! families share a sample's name, buckets only grow and end in the count. What would break that is left out: the
//! first one stays. A comment at the end of the page names what was left out, and one line of the log says so once.
//!
//! By the specification's page on Prometheus: every series says its scope (`otel_scope_*`), `target_info` holds the
//! attributes of each resource. Beside that every series has the label `service_name`, since several handles share a
//! page. Left out: exemplars and exponential histograms, which this format cannot show.

mod labels;
mod names;
#[cfg(test)]
mod tests;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt::{Display, Write as _};
use std::sync::{LazyLock, Mutex, PoisonError};

use opentelemetry::{InstrumentationScope, Key};
use opentelemetry_sdk::metrics::Temporality;
use opentelemetry_sdk::metrics::data::{
    AggregatedMetrics, Histogram, HistogramDataPoint, Metric, MetricData, ResourceMetrics, ScopeMetrics,
};

use labels::{Labels, escaped};
use names::{Kind, family_name, label_name};

/// One reading, under the service name of its resource.
pub(crate) fn render_reading(reading: &ResourceMetrics) -> String {
    let service = reading.resource().get(&Key::from_static_str("service.name"));
    let mut page = Page::new(PageOptions::default());
    page.add(reading, &service.map(|name| name.to_string()).unwrap_or_default(), None);
    page.render()
}

/// The value of the one series of a rendered page with this name and at least these labels, for tests.
pub fn sample(page: &str, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let mut found = page.lines().filter_map(|line| {
        let (series, value) = line.rsplit_once(' ')?;
        let (given, set) = series.split_once('{').unwrap_or((series, "}"));
        let has = |(key, value): &(&str, &str)| {
            let label = format!("{key}=\"{}\"", escaped(value));
            set.starts_with(&label) || set.contains(&format!(",{label}"))
        };
        (given == name && labels.iter().all(has)).then(|| value.parse::<f64>().ok())?
    });
    let value = found.next();
    if found.next().is_some() { None } else { value }
}

/// What a page shows beside the metrics.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PageOptions {
    pub(crate) scope_labels: bool,
    pub(crate) target_info: bool,
}

impl Default for PageOptions {
    fn default() -> Self {
        Self { scope_labels: true, target_info: true }
    }
}

#[derive(Debug)]
pub(crate) struct Page {
    options: PageOptions,
    families: BTreeMap<String, Family>,
    /// The family that each sample's name belongs to.
    samples: HashMap<String, String>,
    left_out: BTreeSet<String>,
}

#[derive(Debug)]
struct Family {
    help: String,
    kind: Kind,
    lines: String,
    /// Labels of the series in `lines`.
    series: HashSet<String>,
}

impl Page {
    pub(crate) fn new(options: PageOptions) -> Self {
        let (families, samples, left_out) = (BTreeMap::new(), HashMap::new(), BTreeSet::new());
        Self { options, families, samples, left_out }
    }

    /// Adds a reading. `instance` tells services of one name apart.
    pub(crate) fn add(&mut self, reading: &ResourceMetrics, service: &str, instance: Option<&str>) {
        if self.options.target_info {
            self.add_target(reading);
        }
        let mut origin = Labels::default();
        origin.add("service.name", service);
        if let Some(instance) = instance {
            origin.add("service.instance.id", instance);
        }
        // The provider keeps scopes in a hash map; who comes first must not change from page to page.
        let mut scopes: Vec<&ScopeMetrics> = reading.scope_metrics().collect();
        scopes.sort_by_key(|scope| {
            let scope = scope.scope();
            (scope.name(), scope.version(), scope.schema_url())
        });
        for scope in scopes {
            let mut origin = origin.clone();
            if self.options.scope_labels {
                add_scope(&mut origin, scope.scope());
            }
            for metric in scope.metrics() {
                match metric.data() {
                    AggregatedMetrics::F64(data) => self.add_data(metric, data, &origin),
                    AggregatedMetrics::U64(data) => self.add_data(metric, data, &origin),
                    AggregatedMetrics::I64(data) => self.add_data(metric, data, &origin),
                }
            }
        }
    }

    /// `target_info`: the attributes of the resource and nothing else.
    fn add_target(&mut self, reading: &ResourceMetrics) {
        let mut labels = Labels::default();
        for (key, value) in reading.resource() {
            labels.add(key.as_str(), value.as_str());
        }
        let labels = labels.render();
        if labels.is_empty() {
            return;
        }
        // Two handles may have one resource; that is no conflict.
        if let Some(family) = self.family("target_info".to_owned(), "Attributes of the resource", Kind::Gauge)
            && family.series.insert(labels.clone())
        {
            line(&mut family.lines, "target_info", &labels, None, &1);
        }
    }

    fn add_data<T: Display + Copy>(&mut self, metric: &Metric, data: &MetricData<T>, origin: &Labels) {
        match data {
            MetricData::Gauge(gauge) => {
                let points =
                    gauge.data_points().map(|point| (origin.with(point.attributes()), point.value()));
                self.add_points(metric, Kind::Gauge, points);
            }
            MetricData::Sum(sum) if sum.temporality() == Temporality::Cumulative => {
                let kind = if sum.is_monotonic() { Kind::Counter } else { Kind::UpDown };
                let points = sum.data_points().map(|point| (origin.with(point.attributes()), point.value()));
                self.add_points(metric, kind, points);
            }
            MetricData::Histogram(histogram) if histogram.temporality() == Temporality::Cumulative => {
                self.add_histogram(metric, histogram, origin);
            }
            MetricData::ExponentialHistogram(_) => {
                self.leave_out(metric.name(), "an exponential histogram, which this format cannot show");
            }
            MetricData::Sum(_) | MetricData::Histogram(_) => {
                self.leave_out(metric.name(), "not cumulative");
            }
        }
    }

    fn add_points<T: Display>(
        &mut self,
        metric: &Metric,
        kind: Kind,
        points: impl Iterator<Item = (Labels, T)>,
    ) {
        let name = family_name(metric.name(), metric.unit(), kind);
        let Some(family) = self.family(name.clone(), metric.description(), kind) else { return };
        let mut has_twice = false;
        for (labels, value) in points {
            let labels = labels.render();
            if family.series.insert(labels.clone()) {
                line(&mut family.lines, &name, &labels, None, &value);
            } else {
                has_twice = true;
            }
        }
        if has_twice {
            self.leave_out(metric.name(), TWICE);
        }
    }

    fn add_histogram<T: Display + Copy>(
        &mut self,
        metric: &Metric,
        histogram: &Histogram<T>,
        origin: &Labels,
    ) {
        let name = family_name(metric.name(), metric.unit(), Kind::Histogram);
        let Some(family) = self.family(name.clone(), metric.description(), Kind::Histogram) else { return };
        let mut has_twice = false;
        for point in histogram.data_points() {
            let labels = origin.with_all_but_le(point.attributes()).render();
            if family.series.insert(labels.clone()) {
                add_histogram_point(&mut family.lines, &name, &labels, point);
            } else {
                has_twice = true;
            }
        }
        if has_twice {
            self.leave_out(metric.name(), TWICE);
        }
    }

    /// The family of this name, new or known; `None` if the name is taken by something of another type.
    fn family(&mut self, name: String, description: &str, kind: Kind) -> Option<&mut Family> {
        let suffixes: &[&str] =
            if kind == Kind::Histogram { &["", "_bucket", "_sum", "_count"] } else { &[""] };
        let samples: Vec<String> = suffixes.iter().map(|suffix| format!("{name}{suffix}")).collect();
        let is_taken = |sample: &String| self.samples.get(sample).is_some_and(|family| *family != name);
        let is_known = self.families.get(&name);
        if is_known.is_some_and(|family| family.kind.as_str() != kind.as_str())
            || samples.iter().any(is_taken)
        {
            self.leave_out(&name, "its name is taken by a metric of another type");
            return None;
        }
        for sample in samples {
            self.samples.entry(sample).or_insert_with(|| name.clone());
        }
        let help = escaped_help(description);
        match self.families.entry(name) {
            Entry::Vacant(free) => {
                Some(free.insert(Family { help, kind, lines: String::new(), series: HashSet::new() }))
            }
            Entry::Occupied(known) => {
                if known.get().help != help {
                    warn_once(known.key(), "has several descriptions; the first is shown");
                }
                Some(known.into_mut())
            }
        }
    }

    fn leave_out(&mut self, name: &str, reason: &str) {
        let name = label_name(name);
        warn_once(&name, reason);
        self.left_out.insert(format!("{name}: {reason}"));
    }

    pub(crate) fn render(&self) -> String {
        let mut page = String::new();
        for (name, family) in &self.families {
            if family.lines.is_empty() {
                continue;
            }
            if !family.help.is_empty() {
                let _ = writeln!(page, "# HELP {name} {}", family.help);
            }
            let _ = writeln!(page, "# TYPE {name} {}", family.kind.as_str());
            page.push_str(&family.lines);
        }
        for reason in &self.left_out {
            let _ = writeln!(page, "# left out: {reason}");
        }
        page
    }
}

const TWICE: &str = "several of its series have the same name and labels; the first is shown";

/// Attributes of the scope that clash with its name, version or schema URL are dropped, as the specification says.
fn add_scope(labels: &mut Labels, scope: &InstrumentationScope) {
    labels.add("otel_scope_name", scope.name());
    labels.add("otel_scope_version", scope.version().unwrap_or_default());
    labels.add("otel_scope_schema_url", scope.schema_url().unwrap_or_default());
    for attribute in scope.attributes() {
        let key = format!("otel_scope_{}", attribute.key);
        let label = label_name(&key);
        if !matches!(label.as_str(), "otel_scope_name" | "otel_scope_version" | "otel_scope_schema_url") {
            labels.add(&key, attribute.value.as_str());
        }
    }
}

fn add_histogram_point<T: Display + Copy>(
    lines: &mut String,
    name: &str,
    labels: &str,
    point: &HistogramDataPoint<T>,
) {
    let bucket = format!("{name}_bucket");
    let mut total = 0;
    for (bound, count) in point.bounds().zip(point.bucket_counts()) {
        total += count;
        line(lines, &bucket, labels, Some(&number(&bound)), &total);
    }
    // A histogram without bounds has no buckets either; the last one is always everything.
    line(lines, &bucket, labels, Some("+Inf"), &point.count());
    line(lines, &format!("{name}_sum"), labels, None, &point.sum());
    line(lines, &format!("{name}_count"), labels, None, &point.count());
}

fn line(lines: &mut String, name: &str, labels: &str, bound: Option<&str>, value: &impl Display) {
    let value = number(value);
    let _ = match (labels, bound) {
        ("", None) => writeln!(lines, "{name} {value}"),
        ("", Some(bound)) => writeln!(lines, "{name}{{le=\"{bound}\"}} {value}"),
        (labels, None) => writeln!(lines, "{name}{{{labels}}} {value}"),
        (labels, Some(bound)) => writeln!(lines, "{name}{{{labels},le=\"{bound}\"}} {value}"),
    };
}

/// Rust writes `inf` and `NaN` where the format wants `+Inf` and `NaN`.
fn number(value: &impl Display) -> String {
    match value.to_string().as_str() {
        "inf" => "+Inf".to_owned(),
        "-inf" => "-Inf".to_owned(),
        other => other.to_owned(),
    }
}

fn escaped_help(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\n', "\\n").replace('\0', "\u{fffd}")
}

/// Metrics that one line of the log was written about.
const MAX_WARNED: usize = 256;
static WARNED: LazyLock<Mutex<HashSet<String>>> = LazyLock::new(Mutex::default);

fn warn_once(metric: &str, reason: &str) {
    let mut warned = WARNED.lock().unwrap_or_else(PoisonError::into_inner);
    if warned.len() < MAX_WARNED && warned.insert(format!("{metric}: {reason}")) {
        drop(warned);
        tracing::warn!(metric, "the Prometheus page cannot show this metric whole: {reason}");
    }
}
