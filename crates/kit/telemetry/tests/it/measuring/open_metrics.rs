//! The page in OpenMetrics is one that a strict reader takes, and says the same as the older format.

use std::collections::BTreeSet;

use waypost_telemetry::metrics::{PrometheusPage, observe_runtime};
use waypost_telemetry::opentelemetry::KeyValue;
use waypost_telemetry::testing::TestTelemetry;

use crate::prometheus_page::exposition::{self, Exposition};

/// Reads a page in OpenMetrics by what it has in common with the older format; the rest is checked here.
fn read(page: &str) -> Result<Exposition, String> {
    let body = page.strip_suffix("# EOF\n").ok_or("it does not end in EOF")?;
    let mut plain = String::new();
    let mut families = BTreeSet::new();
    let mut counters = BTreeSet::new();
    for line in body.lines() {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        match words[..] {
            ["#", "HELP", name, _] => {
                // Which type it has, the line behind it says.
                let line = line.replace("\\\"", "\"").replace(&format!(" {name} "), &format!(" @{name}@ "));
                plain.push_str(&(line + "\n"));
            }
            ["#", "TYPE", name, kind] => {
                if !families.insert(name.to_owned()) {
                    return Err(format!("the family {name} stands twice"));
                }
                let (older, kind) = match kind {
                    "counter" => (format!("{name}_total"), "counter"),
                    "info" => (format!("{name}_info"), "gauge"),
                    other => (name.to_owned(), other),
                };
                if kind == "counter" {
                    counters.insert(older.clone());
                }
                plain = plain.replace(&format!("@{name}@"), &older);
                plain.extend(["# TYPE ", &older, " ", kind, "\n"]);
            }
            ["#", ..] => return Err(format!("a remark: {line}")),
            _ => {
                let (sample, exemplar) = line.split_once(" # ").map_or((line, None), |(a, b)| (a, Some(b)));
                let name = sample.split(['{', ' ']).next().unwrap_or_default();
                if let Some(exemplar) = exemplar {
                    let (ids, rest) = exemplar.split_once("} ").ok_or(format!("no exemplar: {line}"))?;
                    let numbers: Vec<f64> =
                        rest.split(' ').filter_map(|number| number.parse().ok()).collect();
                    let may_have = name.ends_with("_bucket") || counters.contains(name);
                    if !may_have || ids.len() > 128 || numbers.len() != 2 {
                        return Err(format!("not an exemplar: {line}"));
                    }
                }
                // Bounds are real numbers; the older page writes them short.
                let is_bucket = name.ends_with("_bucket");
                plain.push_str(&if is_bucket { sample.replace(".0\"}", "\"}") } else { sample.to_owned() });
                plain.push('\n');
            }
        }
    }
    exposition::read(&plain)
}

fn all(exposition: &Exposition) -> Vec<String> {
    let families = exposition.families.iter();
    let of_family = |family: &exposition::Family| {
        let samples = family.samples.iter();
        samples
            .map(|sample| format!("{} {:?} {:?} = {}", family.kind, sample.name, sample.labels, sample.value))
            .collect()
    };
    let mut all: Vec<String> = families.flat_map(|family| -> Vec<String> { of_family(family) }).collect();
    all.sort();
    all
}

#[tokio::test]
async fn both_formats_say_the_same() {
    let telemetry = TestTelemetry::new("s");
    let meter = telemetry.meter();
    let hostile =
        [KeyValue::new("a b", "x\"} 1\n# EOF\\\0"), KeyValue::new("le", "7"), KeyValue::new("é", "")];
    telemetry.span("place").in_scope(|| {
        meter.u64_counter("orders").with_description("a \"b\"\\\nc").build().add(1, &hostile);
        meter.f64_counter("seconds").with_unit("s").build().add(0.5, &[]);
        meter.f64_histogram("size").with_boundaries(vec![-1.0, 0.5, 1.0]).build().record(0.7, &hostile);
        meter.u64_histogram("bare").with_boundaries(vec![]).build().record(1, &[]);
        meter.i64_up_down_counter("open").build().add(-3, &[]);
        meter.f64_gauge("share").with_unit("1").build().record(f64::NAN, &[]);
    });
    observe_runtime(&telemetry, "main", &tokio::runtime::Handle::current());
    let handles = [telemetry.handle().clone()];
    let text = PrometheusPage::new().render(&handles);
    let page = PrometheusPage::new().open_metrics(true).render(&handles);
    let open = read(&page).unwrap_or_else(|reason| panic!("{reason}\n{page}"));
    let older = exposition::read(&text).unwrap_or_else(|reason| panic!("{reason}\n{text}"));
    let is_steady = |line: &String| !line.contains("waypost_tokio") && !line.contains("NaN");
    let (open, older): (Vec<_>, Vec<_>) = (
        all(&open).into_iter().filter(is_steady).collect(),
        all(&older).into_iter().filter(is_steady).collect(),
    );
    assert_eq!(open, older, "{page}");
    assert!(page.contains("size_bucket{") && page.matches(" # {trace_id=").count() >= 4, "{page}");
}

#[test]
fn a_family_that_only_one_format_can_have_is_left_out() {
    let telemetry = TestTelemetry::new("s");
    telemetry.meter().u64_counter("calls").build().add(1, &[]);
    telemetry.meter().u64_gauge("calls").build().record(1, &[]);
    let page = PrometheusPage::new().open_metrics(true).render(&[telemetry.handle().clone()]);
    assert!(read(&page).is_ok(), "{page}");
    assert_eq!(page.matches("# TYPE calls ").count(), 1, "{page}");
}
