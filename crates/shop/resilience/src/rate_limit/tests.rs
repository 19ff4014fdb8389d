use futures_util::FutureExt as _;
use governor::clock::FakeRelativeClock;
use waypost_telemetry::testing::TestTelemetry;

use super::*;

struct Rate {
    limiter: Limiter,
    buckets: Arc<Buckets<FakeRelativeClock>>,
}

fn limiter(limit: u32, seconds: u64, max_keys: usize) -> (Rate, FakeRelativeClock) {
    let clock = FakeRelativeClock::default();
    let rule = Rule {
        name: "default",
        limit: NonZeroU32::new(limit).unwrap(),
        window: Duration::from_secs(seconds),
    };
    let buckets = Arc::new(Buckets::with_clock(rule, max_keys, clock.clone()));
    let limiter = Limiter::new(&Telemetry::disabled(), Arc::clone(&buckets) as Arc<dyn RateStore>);
    (Rate { limiter, buckets }, clock)
}

impl Rate {
    /// The embedded store answers at once.
    fn check(&self, key: &str) -> Decision {
        self.limiter.check(key).now_or_never().unwrap().unwrap()
    }
}

#[test]
fn a_key_may_use_its_limit_at_once_and_then_as_it_refills() {
    let (limiter, clock) = limiter(4, 8, 10);
    for remaining in [3, 2, 1, 0] {
        let decision = limiter.check("user123");
        assert!(decision.is_allowed);
        assert_eq!(decision.remaining, remaining);
    }
    let refused = limiter.check("user123");
    assert!(!refused.is_allowed);
    assert_eq!(refused.retry_after, Some(Duration::from_secs(2)));

    clock.advance(Duration::from_secs(2) - Duration::from_nanos(1));
    assert!(!limiter.check("user123").is_allowed);
    clock.advance(Duration::from_nanos(1));
    assert!(limiter.check("user123").is_allowed);
    assert!(!limiter.check("user123").is_allowed);
}

#[test]
fn a_refusal_costs_nothing() {
    let (limiter, clock) = limiter(1, 10, 10);
    assert!(limiter.check("user123").is_allowed);
    for _ in 0..100 {
        assert!(!limiter.check("user123").is_allowed);
    }
    clock.advance(Duration::from_secs(10));
    assert!(limiter.check("user123").is_allowed);
}

#[test]
fn one_key_does_not_use_up_the_limit_of_another() {
    let (limiter, _) = limiter(1, 10, 10);
    assert!(limiter.check("user123").is_allowed);
    assert!(limiter.check("user456").is_allowed);
    assert!(!limiter.check("user123").is_allowed);
}

#[test]
fn the_headers_are_those_of_the_ietf_draft() {
    let (limiter, clock) = limiter(4, 8, 10);
    let [(policy_name, policy), (state_name, state)] = limiter.check("user123").headers();
    assert_eq!((policy_name.as_str(), policy.to_str().unwrap()), ("ratelimit-policy", "\"default\";q=4;w=8"));
    assert_eq!((state_name.as_str(), state.to_str().unwrap()), ("ratelimit", "\"default\";r=3;t=2"));

    for _ in 0..3 {
        assert_eq!(limiter.check("user123").retry_after_header(), None);
    }
    clock.advance(Duration::from_millis(1500));
    let refused = limiter.check("user123");
    assert_eq!(refused.headers()[1].1, "\"default\";r=0;t=8");
    assert_eq!(refused.retry_after_header().unwrap(), "1");
}

#[test]
fn the_number_of_keys_is_bounded_and_what_does_not_fit_shares_a_bucket() {
    let (limiter, _) = limiter(2, 10, 100);
    assert!(limiter.check("early").is_allowed);
    let allowed = (0..10_000).filter(|number| limiter.check(&format!("random-{number}")).is_allowed).count();
    assert_eq!(limiter.buckets.keys(), 100);
    // 99 with a bucket of their own, and the two of the shared one.
    assert_eq!(allowed, 99 + 2);
    assert!(limiter.check("early").is_allowed);
}

#[test]
fn keys_that_are_idle_are_forgotten() {
    let (limiter, clock) = limiter(2, 10, 1000);
    for number in 0..1000 {
        limiter.check(&format!("random-{number}"));
    }
    clock.advance(Duration::from_mins(1));
    for _ in 0..2000 {
        limiter.check("busy");
    }
    assert_eq!(limiter.buckets.keys(), 1);
}

#[test]
fn the_time_until_reset_is_never_longer_than_the_window() {
    let (limiter, _) = limiter(3, 7, 10);
    for _ in 0..5 {
        assert!(limiter.check("user123").reset <= Duration::from_secs(7));
    }
}

/// A store that is away every other time.
#[derive(Debug, Default)]
struct Unsteady {
    rule: Rule,
    asked: std::sync::atomic::AtomicU32,
}

impl RateStore for Unsteady {
    fn rule(&self) -> &Rule {
        &self.rule
    }

    fn take<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Taken, Away>> {
        let is_away = self.asked.fetch_add(1, Ordering::Relaxed).is_multiple_of(2);
        let taken = if is_away {
            Err(Away { reason: "no route to host".to_owned() })
        } else {
            Ok(Taken::Room { remaining: 7 })
        };
        std::future::ready(taken).boxed()
    }
}

#[tokio::test]
async fn a_store_that_is_away_is_told_and_counted() {
    let telemetry = TestTelemetry::new("api-gateway");
    let limiter = Limiter::new(&telemetry, Arc::new(Unsteady::default()));
    let away = limiter.check("user123").await.unwrap_err();
    assert_eq!(away.to_string(), "the store of rates is away: no route to host");
    assert_eq!(limiter.check("user123").await.unwrap().remaining, 7);
    assert!(limiter.check("user123").await.is_err());
    let page = waypost_telemetry::metrics::render_prometheus(&[telemetry.handle().clone()]);
    let counted = page.lines().find(|line| line.starts_with("waypost_rate_limit_uncounted_total{"));
    assert!(counted.is_some_and(|line| line.ends_with(" 2")), "{page}");
}
