//! What the viewer says of itself: its ledger, and what it finds.

use serde_json::{Map, Value, json};
use waypost_testkit::{Client, until};

/// The status. For each service and in total, received is stored, refused and evicted, or the test fails.
pub(crate) async fn balanced(viewer: &Client) -> Value {
    let status = viewer.get("/api/v1/status").await.unwrap().json;
    let mut total = Map::new();
    for account in status["services"].as_array().unwrap() {
        assert_balance(account);
        add(&mut total, account);
    }
    assert_balance(&status["total"]);
    for (key, value) in &total {
        assert_eq!(&status["total"][key], value, "{key} of {status}");
    }
    status
}

fn assert_balance(account: &Value) {
    let sum = |value: &Value| match value {
        Value::Object(reasons) => reasons.values().map(|count| count.as_u64().unwrap()).sum(),
        count => count.as_u64().unwrap(),
    };
    for signal in [account, &account["logs"]] {
        let [received, stored, refused, evicted] =
            ["received", "stored", "refused", "evicted"].map(|key| sum(&signal[key]));
        assert_eq!(received, stored + refused + evicted, "{account}");
    }
}

fn add(total: &mut Map<String, Value>, account: &Value) {
    for (key, value) in account.as_object().unwrap() {
        match value {
            Value::Object(_) => {
                let inner = total.entry(key.as_str()).or_insert_with(|| json!({}));
                add(inner.as_object_mut().unwrap(), value);
            }
            Value::Number(count) => {
                let sum = total.get(key).and_then(Value::as_u64).unwrap_or_default();
                total.insert(key.clone(), json!(sum + count.as_u64().unwrap()));
            }
            _ => {}
        }
    }
}

/// The account of a service; null when it has none.
pub(crate) fn of<'a>(status: &'a Value, service: &str) -> &'a Value {
    let accounts = status["services"].as_array().unwrap();
    accounts.iter().find(|account| account["service"] == service).unwrap_or(&Value::Null)
}

/// The account of spans of a service, once so many have been received: what is refused at a door is counted a moment
/// after it is answered.
pub(crate) async fn after(viewer: &Client, service: &str, received: u64) -> Value {
    let mut account = Value::Null;
    until(&format!("{received} received of {service}"), async || {
        account = of(&balanced(viewer).await, service).clone();
        account["received"].as_u64() >= Some(received)
    })
    .await;
    json!({
        "received": account["received"], "stored": account["stored"], "refused": account["refused"],
        "evicted": account["evicted"],
    })
}

/// Ids of the traces that a search finds, every page of it.
pub(crate) async fn found(viewer: &Client, query: &str) -> Vec<String> {
    traces(viewer, query).await.iter().map(|line| line["trace_id"].as_str().unwrap().to_owned()).collect()
}

/// The lines of the traces that a search finds, every page of it.
pub(crate) async fn traces(viewer: &Client, query: &str) -> Vec<Value> {
    let mut all = Vec::new();
    let mut after = String::new();
    loop {
        let answer = viewer.get(&format!("/api/v1/search?limit=200&{query}{after}")).await.unwrap();
        assert_eq!(answer.status, 200, "{query}: {}", answer.json);
        all.extend(answer.json["traces"].as_array().unwrap().iter().cloned());
        match answer.json["next"].as_str() {
            Some(next) => after = format!("&after={}", encoded(next)),
            None => return all,
        }
    }
}

/// A value as a query string writes it.
pub(crate) fn encoded(text: &str) -> String {
    let one = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(one).collect()
}
