//! A `GET` of a Redis that answers at once, and a hit of a cache in memory. Nobody else has an integration of these.

use std::hint::black_box;

use ::moka::future::Cache;
use ::redis::aio::ConnectionLike;
use ::redis::{AsyncCommands, Cmd, Pipeline, RedisFuture, Value};

use super::Calls;
use super::setup::Peer;

/// A connection without a server.
#[derive(Clone)]
struct Answering;

impl ConnectionLike for Answering {
    fn req_packed_command<'a>(&'a mut self, _: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(std::future::ready(Ok(Value::Int(4_999))))
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        _: &'a Pipeline,
        _: usize,
        _: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    fn get_db(&self) -> i64 {
        0
    }
}

pub(super) async fn redis(peer: &Peer, calls: &mut Calls) -> anyhow::Result<()> {
    match peer.kit() {
        Some(kit) => {
            let mut connection = kit.redis().server("redis.internal", 6379).wrap(Answering);
            calls.each(async || price(&mut connection).await).await
        }
        None => calls.each(async || price(&mut Answering).await).await,
    }
}

async fn price(connection: &mut (impl AsyncCommands + Send + Sync)) -> anyhow::Result<()> {
    black_box(connection.get::<_, i64>("price:prod456").await?);
    Ok(())
}

pub(super) async fn moka(peer: &Peer, calls: &mut Calls) -> anyhow::Result<()> {
    let prices: Cache<u64, i64> = Cache::new(1_000);
    prices.insert(456, 4_999).await;
    let Some(kit) = peer.kit() else {
        return calls
            .each(async || {
                black_box(prices.get(&456).await);
                Ok(())
            })
            .await;
    };
    let prices = kit.cache("prices").moka(prices);
    calls
        .each(async || {
            black_box(prices.get(&456).await);
            Ok(())
        })
        .await
}
