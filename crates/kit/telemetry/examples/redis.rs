//! A cache in Redis in front of a slow question, and the spans of it.
//!
//! `cargo run -p waypost-telemetry --features redis,testing --example redis -- redis://127.0.0.1:6379`; with a Redis for the
//! time of the run: `cargo xtask stack run sh -c 'cargo run ... --example redis -- $TEST_REDIS_URL'`.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use redis::AsyncCommands as _;
use redis::aio::MultiplexedConnection;
use waypost_telemetry::redis::Traced;
use waypost_telemetry::testing::{SpanTree, TestTelemetry};
use waypost_telemetry::{set, span, with_context};

/// A price, from the cache if it is there.
async fn price(connection: &mut Traced<MultiplexedConnection>, product: &str) -> redis::RedisResult<i64> {
    let key = format!("example:price:{product}");
    let cached: Option<i64> = connection.get(&key).await?;
    set("cache.hit", cached.is_some());
    if let Some(price) = cached {
        return Ok(price);
    }
    let price = span("ask-the-catalogue").observe(async { 4_995 }).await;
    // Half a minute; the next one who asks finds it.
    let () = connection.set_ex(&key, price, 30).await?;
    Ok(price)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "redis://127.0.0.1:6379".to_owned());
    let connection = redis::Client::open(url.as_str())?.get_multiplexed_async_connection().await?;
    // A handle in memory, so that the spans can be shown; a service has one of `waypost_telemetry::init`.
    let telemetry = TestTelemetry::new("price-service");
    let mut connection = telemetry.redis().wrap(connection);

    for name in ["first-request", "second-request"] {
        let asked = span(name).run(price(&mut connection, "prod456"));
        let price = with_context(telemetry.context(), asked).await?;
        println!("{name}: {price}");
    }
    for trace in SpanTree::all(&telemetry.finished_spans()) {
        println!("\n{}", trace.render_with(&["db.query.text", "cache.hit"]));
    }
    Ok(())
}
