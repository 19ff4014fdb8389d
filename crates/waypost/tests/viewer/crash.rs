//! `kill -9` during intake, again and again on the same folder: every acknowledged span is there, once.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;
use waypost_testkit::{Client, Viewer};

use crate::BINARY;

/// Rounds of an ordinary run; `TEST_KILLS` asks for more.
const KILLS: usize = 20;
const CLIENTS: usize = 8;
const SPANS: usize = 20;

/// A trace that a client sent, and whether it was told that it is kept.
struct Sent {
    trace_id: String,
    is_acknowledged: bool,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_acknowledged_span_is_there_once_however_often_the_viewer_is_killed() {
    let kills = std::env::var("TEST_KILLS").map_or(KILLS, |kills| kills.parse().unwrap());
    let data = tempfile::tempdir().unwrap();
    // Small blocks, so that kills meet the journal, the flush and the block files alike.
    let settings = [("viewer.store.head_spans", "256")];
    let mut sent: Vec<Sent> = Vec::new();
    for round in 0..kills {
        let viewer = Viewer::start(BINARY, data.path(), &settings).await.unwrap();
        // Each round kills at another point; the pause is the subject of the test, not a wait for a state.
        let pause = Duration::from_millis(5 + 13 * (round as u64 % 17));
        sent.extend(send_until_killed(viewer, round, pause).await);
    }

    let viewer = Viewer::start(BINARY, data.path(), &settings).await.unwrap();
    let client = viewer.client("viewer");
    let mut kept = 0;
    for trace in &sent {
        kept += assert_kept(&client, trace).await;
    }
    let acknowledged = sent.iter().filter(|trace| trace.is_acknowledged).count();
    assert!(acknowledged > kills, "the kills left {acknowledged} acknowledged requests in {kills} rounds");
    assert_ledger(&client, kept as u64).await;
    println!(
        "{kills} kills: {} requests sent, {acknowledged} acknowledged, {kept} spans kept, none lost, none twice",
        sent.len()
    );
    let stopped = viewer.stop().await.unwrap();
    assert!(stopped.status.success(), "{}", stopped.output);
}

/// Several clients send until the viewer is killed under them; each ends with the request that got no answer.
async fn send_until_killed(viewer: Viewer, round: usize, pause: Duration) -> Vec<Sent> {
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let otlp = viewer.client("otlp-http");
        clients.spawn(async move {
            let mut sent = Vec::new();
            for number in 0.. {
                let trace_id = format!("{:08x}{client:08x}{number:016x}", round + 1);
                let answer = otlp.post("/v1/traces", &[], &request(&trace_id)).await;
                let is_acknowledged = answer.as_ref().is_ok_and(|answer| answer.status == 200);
                sent.push(Sent { trace_id, is_acknowledged });
                if !is_acknowledged {
                    break;
                }
            }
            sent
        });
    }
    tokio::time::sleep(pause).await;
    viewer.kill().await.unwrap();
    clients.join_all().await.into_iter().flatten().collect()
}

/// One trace of a root and its children.
fn request(trace_id: &str) -> String {
    let span = |number: usize| {
        let parent = if number == 1 { String::new() } else { format!("{:016x}", 1) };
        let start = 1_700_000_000_000_000_000 + number as u64;
        json!({
            "traceId": trace_id, "spanId": format!("{number:016x}"), "parentSpanId": parent, "name": "step", "kind": 1,
            "startTimeUnixNano": start.to_string(), "endTimeUnixNano": (start + 1000).to_string(),
            "attributes": [{"key": "number", "value": {"intValue": number.to_string()}}],
        })
    };
    let spans: Vec<Value> = (1..=SPANS).map(span).collect();
    let resource = json!({"attributes": [{"key": "service.name", "value": {"stringValue": "sender"}}]});
    json!({"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": spans}]}]}).to_string()
}

/// Returns how many of its spans are kept: all or, when nobody was told so, perhaps none.
async fn assert_kept(client: &Client, trace: &Sent) -> usize {
    let answer = client.get(&format!("/api/v1/traces/{}", trace.trace_id)).await.unwrap();
    if answer.status == 404 && !trace.is_acknowledged {
        return 0;
    }
    assert_eq!(answer.status, 200, "{} was acknowledged: {}", trace.trace_id, answer.json);
    let ids = answer.json["rows"]["id"].as_array().unwrap();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for id in ids {
        *counts.entry(id.as_str().unwrap()).or_default() += 1;
    }
    let expected: BTreeMap<String, usize> = (1..=SPANS).map(|number| (format!("{number:016x}"), 1)).collect();
    let counts: BTreeMap<String, usize> =
        counts.into_iter().map(|(id, count)| (id.to_owned(), count)).collect();
    assert_eq!(counts, expected, "trace {}", trace.trace_id);
    SPANS
}

/// received = stored + refused + evicted, and what is stored is what was found.
async fn assert_ledger(client: &Client, kept: u64) {
    let status = client.get("/api/v1/status").await.unwrap().json;
    let number = |value: &Value| value.as_u64().unwrap();
    let sum = |reasons: &Value| reasons.as_object().unwrap().values().map(number).sum::<u64>();
    let total = &status["total"];
    assert_eq!(number(&total["stored"]), kept, "{status}");
    assert_eq!(
        number(&total["received"]),
        kept + sum(&total["refused"]) + sum(&total["evicted"]),
        "{status}"
    );
}
