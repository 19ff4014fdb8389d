//! The shop many replicas wide, on PostgreSQL, Redis and Kafka, found through etcd: one replica after the other is killed
//! under load, and nobody notices.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use waypost_telemetry::FinishedSpan;
use waypost_test_servers::etcd;
use waypost_test_servers::kafka::Topics;
use waypost_test_servers::postgres::{Database, execute};
use waypost_test_servers::redis::Keys;
use waypost_testkit::audit::{Books, audit_server};
use waypost_testkit::{Behaviour, Client, Collector, Fleet, Role, until};

use crate::course::{Purchase, Timeouts, Told, course_within};
use crate::shop::receipt;
use crate::verdict::Verdict;
use crate::{alone, number};

/// Kills unless `KILLS` says otherwise; 120 take about five minutes.
const KILLS: u64 = 12;
/// Courses at once.
const AT_ONCE: usize = 6;
/// Seeds there is stock for.
const SEEDS: u64 = 20_000;

/// How long an order belongs to its runner without a sign of life.
const LEASE: Duration = Duration::from_secs(2);

/// How many of each role there are. Of the provider, which is outside, and of users and notifications there is one.
pub(crate) const REPLICAS: [(Role, usize); 7] = [
    (Role::Provider, 1),
    (Role::User, 1),
    (Role::Inventory, 2),
    (Role::Payment, 2),
    (Role::Order, 3),
    (Role::Notification, 1),
    (Role::Gateway, 2),
];

const SETTINGS: [(&str, &str); 17] = [
    ("runtime.worker_threads", "1"),
    ("database.kind", "postgres"),
    ("database.max_connections", "6"),
    ("broker.kind", "kafka"),
    ("cache.kind", "redis"),
    ("gateway.order_service", "etcd:///order"),
    ("gateway.user_service", "etcd:///user"),
    ("gateway.inventory_service", "etcd:///inventory"),
    ("order.inventory_target", "etcd:///inventory"),
    ("order.payment_target", "etcd:///payment"),
    ("gateway.auth", "demo"),
    ("gateway.rate_limit.enabled", "false"),
    ("user.seed", "true"),
    // `LEASE`.
    ("order.lease", "2s"),
    ("order.sweep_interval", "200ms"),
    // A busy machine may take long to hand on that an order was accepted.
    ("order.answer_margin", "600ms"),
    ("telemetry.logs.filter", "warn,waypost=info"),
];

/// Everything that the replicas share.
pub(crate) struct Servers {
    database: Database,
    keys: Keys,
    topics: Topics,
    etcd: etcd::Server,
}

impl Servers {
    pub(crate) fn start() -> Servers {
        Servers {
            database: Database::create(),
            keys: Keys::own(),
            topics: Topics::own(),
            etcd: etcd::Server::start(),
        }
    }

    /// The replicas, started, with stock for the courses.
    pub(crate) async fn fleet(&self, replicas: &[(Role, usize)], export: Option<String>) -> Fleet {
        self.fleet_with(&[], replicas, export).await
    }

    /// The same, with more settings.
    pub(crate) async fn fleet_with(
        &self,
        more: &[(&str, &str)],
        replicas: &[(Role, usize)],
        export: Option<String>,
    ) -> Fleet {
        let (url, etcd) = (self.database.url(), self.etcd.url());
        let topics = self.topics.name("");
        let servers = [
            ("database.url", url.as_str()),
            ("broker.kafka.brokers", self.topics.bootstrap()),
            ("broker.kafka.prefix", &topics),
            ("cache.redis.urls", self.keys.url()),
            ("cache.redis.prefix", self.keys.prefix()),
            ("discovery.etcd.endpoints", &etcd),
        ];
        let settings = [&SETTINGS[..], &servers, more].concat();
        let mut fleet = Fleet::prepare(env!("CARGO_BIN_EXE_waypost"), &settings, export).await.unwrap();
        let receipt = receipt(0..SEEDS, "to_timestamp(0)");
        execute(&url, format!("SET search_path = waypost_inventory; {receipt}")).unwrap();
        for (role, count) in replicas {
            for _ in 0..*count {
                fleet.add(*role).await.unwrap();
            }
        }
        fleet
    }

