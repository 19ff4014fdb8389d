//! The live tail of the binary: server-sent events of spans as they come.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client as Pooled;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use waypost_testkit::{PATIENCE, Shop};

use crate::{BINARY, shop};

/// An open tail.
struct Events {
    body: Incoming,
    text: String,
}

impl Events {
    async fn open(shop: &Shop, query: &str) -> Events {
        let client = Pooled::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
        let path = format!("http://{}/api/v1/tail?{query}", shop.address("viewer"));
        let answer = client.get(path.parse().unwrap()).await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        Events { body: answer.into_body(), text: String::new() }
    }

    /// The next event's name and data; `None` at the end.
    async fn next(&mut self) -> Option<(String, Value)> {
        // Nothing comes: the test fails.
        tokio::time::timeout(PATIENCE, self.read()).await.unwrap()
    }

    async fn read(&mut self) -> Option<(String, Value)> {
        loop {
            if let Some(end) = self.text.find("\n\n") {
                let event: String = self.text.drain(..end + 2).collect();
                let line = |name: &str| event.lines().find_map(|line| line.strip_prefix(name));
                if let Some((name, data)) = line("event: ").zip(line("data: ")) {
                    return Some((name.to_owned(), serde_json::from_str(data).unwrap()));
                }
                continue;
            }
            let frame = self.body.frame().await?.unwrap();
            self.text.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
        }
    }
}

#[tokio::test]
async fn an_order_comes_by_in_the_tail_and_only_what_was_asked_for() {
    let shop = Shop::of(BINARY).viewer().start().await.unwrap();
    let mut roots = Events::open(&shop, "service=api-gateway&root=true").await;
    let mut charges = Events::open(&shop, "service=payment-provider&kind=server&text=%2Fv1%2Fcharges").await;
    let first = shop::order(&shop).await;
    let second = shop::order(&shop).await;
    let mut seen = Vec::new();
    while seen.len() < 2 {
        let (event, span) = roots.next().await.unwrap();
        assert_eq!(
            (event.as_str(), &span["service"], &span["is_root"]),
            ("span", &"api-gateway".into(), &true.into())
        );
        if span["name"] == "POST /api/orders" {
            seen.push(span["trace_id"].as_str().unwrap().to_owned());
        }
    }
    // They come as they are kept, which two batches may be in either order.
    seen.sort_by_key(|id| *id != first);
    assert_eq!(seen, [first.clone(), second.clone()]);
    // Each order charges and captures.
    let mut of_orders = Vec::new();
    while of_orders.len() < 4 {
        let (event, span) = charges.next().await.unwrap();
        let told = (event.as_str(), &span["service"], &span["kind"]);
        assert_eq!(told, ("span", &"payment-provider".into(), &"server".into()));
        assert!(span["name"].as_str().unwrap().starts_with("POST /v1/charges"), "{span}");
        of_orders.push(span["trace_id"].as_str().unwrap().to_owned());
    }
    of_orders.sort_by_key(|id| *id != first);
    assert_eq!(of_orders, [first.clone(), first, second.clone(), second]);
}

#[tokio::test]
async fn an_open_tail_ends_with_the_shop_and_does_not_hold_it_up() {
    let shop = Shop::of(BINARY).viewer().start().await.unwrap();
    let mut events = Events::open(&shop, "service=nobody").await;
    let (stopped, event) = tokio::join!(shop.stop(), events.next());
    assert_eq!(event, None);
    let stopped = stopped.unwrap();
    assert!(stopped.status.success(), "{}", stopped.output);
}
