//! A cache in Memcached in front of a slow question, and the spans of it.
//!
//! `cargo run -p waypost-telemetry --features memcached,testing --example memcached -- tcp://127.0.0.1:11211`; with a Memcached for
//! the time of the run: `cargo xtask stack run sh -c 'cargo run ... --example memcached -- $TEST_MEMCACHED_URL'`.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use async_memcached::{Client, Error};
use waypost_telemetry::memcached::Traced;
use waypost_telemetry::testing::{SpanTree, TestTelemetry};
use waypost_telemetry::{span, with_context};

/// A price, from the cache if it is there.
async fn price(client: &mut Traced<Client>, key: &str) -> Result<String, Error> {
    if let Some(cached) = client.get(key).await?.and_then(|value| value.data) {
        return Ok(String::from_utf8_lossy(&cached).into_owned());
    }
    let price = span("ask-the-catalogue").observe(async { "4995".to_owned() }).await;
    // Half a minute; the next one who asks finds it.
    client.set(key, &price, Some(30), None).await?;
    Ok(price)
}

/// What happened, as text.
pub(crate) async fn story(url: &str) -> Result<String, Error> {
    // A handle in memory, so that the spans can be shown; a service has one of `waypost_telemetry::init`.
    let telemetry = TestTelemetry::new("price-service");
    // The only change: the client is wrapped where it is made.
    let mut client = telemetry.memcached().cache_name("prices").wrap(Client::new(url).await?);
    let key = format!("example:{}", std::process::id());
    let mut story = String::new();
    for _ in 0..2 {
        let asked = span("request").run(price(&mut client, &key));
        story.push_str(&with_context(telemetry.context(), asked).await?);
        story.push('\n');
    }
    client.delete(&key).await?;
    for trace in SpanTree::all(&telemetry.finished_spans()) {
        story.push('\n');
        story.push_str(&trace.render_with(&["cache.hit", "db.query.text"]));
    }
    Ok(story)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1).ok_or("the URL of a Memcached is needed")?;
    println!("{}", story(&url).await?);
    Ok(())
}
