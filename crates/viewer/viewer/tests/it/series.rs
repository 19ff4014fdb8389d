//! `GET /series`, through the real intake.

use crate::{
    fixture::resource,
    http::{ReplyExt as _, Request},
    viewer::{Viewer, in_time},
};
use serde_json::{Value, json};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tempfile::TempDir;

const MINUTE: u64 = 60_000_000_000;

/// Numbers that look random and are the same each time (xorshift).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

struct Sent {
    operation: &'static str,
    duration: u64,
    has_failed: bool,
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos().try_into().unwrap()
}

/// Spans whose own clocks are years apart: they count when they come.
fn sent(numbers: &mut Numbers, count: u64) -> Vec<Sent> {
    let one = |_| Sent {
        operation: if numbers.below(3) == 0 { "PUT /cart" } else { "GET /cart" },
        duration: 1 << numbers.below(32),
        has_failed: numbers.below(5) == 0,
    };
    (0..count).map(one).collect()
}

async fn send(viewer: &Viewer, version: &str, first: u64, sent: &[Sent]) {
    let spans = sent.iter().zip(first..).map(|(sent, number)| {
        let start = number * 1_000_000_000_000_000;
        json!({
            "traceId": format!("{number:032x}"), "spanId": format!("{number:016x}"), "name": sent.operation,
            "kind": 2, "startTimeUnixNano": start.to_string(),
            "endTimeUnixNano": (start + sent.duration).to_string(),
            "status": {"code": if sent.has_failed { 2 } else { 0 }},
        })
    });
    let mut spans = resource("cart", &spans.collect());
    let version = json!({"key": "service.version", "value": {"stringValue": version}});
    spans["resource"]["attributes"].as_array_mut().unwrap().push(version);
    let body = json!({"resourceSpans": [spans]}).to_string();
    let request = Request::post("/v1/traces").header("content-type", "application/json").body(body);
    let reply = in_time(request.send(viewer.otlp_http)).await;
    assert_eq!((reply.status.as_u16(), reply.json), (200, json!({})));
}

/// All steps must add up to what was sent, and the latencies of the only step with calls, or of a step that has all of
/// them, must be those of the spans.
fn assert_recounted(answer: &Value, sent: &[&Sent]) {
    let steps = answer["steps"].as_array().unwrap();
    let sum = |key: &str| steps.iter().map(|step| step[key].as_u64().unwrap()).sum::<u64>();
    let failed = sent.iter().filter(|sent| sent.has_failed).count() as u64;
    assert_eq!((sum("calls"), sum("errors")), (sent.len() as u64, failed));
    let ranges = steps.iter().flat_map(|step| step["latencies"].as_array().unwrap());
    let counted = ranges.fold(0, |counted, range| {
        let [from, to, calls] = ["from", "to", "calls"].map(|key| range[key].as_u64().unwrap());
        assert!(from < to);
        counted + calls
    });
    assert_eq!(counted, sent.len() as u64);
    let mut durations: Vec<u64> = sent.iter().map(|sent| sent.duration).collect();
    durations.sort_unstable();
    let Some(whole) = steps.iter().find(|step| step["calls"] == sent.len() as u64) else { return };
    for (key, percent) in [("p50", 50), ("p95", 95), ("p99", 99)] {
        let exact = durations[(durations.len() * percent).div_ceil(100) - 1];
        let told = whole[key].as_u64().unwrap();
        assert!(told.abs_diff(exact) <= exact / 50, "{key}: {told} instead of {exact}");
    }
}

#[tokio::test]
async fn a_series_is_a_recount_of_what_was_sent_and_outlives_a_restart() {
    let folder = TempDir::new().unwrap();
    let numbers = &mut Numbers(88_172_645_463_325_252);
    let (before, after) = (sent(numbers, 300), sent(numbers, 200));
    let viewer = Viewer::kept_in(&folder);
    send(&viewer, "1.0.0", 1, &before).await;
    viewer.close().await;
    let viewer = Viewer::kept_in(&folder);
    send(&viewer, "1.1.0", 1 + before.len() as u64, &after).await;

    let all: Vec<&Sent> = before.iter().chain(&after).collect();
    assert_recounted(&viewer.api("/series?service=cart").await, &all);
    let answer = viewer.api("/series?service=cart&from=24h&step=24h").await;
    assert_recounted(&answer, &all);
    let puts: Vec<&Sent> = all.iter().copied().filter(|sent| sent.operation == "PUT /cart").collect();
    for kind in ["", "&kind=server"] {
        let path = format!("/series?service=cart&operation=PUT+%2Fcart{kind}&step=2h");
        assert_recounted(&viewer.api(&path).await, &puts);
    }
    let edge = viewer.api("/series?edge_from=caller:outside&edge_to=service:cart&step=2h").await;
    assert_recounted(&edge, &all);

    let versions = |answer: &Value| -> Vec<Value> {
        let deployments = answer["deployments"].as_array().unwrap().iter();
        deployments.map(|one| json!([one["service"], one["before"], one["version"]])).collect()
    };
    let expected = [json!(["cart", null, "1.0.0"]), json!(["cart", "1.0.0", "1.1.0"])];
    assert_eq!(versions(&answer), expected);
    assert_eq!(versions(&edge), expected);
    viewer.close().await;
}

