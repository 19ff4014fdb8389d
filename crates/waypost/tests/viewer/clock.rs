//! Clocks that are wrong: spans at the beginning and at the end of what a time can be, without and with less than no
//! duration, come back exactly through every door, before and after a restart, and spoil nothing.

use serde_json::{Value, json};
use waypost_testkit::{Client, Viewer};

use crate::browser::Scene;
use crate::otlp::{MILLISECOND, ago, send, service, span};
use crate::{BINARY, account, shop};

const YEAR_2026: u64 = 1_790_000_000_123_456_789;
const YEAR_2100: u64 = 4_102_444_800_123_456_789;
const SECOND: u64 = 1_000 * MILLISECOND;

/// Name, start, end; each is a trace of its own, numbered from 1.
const SPANS: [(&str, u64, u64); 9] = [
    ("at the beginning of 1970", 0, 0),
    ("one nanosecond later", 1, 2),
    ("all of time", 0, u64::MAX),
    ("within 1970", 7 * SECOND + 1, 8 * SECOND),
    ("in 2100", YEAR_2100, YEAR_2100 + 1_500 * MILLISECOND + 1),
    ("no duration", YEAR_2026, YEAR_2026),
    ("backwards", YEAR_2026 + 7, YEAR_2026 - SECOND),
    ("at the end of time", u64::MAX, u64::MAX),
    ("from the end to the beginning", u64::MAX, 0),
];

fn trace(place: usize) -> String {
    format!("{:032x}", place + 1)
}

/// A span whose end may be before its start.
fn from_to(trace: u128, id: u64, parent: u64, name: &str, kind: u32, (start, end): (u64, u64)) -> Value {
    let mut span = span(trace, id, parent, name, kind, start, 0);
    span["endTimeUnixNano"] = json!(end.to_string());
    span
}

async fn get(client: &Client, path: &str) -> Value {
    let answer = client.get(path).await.unwrap();
    assert_eq!(answer.status, 200, "{path}: {}", String::from_utf8_lossy(&answer.bytes));
    answer.json
}

