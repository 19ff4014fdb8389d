//! Metrics of several handles as one page in Prometheus' text format 0.0.4 or as OpenMetrics 1.0.
//!
//! Prometheus refuses a whole page for one bad line, so the page keeps these, whatever instruments and attributes
//! there are: each family has one TYPE line and stands in one piece, no series and no label stands twice, no two
//! families share a sample's name, buckets only grow and end in the count. What would break that is left out: the
//! first one stays. A comment at the end of the page names what was left out, and one line of the log says so once.
//!
//! By the specification's page on Prometheus: every series says its scope (`otel_scope_*`), `target_info` holds the
//! attributes of each resource. Beside that every series has the label `service_name`, since several handles share a
//! page. Exemplars stand in OpenMetrics alone: the older format has no place for them. Left out: exponential histograms.

mod format;
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

use crate::core::readings::exemplars::{Exemplar, Exemplars, MetricExemplars};
pub(crate) use format::Format;
use format::{Line, line};
use labels::{Labels, escaped};
use names::{Kind, family_name, label_name};

/// One reading, under the service name of its resource.
pub(crate) fn render_reading(reading: &ResourceMetrics) -> String {
    let service = reading.resource().get(&Key::from_static_str("service.name"));
    let mut page = Page::new(PageOptions::default());
    let service = service.map(|name| name.to_string()).unwrap_or_default();
    page.add(reading, &Exemplars::default(), &service, None);
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
    pub(crate) format: Format,
}

impl Default for PageOptions {
    fn default() -> Self {
        Self { scope_labels: true, target_info: true, format: Format::Text }
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

    /// Adds a reading and what was kept beside its points. `instance` tells services of one name apart.
    pub(crate) fn add(
        &mut self,
        reading: &ResourceMetrics,
        exemplars: &Exemplars,
        service: &str,
        instance: Option<&str>,
    ) {
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
                let kept = match self.options.format {
                    Format::Text => MetricExemplars::default(),
                    Format::OpenMetrics => exemplars.of(scope.scope(), metric.name()),
                };
                match metric.data() {
                    AggregatedMetrics::F64(data) => self.add_data(metric, data, &kept, &origin),
                    AggregatedMetrics::U64(data) => self.add_data(metric, data, &kept, &origin),
                    AggregatedMetrics::I64(data) => self.add_data(metric, data, &kept, &origin),
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
        let format = self.options.format;
        let (name, kind) = match format {
            Format::Text => ("target_info", Kind::Gauge),
            Format::OpenMetrics => ("target", Kind::Info),
        };
        if let Some(family) = self.family(name.to_owned(), "Attributes of the resource", kind)
            && family.series.insert(labels.clone())
        {
            line(&mut family.lines, format, &Line::new("target_info", &labels), &1);
        }
    }

    fn add_data<T: Display + Copy>(
        &mut self,
        metric: &Metric,
        data: &MetricData<T>,
        kept: &MetricExemplars,
        origin: &Labels,
    ) {
        match data {
            MetricData::Gauge(gauge) => {
                let points =
                    gauge.data_points().map(|point| (origin.with(point.attributes()), point.value(), None));
                self.add_points(metric, Kind::Gauge, points);
            }
            MetricData::Sum(sum) if sum.temporality() == Temporality::Cumulative => {
                let kind = if sum.is_monotonic() { Kind::Counter } else { Kind::UpDown };
                let points = sum.data_points().map(|point| {
                    let exemplar =
                        kept.of_point(point.attributes(), None).first().map(|(_, exemplar)| *exemplar);
                    (origin.with(point.attributes()), point.value(), exemplar)
                });
                self.add_points(metric, kind, points);
            }
            MetricData::Histogram(histogram) if histogram.temporality() == Temporality::Cumulative => {
                self.add_histogram(metric, histogram, kept, origin);
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
        points: impl Iterator<Item = (Labels, T, Option<Exemplar>)>,
    ) {
        let name = family_name(metric.name(), metric.unit(), kind);
        let format = self.options.format;
        // In OpenMetrics a counter's family does not have the end that its samples have.
        let stem =
            name.strip_suffix(TOTAL).filter(|_| format == Format::OpenMetrics && kind == Kind::Counter);
        let family = stem.unwrap_or(&name).to_owned();
        let Some(family) = self.family(family, metric.description(), kind) else { return };
        let mut has_twice = false;
        for (labels, value, exemplar) in points {
            let labels = labels.render();
            if family.series.insert(labels.clone()) {
                let exemplar = exemplar.filter(|_| kind == Kind::Counter);
                line(&mut family.lines, format, &Line { exemplar, ..Line::new(&name, &labels) }, &value);
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
        kept: &MetricExemplars,
        origin: &Labels,
    ) {
        let name = family_name(metric.name(), metric.unit(), Kind::Histogram);
        let format = self.options.format;
        let Some(family) = self.family(name.clone(), metric.description(), Kind::Histogram) else { return };
        let mut has_twice = false;
        for point in histogram.data_points() {
            let labels = origin.with_all_but_le(point.attributes()).render();
            if family.series.insert(labels.clone()) {
                let kept = kept.of_point(point.attributes(), None);
                add_histogram_point(&mut family.lines, format, (&name, &labels), point, &kept);
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
        let suffixes: &[&str] = match kind {
            Kind::Histogram => &["", "_bucket", "_sum", "_count"],
            Kind::Info => &["", "_info"],
            Kind::Counter if self.options.format == Format::OpenMetrics => &["", TOTAL],
            _ => &[""],
        };
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
        let help = self.options.format.escaped_help(description);
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
        match self.options.format {
            Format::Text => {
                for reason in &self.left_out {
                    let _ = writeln!(page, "# left out: {reason}");
                }
            }
            // It allows no remarks; the log has them.
            Format::OpenMetrics => page.push_str("# EOF\n"),
        }
        page
    }
}

/// The end of a counter's name.
const TOTAL: &str = "_total";

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
    format: Format,
    (name, labels): (&str, &str),
    point: &HistogramDataPoint<T>,
    kept: &[(usize, Exemplar)],
) {
    let bucket = format!("{name}_bucket");
    let exemplar = |place| kept.iter().find(|(bucket, _)| *bucket == place).map(|(_, exemplar)| *exemplar);
    let (mut total, mut buckets) = (0, 0);
    for (place, (bound, count)) in point.bounds().zip(point.bucket_counts()).enumerate() {
        total += count;
        buckets = place + 1;
        let bound = format.bound(bound);
        let exemplar = exemplar(place);
        line(lines, format, &Line { name: &bucket, labels, bound: Some(&bound), exemplar }, &total);
    }
    // A histogram without bounds has no buckets either; the last one is always everything.
    let last = Line { name: &bucket, labels, bound: Some("+Inf"), exemplar: exemplar(buckets) };
    line(lines, format, &last, &point.count());
    line(lines, format, &Line::new(&format!("{name}_sum"), labels), &point.sum());
    line(lines, format, &Line::new(&format!("{name}_count"), labels), &point.count());
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