    /// What the books and the clients say in the end, which has to be right.
    pub(crate) async fn verdict(&self, gateway: &Client, purchases: Vec<Purchase>) -> Verdict {
        let url = self.database.url();
        let read = async || (audit_server(&url).await, Books::read_server(&url).await);
        let verdict = Verdict::reached(gateway, read, purchases).await;
        verdict.assert_right();
        verdict
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_are_killed_under_load_and_nobody_notices() {
    let _alone = alone().await;
    let (servers, collector) = (Servers::start(), Collector::start(Behaviour::Takes).unwrap());
    let mut fleet = servers.fleet(&REPLICAS, Some(collector.endpoint())).await;
    let roles = places();
    let is_twin = |role: &Role| roles.iter().filter(|other| *other == role).count() > 1;
    let killable: Vec<usize> = (0..roles.len()).filter(|place| is_twin(&roles[*place])).collect();
    let load = Load::start(&fleet.gateway());
    let mut random = fastrand::Rng::with_seed(number("SEED").unwrap_or(1));
    let mut killed: BTreeMap<Role, usize> = BTreeMap::new();
    for _ in 0..number("KILLS").unwrap_or(KILLS) {
        // The moments are the subject of the test, not waits for a state.
        tokio::time::sleep(Duration::from_millis(random.u64(500..2000))).await;
        let place = killable[random.usize(..killable.len())];
        *killed.entry(roles[place]).or_default() += 1;
        fleet.kill(place).await.unwrap();
        tokio::time::sleep(Duration::from_millis(random.u64(0..1500))).await;
        fleet.start(place).await.unwrap();
    }
    let purchases = load.stop().await;
    println!("killed: {killed:?}");

    let verdict = servers.verdict(&fleet.gateway(), purchases).await;
    no_request_failed(&verdict, &collector);
    no_first_request_met_its_own_order(&verdict);
    each_order_is_one_trace(&verdict, &collector).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_are_replaced_one_by_one_and_nobody_notices() {
    let _alone = alone().await;
    let (servers, collector) = (Servers::start(), Collector::start(Behaviour::Takes).unwrap());
    let mut fleet = servers.fleet(&REPLICAS, Some(collector.endpoint())).await;
    let roles = places();
    let load = Load::start(&fleet.gateway());
    for (place, role) in roles.iter().enumerate() {
        if roles.iter().filter(|other| *other == role).count() > 1 {
            // As a deployment does: the next one is stopped when this one is ready again.
            fleet.stop(place).await.unwrap();
            fleet.start(place).await.unwrap();
        }
    }
    let verdict = servers.verdict(&fleet.gateway(), load.stop().await).await;
    no_request_failed(&verdict, &collector);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_runner_that_wakes_after_it_was_replaced_changes_nothing() {
    let _alone = alone().await;
    let (servers, collector) = (Servers::start(), Collector::start(Behaviour::Takes).unwrap());
    let fleet = servers.fleet(&REPLICAS, Some(collector.endpoint())).await;
    let roles = places();
    let orders: Vec<usize> = (0..roles.len()).filter(|place| roles[*place] == Role::Order).collect();
    let load = Load::start(&fleet.gateway());
    for place in orders.iter().cycle().take(number("STOPS").unwrap_or(4).try_into().unwrap()) {
        // The moment and the length, longer than the lease of an order, are the subject of the test.
        tokio::time::sleep(Duration::from_millis(1500)).await;
        fleet.signal(*place, "STOP").unwrap();
        tokio::time::sleep(2 * LEASE).await;
        fleet.signal(*place, "CONT").unwrap();
    }
    servers.verdict(&fleet.gateway(), load.stop().await).await;
    let refused = collector
        .spans()
        .into_iter()
        .filter(|span| span.attribute("error.type").is_some_and(|value| value.as_str() == "stale_runner"));
    println!("{} calls of runners that were replaced were refused", refused.count());
}

/// The role of each replica.
fn places() -> Vec<Role> {
    REPLICAS.iter().flat_map(|(role, count)| vec![*role; *count]).collect()
}

pub(crate) fn no_request_failed(verdict: &Verdict, collector: &Collector) {
    let failed: Vec<String> = verdict.purchases.iter().flat_map(Purchase::failed_requests).collect();
    assert!(
        failed.is_empty(),
        "{} requests with a key failed: {failed:#?}\n{}",
        failed.len(),
        unanswered(collector)
    );
}

/// Where the time went of the requests that got no answer: the spans of each, as far as they were sent.
fn unanswered(collector: &Collector) -> String {
    let is_failed = |span: &FinishedSpan| {
        let status =
            span.attribute("http.response.status_code").and_then(|value| value.to_string().parse().ok());
        span.name() == "POST /api/orders" && status.is_some_and(|status: u16| status >= 500)
    };
    let mut text = String::new();
    for failed in collector.spans().iter().filter(|span| is_failed(span)) {
        let mut trace = collector.trace(&failed.trace_id().to_string());
        trace.sort_by_key(FinishedSpan::start);
        for span in trace {
            let (service, name, took) = (span.service_name(), span.name(), span.duration());
            let after = span.start().duration_since(failed.start()).unwrap_or_default();
            let error = span.attribute("error.type").map(ToString::to_string).unwrap_or_default();
            writeln!(text, "+{after:.1?} {took:.1?} {service} {name} {error}").unwrap();
        }
        text.push('\n');
    }
    text
}

/// What a gateway repeats of itself is answered as the first try would have been.
fn no_first_request_met_its_own_order(verdict: &Verdict) {
    let in_use =
        |purchase: &&Purchase| purchase.told.iter().any(|told| told.sending == 1 && told.is_in_use());
    let told: Vec<&Purchase> = verdict.purchases.iter().filter(in_use).collect();
    assert!(told.is_empty(), "{} first requests were told that their key is in use: {told:#?}", told.len());
}

impl Purchase {
    /// Answers that say nothing of the order. That its key is in use does: it was accepted, and runs. A connection to a
    /// gateway that was killed was no answer.
    fn failed_requests(&self) -> Vec<String> {
        self.told.iter().filter(|told| told.is_no_answer() && !told.is_in_use()).map(Told::summary).collect()
    }
}

/// All that was done for an order, by whichever replica, is in the trace of the request that created it: from the gateway to
/// the message to the user. A replica that is killed takes the spans along that it has not sent, so not every span has
/// its parent.
async fn each_order_is_one_trace(verdict: &Verdict, collector: &Collector) {
    let completed: Vec<&str> = {
        let completed = verdict.books.orders.values().filter(|order| order.status == "completed");
        completed.map(|order| order.id.as_str()).collect()
    };
    let told = || collector.spans().into_iter().filter(|span| span.name() == "process order-events");
    until("every order that was completed to be told", async || {
        let of: BTreeSet<String> =
            told().filter_map(|span| span.attribute("order.id").map(ToString::to_string)).collect();
        completed.iter().all(|order| of.contains(*order))
    })
    .await;
    let mut whole = 0;
    for span in told() {
        let trace = collector.trace(&span.trace_id().to_string());
        let services: BTreeSet<&str> = trace.iter().map(FinishedSpan::service_name).collect();
        assert!(services.contains("notification-service"), "{services:?}");
        let ids: HashSet<_> = trace.iter().map(FinishedSpan::span_id).collect();
        let roots = trace.iter().filter(|span| span.parent_id().is_none()).count();
        let orphans =
            trace.iter().filter(|span| span.parent_id().is_some_and(|parent| !ids.contains(&parent))).count();
        whole += usize::from(roots == 1 && orphans == 0);
    }
    println!("{} orders completed, {whole} of their traces without a hole", completed.len());
    assert!(whole * 10 > completed.len() * 8, "only {whole} of {} traces are whole", completed.len());
}

/// Courses one after the other, several at once, until they are stopped.
pub(crate) struct Load {
    ends: Arc<AtomicBool>,
    courses: JoinSet<Vec<Purchase>>,
}

impl Load {
    pub(crate) fn start(gateway: &Client) -> Load {
        let (next, ends) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let mut courses = JoinSet::new();
        for _ in 0..AT_ONCE {
            let (gateway, next, ends) = (gateway.clone(), Arc::clone(&next), Arc::clone(&ends));
            courses.spawn(async move {
                let mut purchases = Vec::new();
                while !ends.load(Ordering::SeqCst) {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    assert!(seed < SEEDS, "there is no stock for more");
                    purchases.extend(course_within(Timeouts::LONG, seed, gateway.clone()).await);
                }
                purchases
            });
        }
        Load { ends, courses }
    }

    /// Lets the courses under way end.
    pub(crate) async fn stop(self) -> Vec<Purchase> {
        self.ends.store(true, Ordering::SeqCst);
        self.courses.join_all().await.into_iter().flatten().collect()
    }
}
