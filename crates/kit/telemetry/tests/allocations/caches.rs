//! A look-up in a cache: in memory, in a Redis that answers at once, in a real Memcached.

use async_memcached::{AsciiProtocol as _, Client};
use moka::future::Cache;
use redis::aio::ConnectionLike;
use redis::{AsyncCommands, Cmd, Pipeline, RedisFuture, Value};
use waypost_test_servers::memcached::Keys;

use super::{Bench, assert_adds_at_most};

#[test]
fn a_hit_of_moka() {
    let bench = Bench::new();
    let prices: Cache<u64, i64> = Cache::new(1_000);
    bench.runtime.block_on(prices.insert(456, 4_995));
    let bare = bench.least(async || assert_eq!(prices.get(&456).await, Some(4_995)));
    let prices = bench.telemetry.cache("prices").moka(prices);
    let traced = bench.least(async || assert_eq!(prices.get(&456).await, Some(4_995)));
    assert_adds_at_most(MOKA, bare, traced);
}

/// A connection without a server.
struct Answering;

impl ConnectionLike for Answering {
    fn req_packed_command<'a>(&'a mut self, _: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(std::future::ready(Ok(Value::Int(4_995))))
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

#[test]
fn a_command_of_redis() {
    async fn price(connection: &mut (impl AsyncCommands + Sync)) {
        let price: i64 = connection.get("price:prod456").await.unwrap();
        assert_eq!(price, 4_995);
    }
    let bench = Bench::new();
    let bare = bench.least(async || price(&mut Answering).await);
    let mut connection = bench.telemetry.redis().server("redis.internal", 6379).wrap(Answering);
    let traced = bench.least(async || price(&mut connection).await);
    assert_adds_at_most(REDIS, bare, traced);
}

#[test]
fn a_hit_of_memcached() {
    let (bench, keys) = (Bench::new(), Keys::own());
    let key = format!("{}price", keys.prefix());
    let mut client = bench.runtime.block_on(async {
        let mut client = Client::new(keys.url()).await.unwrap();
        client.set(&key, 4_995_u64, Some(600), None).await.unwrap();
        client
    });
    let bare = bench.least(async || drop(client.get(&key).await.unwrap()));
    let mut client = bench.telemetry.memcached().server("cache.internal", 11_211).wrap(client);
    let traced = bench.least(async || drop(client.get(&key).await.unwrap()));
    assert_adds_at_most(MEMCACHED, bare, traced);
}

const MOKA: u64 = 0;
const REDIS: u64 = 17;
const MEMCACHED: u64 = 9;
