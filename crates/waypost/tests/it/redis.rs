//! Gateways and user services that share a Redis, and buyers who do not notice that it is in trouble.

use std::net::SocketAddr;
use std::path::Path;

use serde_json::Value;
use tempfile::tempdir;
use waypost_test_servers::postgres::{Database, execute};
use waypost_test_servers::redis::{Keys, Server};
use waypost_testkit::{Answer, Client, Process, Shop, ShopBuilder, program, until};

const ORDER: &str = r#"{"user_id":"user123","product_id":"prod456","quantity":2,"amount":99.99}"#;

const BINARY: &str = env!("CARGO_BIN_EXE_waypost");

/// A shop on a Redis, whose callers are counted: in demo those of this machine are not.
fn shop(url: &str, prefix: &str) -> ShopBuilder {
    Shop::of(BINARY)
        .set("gateway.auth", "required")
        .set("cache.kind", "redis")
        .set("cache.redis.urls", url)
        .set("cache.redis.prefix", prefix)
}

/// A gateway of its own in front of the services of a shop.
async fn second_gateway(shop: &Shop, folder: &Path, settings: &[(&str, &str)]) -> (Process, Client) {
    let target = |role: &str| format!("http://{}", shop.address(role));
    let mut set: Vec<String> =
        ["order", "user", "inventory"].map(|role| format!("gateway.{role}_service={}", target(role))).into();
    // After those, so that one can be replaced.
    set.extend(settings.iter().map(|(key, value)| format!("{key}={value}")));
    let mut command = program::command(BINARY, folder);
    command.args(["run", "gateway", "--gateway", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    command.args(set.iter().flat_map(|setting| ["--set", setting.as_str()]));
    command.env("WAYPOST_TELEMETRY__LOGS__FORMAT", "json").env("OTEL_TRACES_EXPORTER", "none");
    let mut process = Process::start(&mut command).unwrap();
    let client = Client::new(program::address_of(&mut process, "gateway").await.unwrap());
    program::is_ready(&mut process).await.unwrap();
    (process, client)
}

/// The sum of a metric of the process.
async fn metric(admin: &Client, family: &str) -> u64 {
    let page = admin.get("/metrics").await.unwrap();
    let lines = page.text().lines().filter(|line| line.starts_with(&format!("{family}{{")));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}

/// `waypost load` with so many orders that succeed, at a rate that lets something happen meanwhile.
fn load(gateway: SocketAddr, orders: &str) -> Process {
    let mut command = program::command(BINARY, Path::new("."));
    command
        .args(["load", "--json", "--target", &format!("http://{gateway}"), "--password", "waypost-demo"])
        .args(["--mix", "success=1", "--orders", orders, "--rate", "40", "-n", "32"]);
    Process::start(&mut command).unwrap()
}

async fn report(load: Process) -> Value {
    serde_json::from_str(&load.ended().await.unwrap().out).unwrap()
}

/// Every order was answered with one.
fn no_buyer_noticed(report: &Value, orders: u64) {
    let count = |outcome: &str| report["outcomes"][outcome]["count"].as_u64().unwrap_or_default();
    assert_eq!(count("completed") + count("pending"), orders, "{report}");
    assert_eq!(report["unexpected"], 0, "{report}");
}

/// A shop that asks Redis for nearly every order, twice.
fn busy_shop(server: &Server) -> ShopBuilder {
    shop(&server.url(), "waypost:")
        .set("gateway.rate_limit.requests", 1_000_000)
        .set("gateway.login_limit.requests", 1_000_000)
        .set("user.cache_time", "8ms")
        // A machine that builds meanwhile is slow, which is not what is asked here.
        .set("gateway.budget", "10s")
        .set("cache.redis.retry_pause", "100ms")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_gateways_hold_a_caller_to_one_rate() {
    let keys = Keys::own();
    let rate = [("gateway.rate_limit.requests", "20"), ("gateway.rate_limit.per", "1h")];
    let common = [
        ("cache.kind", "redis"),
        ("cache.redis.urls", keys.url()),
        ("cache.redis.prefix", keys.prefix()),
        ("cache.redis.command_timeout", "10s"),
    ];
    let mut first = shop(keys.url(), keys.prefix()).set("cache.redis.command_timeout", "10s");
    for (key, value) in rate {
        first = first.set(key, value);
    }
    let first = first.start().await.unwrap();
    let folder = tempdir().unwrap();
    let settings: Vec<_> = rate.into_iter().chain(common).collect();
    let (_second, second) = second_gateway(&first, folder.path(), &settings).await;
    let gateways = [first.client("gateway"), second];

    let mut allowed = 0;
    for number in 0..40 {
        let answer = gateways[number % 2].get("/api/products/prod456").await.unwrap();
        assert_eq!(answer.header("ratelimit-policy"), "\"default\";q=20;w=3600");
        if answer.status == 200 {
            allowed += 1;
            assert!(
                answer.header("ratelimit").starts_with(&format!("\"default\";r={};t=", 20 - allowed)),
                "{answer:?}"
            );
        } else {
            assert_eq!(answer.status, 429, "{answer:?}");
            assert_eq!(answer.problem()["code"], "rate_limited");
            assert!(answer.header("retry-after").parse::<u64>().unwrap() <= 180, "{answer:?}");
        }
    }
    assert_eq!(allowed, 20, "of both together");
}

/// A user service of its own, with the demo users.
async fn second_user_service(folder: &Path, settings: &[(&str, &str)]) -> (Process, SocketAddr) {
    let mut command = program::command(BINARY, folder);
    command.args(["run", "user", "--user", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    command.args(["--set", "user.seed=true"]);
    let set = settings.iter().map(|(key, value)| format!("{key}={value}"));
    command.args(set.flat_map(|setting| ["--set".to_owned(), setting]));
    command.env("WAYPOST_TELEMETRY__LOGS__FORMAT", "json").env("OTEL_TRACES_EXPORTER", "none");
    let mut process = Process::start(&mut command).unwrap();
    let address = program::address_of(&mut process, "user").await.unwrap();
    program::is_ready(&mut process).await.unwrap();
    (process, address)
}

async fn log_in(gateway: &Client, password: &str) -> Answer {
    let body = format!(r#"{{"user_id":"user123","password":"{password}"}}"#);
    gateway.post("/api/login", &[], &body).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_who_is_deactivated_orders_nowhere_although_copies_are_kept_for_long() {
    let (database, mut server) = (Database::create(), Server::start());
    let (url, redis) = (database.url(), server.url());
    let common = [
        ("cache.kind", "redis"),
        ("cache.redis.urls", &*redis),
        ("cache.redis.command_timeout", "10s"),
        ("cache.redis.retry_pause", "100ms"),
        ("user.cache_time", "1h"),
        ("database.kind", "postgres"),
    ];
    let mut first = Shop::of(BINARY).on_postgres(&url);
    for (key, value) in common {
        first = first.set(key, value);
    }
    let first = first.start().await.unwrap();
    let (users, folder) = (tempdir().unwrap(), tempdir().unwrap());
    let of_users = [&common[..], &[("database.url", url.as_str())]].concat();
    let (_users, address) = second_user_service(users.path(), &of_users).await;
    let target = format!("http://{address}");
    let settings = [
        ("gateway.user_service", target.as_str()),
        ("gateway.auth", "demo"),
        ("gateway.require_idempotency_key", "false"),
    ];
    let (_second, second) = second_gateway(&first, folder.path(), &settings).await;
    let gateways = [first.client("gateway"), second];
    let order = async |gateway: &Client| gateway.post("/api/orders", &[], ORDER).await.unwrap();
    let set_active = |is_active: bool| {
        let sql = format!("UPDATE waypost_user.users SET is_active = {is_active} WHERE user_id = 'user123'");
        execute(&url, sql).unwrap();
    };

    for is_redis_there in [true, false] {
        // Twice, so that each service has a copy of its own, and Redis one.
        for gateway in gateways.iter().chain(&gateways) {
            assert_eq!(order(gateway).await.status, 201);
        }
        if is_redis_there {
            assert_eq!(server.command(&["EXISTS", "waypost:copy:users:user123"]), ":1");
        } else {
            server.kill();
        }
        set_active(false);
        for gateway in &gateways {
            until("the change to be known", async || order(gateway).await.status == 403).await;
            assert_eq!(order(gateway).await.problem()["code"], "user_inactive");
        }
        set_active(true);
        for gateway in &gateways {
            until("the change back to be known", async || order(gateway).await.status == 201).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_of_another_user_is_none() {
    let server = Server::start();
    let shop = shop(&server.url(), "waypost:")
        .set("gateway.auth", "demo")
        .set("user.cache_time", "1h")
        .set("cache.redis.command_timeout", "10s")
        .start()
        .await
        .unwrap();
    let gateway = shop.client("gateway");
    let order = async |user: &str| {
        let order = ORDER.replace("user123", user);
        gateway.post("/api/orders", &[], &order).await.unwrap()
    };
    assert_eq!(order("user123").await.status, 201);
    // Somebody who may write to Redis puts the copy of a user who may order in the place of one who may not.
    let copy = ["COPY", "waypost:copy:users:user123", "waypost:copy:users:user-inactive"];
    assert_eq!(server.command(&copy), ":1");
    assert_eq!(order("user-inactive").await.status, 403);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_passwords_at_two_user_services_count_together() {
    let keys = Keys::own();
    let common = [
        ("cache.kind", "redis"),
        ("cache.redis.urls", keys.url()),
        ("cache.redis.prefix", keys.prefix()),
        ("cache.redis.command_timeout", "10s"),
        ("user.login_failures", "4"),
        ("user.login_wait", "5m"),
    ];
    let mut first = shop(keys.url(), keys.prefix());
    for (key, value) in common {
        first = first.set(key, value);
    }
    let first = first.start().await.unwrap();
    let (users, folder) = (tempdir().unwrap(), tempdir().unwrap());
    let (_users, address) = second_user_service(users.path(), &common).await;
    let target = format!("http://{address}");
    let settings = [&common[..], &[("gateway.user_service", &target)]].concat();
    let (_second, second) = second_gateway(&first, folder.path(), &settings).await;
    let gateways = [first.client("gateway"), second];

    // A right one forgets the wrong ones before it, wherever they were counted.
    assert_eq!(log_in(&gateways[0], "wrong").await.status, 401);
    assert_eq!(log_in(&gateways[1], "waypost-demo").await.status, 200);
    for number in 0..4 {
        assert_eq!(log_in(&gateways[number % 2], "wrong").await.status, 401);
    }
    for gateway in &gateways {
        let refused = log_in(gateway, "waypost-demo").await;
        assert_eq!(refused.status, 429, "of both together: {refused:?}");
        assert_eq!(refused.problem()["code"], "rate_limited");
        let wait = refused.header("retry-after").parse::<u64>().unwrap();
        assert!((200..=300).contains(&wait), "{refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_passwords_are_counted_alone_while_redis_is_away() {
    let mut server = Server::start();
    let shop = shop(&server.url(), "waypost:")
        .set("user.login_failures", "3")
        .set("user.login_wait", "5m")
        .start()
        .await
        .unwrap();
    let gateway = shop.client("gateway");
    assert_eq!(log_in(&gateway, "wrong").await.status, 401);
    assert_eq!(server.command(&["EXISTS", "waypost:failures:login:user123 127.0.0.1"]), ":1");
    // Silent first and then gone: a login waits for a time-out at most.
    server.pause();
    assert_eq!(log_in(&gateway, "waypost-demo").await.status, 200);
    server.kill();
    for status in [401, 401, 401, 429, 429] {
        assert_eq!(log_in(&gateway, "wrong").await.status, status);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_logins_are_refused_where_that_is_set() {
    let mut server = Server::start();
    server.kill();
    let shop = shop(&server.url(), "waypost:").set("user.login_when_away", "closed").start().await.unwrap();
    let gateway = shop.client("gateway");
    let refused = log_in(&gateway, "waypost-demo").await;
    assert_eq!((refused.status.as_u16(), refused.header("retry-after")), (503, "1"), "{refused:?}");
    assert_eq!(refused.problem()["code"], "unavailable");
    server.restart();
    until("it is found", async || log_in(&gateway, "waypost-demo").await.status == 200).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_buyer_notices_that_redis_is_killed_and_comes_back() {
    let mut server = Server::start();
    let shop = busy_shop(&server).start().await.unwrap();
    let (admin, gateway) = (shop.client("admin"), shop.client("gateway"));
    let load = load(shop.address("gateway"), "200");
    until("orders come through Redis", async || server.command(&["DBSIZE"]) != ":0").await;
    server.kill();
    until("requests go on without it", async || {
        assert_eq!(gateway.get("/api/products/prod456").await.unwrap().status, 200);
        metric(&admin, "waypost_redis_skipped_total").await > 20
    })
    .await;
    assert!(metric(&admin, "waypost_rate_limit_uncounted_total").await > 0);
    server.restart();
    until("both roles are connected", async || metric(&admin, "waypost_redis_connected").await == 2).await;
    until("rates are counted again", async || {
        let answer = gateway.get("/api/products/prod456").await.unwrap();
        assert_eq!(answer.status, 200);
        !answer.header("ratelimit").is_empty()
    })
    .await;
    no_buyer_noticed(&report(load).await, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_buyer_notices_that_redis_hangs() {
    let server = Server::start();
    let shop = busy_shop(&server).start().await.unwrap();
    let (admin, gateway) = (shop.client("admin"), shop.client("gateway"));
    let load = load(shop.address("gateway"), "200");
    until("orders come through Redis", async || server.command(&["DBSIZE"]) != ":0").await;
    server.pause();
    until("requests go on without it", async || {
        assert_eq!(gateway.get("/api/products/prod456").await.unwrap().status, 200);
        metric(&admin, "waypost_redis_skipped_total").await > 50
    })
    .await;
    // A few time-outs of requests side by side, and then none.
    let failures = metric(&admin, "waypost_redis_failures_total").await;
    server.go_on();
    until("both roles are connected", async || metric(&admin, "waypost_redis_connected").await == 2).await;
    no_buyer_noticed(&report(load).await, 200);
    println!("{failures} time-outs");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_buyer_notices_that_redis_is_full() {
    for policy in ["allkeys-lru", "noeviction"] {
        let server = Server::start_with(&["--maxmemory", "1mb", "--maxmemory-policy", policy]);
        let shop = busy_shop(&server).start().await.unwrap();
        // Beyond what it may use from the start: it evicts at once, or refuses every write.
        no_buyer_noticed(&report(load(shop.address("gateway"), "100")).await, 100);
        if policy == "noeviction" {
            let admin = shop.client("admin");
            assert!(metric(&admin, "waypost_redis_failures_total").await > 0);
            let page = admin.get("/readyz?verbose").await.unwrap();
            assert_eq!(page.status, 200);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_without_redis_serves_and_tells() {
    let mut server = Server::start();
    server.kill();
    let shop = shop(&server.url(), "waypost:").set("gateway.auth", "demo").start().await.unwrap();
    let answer = shop.client("gateway").post("/api/orders", &[], ORDER).await.unwrap();
    assert_eq!(answer.status, 201, "{answer:?}");
    let page = shop.client("admin").get("/readyz?verbose").await.unwrap();
    assert_eq!(page.status, 200, "a role without Redis may be given work");
    for role in ["gateway", "user"] {
        let line = format!("warn {role}/redis: {}: ", server.url());
        assert!(page.text().contains(&line), "{line} in {}", page.text());
    }
    let output = shop.stop().await.unwrap().output;
    assert!(output.contains("Redis is away; requests go on without it"), "{output}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gateways_that_share_a_redis_and_no_token_keys_are_told() {
    let (server, folder) = (Server::start(), tempdir().unwrap());
    let file = folder.path().join("token-keys.toml");
    std::fs::write(&file, format!("[[keys]]\nkid = \"a\"\nsecret = \"{}\"\n", "a".repeat(40))).unwrap();
    let warning = "gateways that share a Redis share no token keys";
    let without = shop(&server.url(), "waypost:").start().await.unwrap().stop().await.unwrap().output;
    assert!(without.contains(warning), "{without}");
    let with = shop(&server.url(), "waypost:").set("gateway.tokens.keys_file", file.display());
    let with = with.start().await.unwrap().stop().await.unwrap().output;
    assert!(!with.contains(warning), "{with}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_each_rate_decides_whether_requests_go_on() {
    let mut server = Server::start();
    server.kill();
    let shop =
        shop(&server.url(), "waypost:").set("gateway.rate_limit.when_away", "closed").start().await.unwrap();
    let gateway = shop.client("gateway");
    let refused = gateway.get("/api/products/prod456").await.unwrap();
    assert_eq!((refused.status.as_u16(), refused.header("retry-after")), (503, "1"), "{refused:?}");
    assert_eq!(refused.problem()["code"], "unavailable");
    server.restart();
    until("it is found", async || gateway.get("/api/products/prod456").await.unwrap().status == 200).await;
}

#[tokio::test]
async fn a_redis_that_cannot_be_meant_is_refused_before_anything_is_bound() {
    let folder = tempdir().unwrap();
    let set = |setting: &str| ["--set".to_owned(), setting.to_owned()];
    for (settings, expected) in [
        (
            vec!["cache.redis.urls=localhost:6379"],
            "cache.redis.urls: an address is written `redis://host:port`",
        ),
        (vec!["cache.redis.urls=redis://:hunter2@h:1"], "cache.redis.urls: holds a user or a password"),
        (vec!["cache.redis.topology=sentinel"], "cache.redis.master: goes with"),
        (
            vec!["cache.redis.ca_file=/no/such/file", "cache.redis.urls=rediss://127.0.0.1:1"],
            "cache.redis.ca_file: /no/such/file cannot be read",
        ),
    ] {
        let mut command = program::command(BINARY, folder.path());
        command.args(["run", "gateway", "--gateway", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
        command.args(set("cache.kind=redis")).args(settings.into_iter().flat_map(set));
        let ended = Process::start(&mut command).unwrap().ended().await.unwrap();
        assert_eq!(ended.status.code(), Some(64), "{}", ended.output);
        assert!(ended.output.contains(expected), "{expected} in {}", ended.output);
        assert!(!ended.output.contains("hunter2"), "{}", ended.output);
    }
}
