//! The shop many replicas wide, on PostgreSQL, Redis and Kafka, found through etcd; and the load on it.

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
use waypost_testkit::{Client, Collector, Fleet, Role};

use crate::course::{Purchase, Timeouts, Told, course_within};
use crate::shop::receipt;
use crate::verdict::Verdict;

/// Courses at once.
const AT_ONCE: usize = 6;
/// Seeds there is stock for.
const SEEDS: u64 = 20_000;
/// How long an order belongs to its runner without a sign of life.
pub(crate) const LEASE: Duration = Duration::from_secs(2);

const SETTINGS: [(&str, &str); 16] = [
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
        self.fleet_with(replicas, &[], export).await
    }

    /// As [`Servers::fleet`], with more settings, which win.
    pub(crate) async fn fleet_with(
        &self,
        replicas: &[(Role, usize)],
        more: &[(&str, &str)],
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
    pub(crate) async fn verdict(&self, fleet: &Fleet, purchases: Vec<Purchase>) -> Verdict {
        let url = self.database.url();
        let read = async || (audit_server(&url).await, Books::read_server(&url).await);
        let verdict = Verdict::reached(&fleet.gateway(), read, purchases).await;
        verdict.assert_right();
        verdict
    }
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

impl Purchase {
    /// Answers that say nothing of the order. That its key is in use does: it was accepted, and runs. A connection to a
    /// gateway that was killed was no answer.
    fn failed_requests(&self) -> Vec<String> {
        self.told.iter().filter(|told| told.is_no_answer() && !told.is_in_use()).map(Told::summary).collect()
    }
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
