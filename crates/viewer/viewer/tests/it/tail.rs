//! `GET /tail`.

use crate::{
    fixture::{CHARGE, NASTY, TRACE, at, shop, single},
    http::{ReplyExt as _, Request},
    viewer::{Viewer, in_time},
};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde_json::{Value, json};

/// An open tail.
struct Events {
    body: Incoming,
    text: String,
}

impl Events {
    async fn open(viewer: &Viewer, query: &str) -> Events {
        let response = in_time(Request::get(format!("/api/v1/tail{query}")).open(viewer.ui)).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Events { body: response.into_body(), text: String::new() }
    }

    /// The next event's name and data; `None` at the end.
    async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            if let Some(end) = self.text.find("\n\n") {
                let event: String = self.text.drain(..end + 2).collect();
                let line = |name: &str| {
                    let line = event.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
                    line.map(str::to_owned)
                };
                if let Some((name, data)) = line("event").zip(line("data")) {
                    return Some((name, serde_json::from_str(&data).unwrap()));
                }
                continue;
            }
            let frame = in_time(self.body.frame()).await?.unwrap();
            self.text.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
        }
    }
}

#[tokio::test]
async fn spans_that_meet_the_filter_come_as_they_are_kept() {
    let viewer = Viewer::open();
    let mut events = Events::open(&viewer, "?status=error").await;
    viewer.import(&shop()).await;
    let span = json!({
        "trace_id": TRACE, "span_id": CHARGE, "service": "payment-service", "name": NASTY, "kind": "server",
        "status": "error", "start": at(5), "duration": 20_000_000, "is_root": false,
    });
    assert_eq!(events.next().await, Some(("span".to_owned(), span)));
}

#[tokio::test]
async fn one_batch_of_more_than_a_listener_can_read_is_counted() {
    let viewer = Viewer::open();
    let mut events = Events::open(&viewer, "?service=flood").await;
    let span = |number: u64| {
        json!({"traceId": TRACE, "spanId": format!("{number:016x}"), "name": "drop",
               "startTimeUnixNano": at(number), "endTimeUnixNano": at(number)})
    };
    // So many that they are not all sent even if it takes ten seconds.
    let spans: Vec<Value> = (1..=20_000).map(span).collect();
    viewer.import(&json!({"resourceSpans": [crate::fixture::resource("flood", &Value::from(spans))]})).await;
    let (mut seen, mut missed) = (0, 0);
    while seen + missed < 20_000 {
        let (name, data) = events.next().await.unwrap();
        match name.as_str() {
            "span" => seen += 1,
            _ => missed += data["spans"].as_u64().unwrap(),
        }
    }
    assert!(seen >= 500 && missed > 0, "{seen} seen, {missed} missed");
    assert_eq!(seen + missed, 20_000);
}

#[tokio::test]
async fn listeners_are_bounded_and_one_who_leaves_makes_room() {
    let viewer = Viewer::configured(|config| config.limits.tails = 1);
    let first = Events::open(&viewer, "").await;
    let reply = viewer.get("/api/v1/tail").await;
    assert_eq!((reply.status.as_u16(), reply.problem_name()), (503, "busy"));
    assert_eq!(reply.header("retry-after"), "1");
    drop(first);
    // The viewer sees that the reader has gone when its connection ends.
    let mut second = in_time(async {
        loop {
            let response = Request::get("/api/v1/tail").open(viewer.ui).await;
            if response.status() == 200 {
                return Events { body: response.into_body(), text: String::new() };
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    viewer.import(&single(1)).await;
    assert_eq!(second.next().await.unwrap().0, "span");
}

#[tokio::test]
async fn tails_end_when_the_viewer_does_and_hold_nothing_up() {
    let viewer = Viewer::open();
    let mut events = Events::open(&viewer, "").await;
    viewer.end_tails();
    assert_eq!(events.next().await, None);
    in_time(async {
        loop {
            let reply = viewer.get("/api/v1/tail").await;
            if reply.status == 503 {
                return assert_eq!(reply.problem_name(), "unavailable");
            }
        }
    })
    .await;
    viewer.close().await;
}
