//! Pinned traces: they stay when retention takes everything around them.

use crate::{
    fixture::{CHARGE, TRACE, resource, shop},
    http::{ReplyExt as _, Request},
    viewer::{Viewer, in_time},
};
use serde_json::{Value, json};
use std::fs;
use tempfile::TempDir;
use waypost_settings::ByteSize;

/// So much of the same three services that a store of a mebibyte in memory drops what came before.
async fn flood(viewer: &Viewer) {
    for number in 0..90_u64 {
        let service = ["api-gateway", "payment-service", "settlement"][usize::try_from(number % 3).unwrap()];
        let span = json!({
            "traceId": format!("{:032x}", 0x10_0000 + number), "spanId": format!("{:016x}", 1 + number), "name": "noise", "kind": 1,
            "startTimeUnixNano": "1000", "endTimeUnixNano": "2000",
            "attributes": [{"key": "noise", "value": {"stringValue": "n".repeat(40_000)}}],
        });
        viewer.import(&json!({"resourceSpans": [resource(service, &json!([span]))]})).await;
    }
    for name in ["POST+%2Fapi%2Forders", "charge", "settle"] {
        let path = format!("/search?operation={name}");
        viewer.api_until(&path, |found| found["traces"] == json!([])).await;
    }
    viewer.api_until("/search?status=error", |found| found["traces"] == json!([])).await;
}

fn paths() -> [String; 4] {
    [
        format!("/traces/{TRACE}"),
        format!("/traces/{TRACE}/spans/{CHARGE}"),
        format!("/traces/{TRACE}/logs"),
        format!("/traces/{TRACE}/matches?status=error"),
    ]
}

async fn answers(viewer: &Viewer) -> Vec<Value> {
    let mut answers = Vec::new();
    for path in paths() {
        let mut answer = viewer.api(&path).await;
        // What links to it, and what it links to, is asked of the store, which has dropped that.
        answer.as_object_mut().unwrap().remove("linked_from");
        if let Some(links) = answer.pointer_mut("/spans/0/links").and_then(Value::as_array_mut) {
            for link in links {
                link["kept"] = Value::Null;
            }
        }
        answers.push(answer);
    }
    answers
}

#[tokio::test]
async fn a_pinned_trace_stays_when_retention_drops_it() {
    let viewer = Viewer::configured(|config| config.store.budget = ByteSize::mib(1));
    viewer.import(&shop()).await;
    let before = answers(&viewer).await;
    let pin = format!("/api/v1/traces/{TRACE}/pin");
    let pinned = viewer.send(Request::post(format!("{pin}?reason=the+first+one"))).await;
    assert_eq!(pinned.status, 200, "{}", pinned.text());
    let whose =
        ["by", "reason", "service", "name", "spans", "errors"].map(|member| pinned.json[member].clone());
    let expected = [
        json!("person"),
        json!("the first one"),
        json!("api-gateway"),
        json!("POST /api/orders"),
        json!(3),
        json!(1),
    ];
    assert_eq!(whose, expected);
    flood(&viewer).await;
    assert_eq!(answers(&viewer).await, before);
    let legacy = viewer.get(&format!("/api/traces/{TRACE}")).await;
    assert_eq!(legacy.json["data"][0]["spans"].as_array().unwrap().len(), 3, "other tools find it too");

    assert_eq!(viewer.send(Request::new("DELETE", &pin)).await.status, 204);
    assert_eq!(viewer.send(Request::new("DELETE", &pin)).await.problem_name(), "not-found");
    assert_eq!(viewer.get(&format!("/api/v1/traces/{TRACE}")).await.status, 404);
    assert_eq!(viewer.send(Request::post(&pin)).await.problem_name(), "not-found");
    in_time(viewer.close()).await;
}

/// Takes everything that is kept away but the pinned traces.
fn lose_all(folder: &TempDir) {
    let folder = folder.path().join("viewer");
    fs::remove_dir_all(folder.join("blocks")).unwrap();
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_str().unwrap().starts_with("journal") {
            fs::remove_file(path).unwrap();
        }
    }
}

#[tokio::test]
async fn a_pinned_trace_is_there_after_a_restart_without_anything_else() {
    let folder = TempDir::new().unwrap();
    let viewer = Viewer::kept_in(&folder);
    viewer.import(&shop()).await;
    let before = answers(&viewer).await;
    let pinned = viewer.send(Request::post(format!("/api/v1/traces/{TRACE}/pin"))).await;
    in_time(viewer.close()).await;
    lose_all(&folder);
    let viewer = Viewer::kept_in(&folder);
    assert_eq!(viewer.api("/search").await["traces"], json!([]));
    assert_eq!(answers(&viewer).await, before);
    let list = viewer.api("/pins").await;
    assert_eq!((&list["pins"], &list["bytes"]), (&json!([pinned.json]), &pinned.json["bytes"]));
    in_time(viewer.close()).await;
}

#[tokio::test]
async fn at_the_bound_a_person_is_refused() {
    let viewer = Viewer::configured(|config| config.alerts.pins = 1);
    viewer.import(&shop()).await;
    let pin = |trace: &str| Request::post(format!("/api/v1/traces/{trace}/pin"));
    assert_eq!(viewer.send(pin(TRACE)).await.status, 200);
    let again = viewer.send(pin(TRACE)).await;
    assert_eq!(again.status, 200, "it is pinned already");
    let refused = viewer.send(pin("ab")).await;
    assert_eq!((refused.status.as_u16(), refused.problem_name()), (409, "full"));
    let detail = refused.problem()["detail"].as_str().unwrap();
    assert!(detail.contains("1 traces, 64 MiB"), "{detail}");
    in_time(viewer.close()).await;
}

#[tokio::test]
async fn a_damaged_copy_is_set_aside_and_the_rest_is_served() {
    let folder = TempDir::new().unwrap();
    let viewer = Viewer::kept_in(&folder);
    viewer.import(&shop()).await;
    for trace in [TRACE, "ab"] {
        assert_eq!(viewer.send(Request::post(format!("/api/v1/traces/{trace}/pin"))).await.status, 200);
    }
    in_time(viewer.close()).await;
    lose_all(&folder);
    let pins = folder.path().join("viewer/pins");
    let file = pins.join(format!("{TRACE}.pin"));
    let mut bytes = fs::read(&file).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&file, bytes).unwrap();
    fs::write(pins.join("ff.pin"), "no copy\n").unwrap();

    let viewer = Viewer::kept_in(&folder);
    assert_eq!(
        viewer.api("/pins").await["pins"].as_array().unwrap().len(),
        2,
        "a copy is read when it is needed"
    );
    assert_eq!(viewer.get(&format!("/api/v1/traces/{TRACE}")).await.status, 404);
    assert_eq!(viewer.api("/traces/ab").await["spans"], 1);
    assert_eq!(viewer.api("/pins").await["pins"].as_array().unwrap().len(), 1);
    let mut names: Vec<String> =
        fs::read_dir(&pins).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let whole = format!("{:032x}.pin", 0xab);
    assert_eq!(names, [whole, format!("{TRACE}.pin.damaged-1"), "ff.pin.damaged-1".to_owned()]);
    in_time(viewer.close()).await;
}
