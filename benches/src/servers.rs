//! Durable orders on real servers: embedded, on PostgreSQL alone, and on PostgreSQL with Redis and Kafka, telemetry off and at
//! 100 % to a local sink, alternated in one run.
//!
//! The servers are private ones with their defaults, so each commit is synced; `cargo xtask stack run` says where their
//! programs are. The CPU of the shop and that of each server are counted apart.

use waypost_test_servers::own_kafka::OwnKafka;
use waypost_test_servers::own_postgres::OwnPostgres;
use waypost_test_servers::redis::Server as OwnRedis;

use crate::process::{Waypost, cpu_seconds_of};
use crate::sink::Sink;
use crate::statistics::spread;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Embedded,
    Postgres,
    All,
}

const WAYS: [(&str, Place, bool); 7] = [
    ("embedded, off", Place::Embedded, false),
    ("embedded, 100 %", Place::Embedded, true),
    ("PostgreSQL, off", Place::Postgres, false),
    ("PostgreSQL, 100 %", Place::Postgres, true),
    ("PostgreSQL, Redis, Kafka, off", Place::All, false),
    ("PostgreSQL, Redis, Kafka, 100 %", Place::All, true),
    ("embedded, off (control)", Place::Embedded, false),
];

/// The servers' processes, as the kernel names them.
const SERVERS: [&str; 3] = ["postgres", "redis-server", "java"];

#[derive(Default)]
struct Measured {
    orders_per_second: Vec<f64>,
    p50: Vec<f64>,
    p99: Vec<f64>,
    /// Milliseconds an order, as the next.
    ours: Vec<f64>,
    servers: [Vec<f64>; SERVERS.len()],
}

pub(crate) fn measure(rounds: u32, orders: u32, concurrency: u32) -> anyhow::Result<()> {
    let sink = Sink::start()?;
    let endpoint = format!("http://{}", sink.address);
    let mut measured: [Measured; WAYS.len()] = Default::default();
    for round in 0..rounds {
        let mut order: Vec<_> = measured.iter_mut().zip(WAYS).collect();
        // The order turns round each time, so that a drift hits all alike.
        if round % 2 == 1 {
            order.reverse();
        }
        for (into, (_, place, is_traced)) in order {
            run(into, place, is_traced.then_some(endpoint.as_str()), orders, concurrency)?;
        }
        println!("round {} of {rounds}", round + 1);
    }
    println!("\n{rounds} rounds of {orders} orders at concurrency {concurrency}; median [smallest-largest]");
    println!(
        "| where, telemetry | orders/s | p50 ms | p99 ms | CPU ms an order: ours | PostgreSQL | Redis | Kafka |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for ((name, ..), measured) in WAYS.iter().zip(&measured) {
        print!(
            "| {name} | {} | {} | {} | {} |",
            spread(&measured.orders_per_second, 0),
            spread(&measured.p50, 1),
            spread(&measured.p99, 1),
            spread(&measured.ours, 2),
        );
        for server in &measured.servers {
            print!(" {} |", spread(server, 2));
        }
        println!();
    }
    Ok(())
}

fn run(
    into: &mut Measured,
    place: Place,
    endpoint: Option<&str>,
    orders: u32,
    concurrency: u32,
) -> anyhow::Result<()> {
    let postgres = (place != Place::Embedded).then(|| OwnPostgres::start(&[]));
    let others = (place == Place::All).then(|| (OwnRedis::start(), OwnKafka::start()));
    let mut environment = Vec::new();
    if let Some(postgres) = &postgres {
        environment.push(("WAYPOST_DATABASE__KIND", "postgres".to_owned()));
        environment.push(("WAYPOST_DATABASE__URL", postgres.url()));
    }
    if let Some((redis, kafka)) = &others {
        environment.push(("WAYPOST_CACHE__KIND", "redis".to_owned()));
        environment.push(("WAYPOST_CACHE__REDIS__URLS", redis.url()));
        environment.push(("WAYPOST_BROKER__KIND", "kafka".to_owned()));
        environment.push(("WAYPOST_BROKER__KAFKA__BROKERS", kafka.address()));
    }
    let mut arguments = vec!["--no-first-order", "--no-viewer"];
    match endpoint {
        Some(endpoint) => arguments.extend(["--export", endpoint]),
        None => environment.push(("OTEL_SDK_DISABLED", "true".to_owned())),
    }
    let environment: Vec<(&str, &str)> =
        environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let folder = tempfile::tempdir()?;
    let waypost = Waypost::up(&folder.path().join("data"), &arguments, &environment)?;
    waypost.load(orders / 10, concurrency)?;
    waypost.wait_until_idle()?;

    let used = || -> anyhow::Result<[f64; 4]> {
        let [postgres, redis, java] = SERVERS;
        Ok([waypost.cpu_seconds()?, cpu_seconds_of(postgres)?, cpu_seconds_of(redis)?, cpu_seconds_of(java)?])
    };
    let before = used()?;
    let report = waypost.load(orders, concurrency)?;
    waypost.wait_until_idle()?;
    let [ours, servers @ ..] = used()?;
    let [ours_before, servers_before @ ..] = before;

    anyhow::ensure!(report["unexpected"] == 0, "unexpected answers: {report}");
    let completed = &report["outcomes"]["completed"];
    into.orders_per_second.extend(report["completed_per_second"].as_f64());
    into.p50.extend(completed["p50_ms"].as_f64());
    into.p99.extend(completed["p99_ms"].as_f64());
    let an_order = |seconds: f64| seconds * 1000.0 / f64::from(orders);
    into.ours.push(an_order(ours - ours_before));
    for ((into, after), before) in into.servers.iter_mut().zip(servers).zip(servers_before) {
        into.push(an_order(after - before));
    }
    Ok(())
}