#[tokio::test]
async fn steps_without_calls_are_zero_and_the_last_is_not_over() {
    let viewer = Viewer::open();
    send(&viewer, "1", 1, &sent(&mut Numbers(7), 10)).await;
    let answer = viewer.api("/series?service=cart&from=30m&step=5m").await;
    let steps = answer["steps"].as_array().unwrap();
    let number = |value: &Value| value.as_str().unwrap().parse::<u64>().unwrap();
    let starts: Vec<u64> = steps.iter().map(|step| number(&step["start"])).collect();
    assert!(steps.len() >= 7 && starts.iter().all(|start| start % (5 * MINUTE) == 0), "{starts:?}");
    assert!(starts.windows(2).all(|two| two[1] - two[0] == 5 * MINUTE), "{starts:?}");
    assert_eq!(
        (number(&answer["from"]), number(&answer["to"])),
        (starts[0], starts[starts.len() - 1] + 5 * MINUTE)
    );
    assert_eq!(answer["step"], 5 * MINUTE);
    let over: Vec<bool> = steps.iter().map(|step| step["is_over"].as_bool().unwrap()).collect();
    assert!(over.iter().rev().skip(1).all(|is_over| *is_over) && !over[over.len() - 1]);
    let mut first = steps[0].clone();
    first["start"].take();
    let expected = json!({
        "start": null, "is_over": true, "calls": 0, "errors": 0, "rate": null, "p50": null, "p95": null, "p99": null,
        "apdex": null, "examples": {"recent": null, "slowest": null, "failed": null}, "latencies": [],
    });
    assert_eq!(first, expected, "nothing could come before the first span");
    let with_calls = steps.iter().filter(|step| step["calls"] != 0);
    for step in with_calls {
        // Divided by the time since the first span, not by five minutes.
        let since = Duration::from_nanos(now() - number(&answer["since"]));
        let [rate, calls] = ["rate", "calls"].map(|key| step[key].as_f64().unwrap());
        assert!(
            rate <= calls && rate * since.as_secs_f64().max(1.0) >= calls * 0.99,
            "{rate} {calls} in {since:?}"
        );
        assert!(step["examples"]["recent"].is_string() && step["apdex"].is_number());
    }
}

#[tokio::test]
async fn what_is_asked_wrongly_is_named() {
    let viewer = Viewer::open();
    send(&viewer, "1", 1, &sent(&mut Numbers(7), 1)).await;
    for (query, parameter) in [
        ("", "service"),
        ("operation=x", "service"),
        ("service=cart&edge_from=service:cart", "service"),
        ("edge_from=service:cart", "edge_to"),
        ("edge_to=service:cart", "edge_from"),
        ("edge_from=cart&edge_to=service:cart", "edge_from"),
        ("edge_from=service:cart&edge_to=shelf:cart", "edge_to"),
        ("service=cart&kind=clerk", "kind"),
        ("service=cart&step=5", "step"),
        ("service=cart&step=30s", "step"),
        ("service=cart&step=0", "step"),
        ("service=cart&from=24h&step=10m", "step"),
        ("service=cart&from=2d&to=3d", "from"),
        ("service=cart&from=2200-01-01T00:00:00Z&to=2200-01-02T00:00:00Z", "from"),
        ("service=cart&apdex=fast", "apdex"),
        ("service=cart&interval=1m", "interval"),
    ] {
        let reply = viewer.get(&format!("/api/v1/series?{query}")).await;
        assert_eq!((reply.status.as_u16(), reply.problem_name()), (400, "bad-parameter"), "{query}");
        assert_eq!(reply.problem()["parameter"], parameter, "{query}: {}", reply.text());
    }
    for query in [
        "service=nobody",
        "service=cart&operation=none",
        "service=cart&kind=client",
        "edge_from=service:cart&edge_to=database:none",
    ] {
        let reply = viewer.get(&format!("/api/v1/series?{query}")).await;
        assert_eq!((reply.status.as_u16(), reply.problem_name()), (404, "not-found"), "{query}");
    }
}