/// The only span of an OTLP document.
fn only(document: &Value) -> &Value {
    &document["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
}

/// A time of OTLP JSON, where zero may be left out.
fn nanoseconds(span: &Value, key: &str) -> u64 {
    span[key].as_str().map_or(0, |text| text.parse().unwrap())
}

/// The trace as every door gives it is what was sent, in that door's units.
async fn assert_given_back(viewer: &Viewer, place: usize) {
    let (ui, zipkin, id) = (viewer.client("viewer"), viewer.client("zipkin"), trace(place));
    let (name, start, end) = SPANS[place];
    let took = end.saturating_sub(start);

    let own = get(&ui, &format!("/api/v1/traces/{id}")).await;
    assert_eq!((&own["start"], &own["duration"]), (&json!(start.to_string()), &json!(took)), "{name}");
    assert_eq!((&own["rows"]["start"], &own["rows"]["duration"]), (&json!([0]), &json!([took])), "{name}");
    let repairs = if end < start { json!([{"what": "negative_duration", "row": 0}]) } else { json!([]) };
    assert_eq!(own["repairs"], repairs, "{name}");
    let parts = own["critical_path"]["parts"].as_array().unwrap();
    assert_eq!(parts.iter().map(|part| part["time"].as_u64().unwrap()).sum::<u64>(), took, "{name}");
    let details = get(&ui, &format!("/api/v1/traces/{id}/spans/1")).await;
    let details = &details["spans"][0];
    let times = (json!(start.to_string()), json!(end.to_string()));
    assert_eq!((&details["start"], &details["end"]), (&times.0, &times.1), "{name}");

    let export = get(&ui, &format!("/api/v1/traces/{id}/otlp")).await;
    let v3 = get(&ui, &format!("/api/v3/traces/{id}")).await["result"].take();
    for span in [only(&export), only(&v3)] {
        let times = (nanoseconds(span, "startTimeUnixNano"), nanoseconds(span, "endTimeUnixNano"));
        assert_eq!(times, (start, end), "{name}");
    }

    let legacy = get(&ui, &format!("/api/traces/{id}")).await;
    let legacy = &legacy["data"][0]["spans"][0];
    let expected = (json!(start / 1_000), json!(took / 1_000));
    assert_eq!((&legacy["startTime"], &legacy["duration"]), (&expected.0, &expected.1), "{name}");

    // Zipkin leaves out what is zero, and rounds up what is less than a microsecond.
    let number = |number: u64| if number == 0 { Value::Null } else { json!(number) };
    let rounded = if took == 0 { 0 } else { (took / 1_000).max(1) };
    let spans = get(&zipkin, &format!("/api/v2/trace/{id}")).await;
    let expected = (number(start / 1_000), number(rounded));
    assert_eq!((&spans[0]["timestamp"], &spans[0]["duration"]), (&expected.0, &expected.1), "{name}");
}

/// A search up to its very nanosecond finds the span, and one beside it does not.
async fn assert_found(ui: &Client, place: usize) {
    let (name, start, end) = SPANS[place];
    let operation = account::encoded(name);
    let asked = |from: u64, to: u64| format!("service=clock&operation={operation}&from={from}&to={to}");
    let lines = account::traces(ui, &asked(start, start)).await;
    assert_eq!(lines.len(), 1, "{name}");
    let (line, took) = (&lines[0], end.saturating_sub(start));
    assert_eq!((&line["trace_id"], &line["start"]), (&json!(trace(place)), &json!(start.to_string())));
    assert_eq!((&line["duration"], &line["match"]["duration"]), (&json!(took), &json!(took)), "{name}");
    for (from, to) in [(start.checked_add(1), Some(u64::MAX)), (Some(0), start.checked_sub(1))] {
        let Some((from, to)) = from.zip(to) else { continue };
        assert_eq!(
            account::found(ui, &asked(from, to)).await,
            Vec::<String>::new(),
            "{name}: {from} to {to}"
        );
    }
}

/// Searches of the other tools in their units.
async fn assert_found_by_other_tools(viewer: &Viewer) {
    let (ui, zipkin) = (viewer.client("viewer"), viewer.client("zipkin"));
    let times = |place: usize| (account::encoded(SPANS[place].0), SPANS[place].1);
    for place in [1, 3, 4, 7] {
        let (operation, start) = times(place);
        let (micros, millis) = (start / 1_000, start / MILLISECOND);
        let path = format!("/api/traces?service=clock&operation={operation}&start={micros}&end={micros}");
        let legacy = get(&ui, &path).await;
        assert_eq!(legacy["data"][0]["spans"].as_array().map(Vec::len), Some(1), "{path}");
        let end = millis + 1;
        let path = format!("/api/v2/traces?serviceName=clock&spanName={operation}&endTs={end}&lookback=2");
        let found = get(&zipkin, &path).await;
        assert_eq!(found[0][0]["traceId"], trace(place), "{path}");
    }
    for (place, from, to) in [
        (1, "1970-01-01T00:00:00.000000001Z", "1970-01-01T00:00:00.000000002Z"),
        (4, "2100-01-01T00:00:00.123456789Z", "2100-01-01T00:00:00.12345679Z"),
    ] {
        let operation = times(place).0;
        let path = format!(
            "/api/v3/traces?query.serviceName=clock&query.operationName={operation}\
             &query.startTimeMin={from}&query.startTimeMax={to}"
        );
        let found = get(&ui, &path).await;
        assert_eq!(only(&found["result"])["traceId"], trace(place), "{path}");
        let path = format!("service=clock&operation={operation}&from={from}&to={from}");
        assert_eq!(account::found(&ui, &path).await, [trace(place)]);
    }
}

/// Figures are by arrival: they count what has come, whatever its clock said, and within 2 % of its duration.
async fn assert_figures(ui: &Client) {
    let services = get(ui, "/api/v1/services").await;
    let figure = &services["services"][0];
    assert_eq!(
        (&figure["service"], &figure["calls"], &figure["errors"]),
        (&json!("clock"), &json!(9), &json!(0))
    );
    let operations = get(ui, "/api/v1/services/clock/operations").await;
    let operations = operations["operations"].as_array().unwrap();
    assert_eq!(operations.len(), SPANS.len());
    for (name, start, end) in SPANS {
        let figure = operations.iter().find(|operation| operation["name"] == name).unwrap();
        assert_eq!(figure["calls"], 1, "{name}");
        let took = end.saturating_sub(start);
        for latency in ["p50", "p95", "p99"] {
            let told = figure[latency].as_u64().unwrap();
            assert!(told.abs_diff(took) <= took / 50, "{name}: {latency} is {told} and not {took}");
        }
    }
    let map = get(ui, "/api/v1/map").await;
    assert_eq!(map["nodes"].as_array().unwrap().iter().filter(|node| node["name"] == "clock").count(), 1);
    let usage = account::balanced(ui).await["usage"].take();
    assert_eq!((&usage["oldest"], &usage["newest"]), (&json!("0"), &json!(u64::MAX.to_string())));
}

#[tokio::test]
async fn spans_of_1970_2100_and_the_end_of_time_come_back_exactly_and_are_found() {
    let data = tempfile::tempdir().unwrap();
    let mut viewer = Viewer::start(BINARY, data.path(), &[]).await.unwrap();
    let spans: Vec<Value> = (1..)
        .zip(SPANS)
        .map(|(trace, (name, start, end))| from_to(trace, 1, 0, name, 2, (start, end)))
        .collect();
    send(&viewer.client("otlp-http"), &[service("clock", &spans)]).await;
    // From the journal, then from a block.
    for blocks in [0, 1] {
        let ui = viewer.client("viewer");
        assert_eq!(account::balanced(&ui).await["usage"]["files"], blocks);
        for place in 0..SPANS.len() {
            assert_given_back(&viewer, place).await;
            assert_found(&ui, place).await;
        }
        assert_found_by_other_tools(&viewer).await;
        assert_figures(&ui).await;
        let stopped = viewer.stop().await.unwrap();
        assert!(stopped.status.success(), "{}", stopped.output);
        viewer = Viewer::start(BINARY, data.path(), &[]).await.unwrap();
    }
}

/// A root of this hour with children of every other time.
fn mixed(start: u64) -> Vec<Value> {
    let root = from_to(0x99, 1, 0, "of this hour", 2, (start, start + SECOND));
    let child =
        |(id, (name, start, end)): (u64, (&str, u64, u64))| from_to(0x99, id, 1, name, 1, (start, end));
    let inner = from_to(0x99, 90, 1, "inside", 1, (start + 10, start + SECOND / 2));
    [root, inner].into_iter().chain((2..).zip(SPANS).map(child)).collect()
}

#[tokio::test]
async fn a_trace_of_many_clocks_is_divided_exactly_and_keeps_every_span() {
    let data = tempfile::tempdir().unwrap();
    let viewer = Viewer::start(BINARY, data.path(), &[]).await.unwrap();
    send(&viewer.client("otlp-http"), &[service("clock", &mixed(YEAR_2026))]).await;
    let trace = get(&viewer.client("viewer"), "/api/v1/traces/99").await;
    assert_eq!((&trace["start"], &trace["duration"]), (&json!("0"), &json!(u64::MAX)));
    assert_eq!((&trace["spans"], &trace["completeness"]["complete"]), (&json!(11), &json!(true)));
    let rows = &trace["rows"];
    let names = &trace["names"];
    let mut seen: Vec<(String, u64)> = (0..11)
        .map(|row| {
            let name = shop::place(&rows["name"][row]);
            (names[name].as_str().unwrap().to_owned(), rows["start"][row].as_u64().unwrap())
        })
        .collect();
    seen.sort();
    let others = [("of this hour", YEAR_2026), ("inside", YEAR_2026 + 10)];
    let mut expected: Vec<(String, u64)> = SPANS
        .iter()
        .map(|(name, start, _)| (*name, *start))
        .chain(others)
        .map(|(name, start)| (name.to_owned(), start))
        .collect();
    expected.sort();
    assert_eq!(seen, expected);
    let path = &trace["critical_path"];
    let root = shop::place(&path["root"]);
    assert_eq!(rows["duration"][root], SECOND);
    for division in ["parts", "segments"] {
        let key = if division == "parts" { "time" } else { "duration" };
        let times = path[division].as_array().unwrap().iter().map(|part| part[key].as_u64().unwrap());
        assert_eq!(times.sum::<u64>(), SECOND, "{division}: {path}");
    }
}

#[tokio::test]
async fn a_trace_of_many_clocks_is_shown() {
    let Some(scene) = Scene::start("a trace of many clocks").await else { return };
    scene.send(&[service("clock", &mixed(ago(5_000)))]).await;
    scene.open("/trace/99").await;
    scene.browser.wait_for("[role=treegrid] [role=row]").await.unwrap();
    for name in ["of this hour", "inside", "in 2100", "backwards", "from the end to the beginning"] {
        let shown = format!("document.querySelector('[role=treegrid]').innerText.includes('{name}')");
        scene.browser.wait_until(&shown).await.unwrap();
    }
    scene.assert_silent_console().await;
}
