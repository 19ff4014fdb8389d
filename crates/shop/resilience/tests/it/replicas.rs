//! A target with several replicas: whom calls go to, and what becomes of them when one goes.

use std::sync::{Arc, Mutex};

use tokio::{net::TcpListener, sync::watch};
use tonic::{Code, Status};
use tonic_health::ServingStatus;
use waypost_api::user::v1::{GetUserRequest, User};
use waypost_resilience::{
    backoff::Random,
    discovery::{Addresses, Discovery, Registry},
    grpc::{Address, Channel, ChannelError, ChannelOptions},
    retry::{Budget, Policy, not_sent},
};
use waypost_telemetry::{Telemetry, opentelemetry::Value, testing::TestTelemetry};

use crate::loopback::{FOR_GOOD, Server, call, call_with, nervous, until};

fn target(replicas: &[&Server]) -> String {
    replicas.iter().map(|server| server.url()).collect::<Vec<_>>().join(",")
}

fn channel_to(replicas: &[&Server], options: ChannelOptions) -> Channel {
    Channel::connect_lazy(&Telemetry::disabled(), &target(replicas), options).unwrap()
}

/// An address that nobody listens at.
async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

/// Waits until a call finds only these replicas: what is known of the health of the others has arrived.
async fn settle(what: &str, is_so: impl AsyncFn() -> bool) {
    let settled = async {
        while !is_so().await {
            tokio::task::yield_now().await;
        }
    };
    let in_time = tokio::time::timeout(std::time::Duration::from_secs(10), settled).await;
    assert!(in_time.is_ok(), "timed out: {what}");
}

#[tokio::test]
async fn calls_are_shared_out_over_the_replicas() {
    let (one, other) = (Server::start().await, Server::start().await);
    let channel = channel_to(&[&one, &other], ChannelOptions::default());
    for _ in 0..100 {
        call(&channel).await.unwrap();
    }
    assert_eq!(one.calls() + other.calls(), 100);
    assert!(one.calls() > 10 && other.calls() > 10, "{} and {}", one.calls(), other.calls());
}

#[tokio::test]
async fn a_replica_with_many_open_calls_gets_fewer_new_ones() {
    let (slow, quick) = (Server::start().await, Server::start().await);
    slow.never_answers();
    let channel = channel_to(&[&slow, &quick], ChannelOptions::default());
    let mut open = tokio::task::JoinSet::new();
    for _ in 0..200 {
        let channel = channel.clone();
        open.spawn(async move { call(&channel).await.is_ok() });
        tokio::task::yield_now().await;
    }
    until("the quick one answers", || quick.calls() + slow.calls() == 200).await;
    while quick.calls() > 0 && open.len() > slow.calls() {
        open.join_next().await;
    }
    // Whoever hangs is the busier one from then on.
    let before = slow.calls();
    for _ in 0..100 {
        call(&channel).await.unwrap();
    }
    assert_eq!(slow.calls(), before);
}

#[tokio::test]
async fn a_call_that_cannot_be_sent_goes_on_to_another_replica_and_each_try_has_its_span() {
    let (gone, server) = (nobody().await, Server::start().await);
    let telemetry = TestTelemetry::new("caller");
    let target = format!("{gone},{}", server.url());
    let channel = Channel::connect_lazy(&telemetry, &target, ChannelOptions::default()).unwrap();
    for _ in 0..20 {
        call(&channel).await.unwrap();
    }
    assert_eq!(server.calls(), 20);
    let spans = telemetry.finished_spans();
    let to = |uri: &str| {
        let port = Value::from(i64::from(uri.parse::<http::Uri>().unwrap().port_u16().unwrap()));
        spans.iter().filter(|span| span.attribute("server.port") == Some(&port)).count()
    };
    assert_eq!(to(&server.url()), 20);
    // The first that went there in vain was told to everybody.
    assert!(to(&gone) <= 2, "{} tries at an address where nobody listens", to(&gone));
}

#[tokio::test]
async fn a_replica_that_asks_for_no_calls_gets_none_until_it_does() {
    let (leaving, staying) = (Server::start().await, Server::start().await);
    let channel = channel_to(&[&leaving, &staying], ChannelOptions::default());
    leaving.says_that_it_is(ServingStatus::NotServing).await;
    settle("the drain is seen", async || {
        let before = leaving.calls();
        for _ in 0..20 {
            call(&channel).await.unwrap();
        }
        leaving.calls() == before
    })
    .await;
    let before = leaving.calls();
    for _ in 0..100 {
        call(&channel).await.unwrap();
    }
    assert_eq!(leaving.calls(), before);
    leaving.says_that_it_is(ServingStatus::Serving).await;
    settle("it takes calls again", async || {
        call(&channel).await.unwrap();
        leaving.calls() > before
    })
    .await;
}

#[tokio::test]
async fn when_none_says_that_it_takes_calls_they_are_called_all_the_same() {
    let (one, other) = (Server::start().await, Server::start().await);
    one.says_that_it_is(ServingStatus::NotServing).await;
    other.says_that_it_is(ServingStatus::NotServing).await;
    let channel = channel_to(&[&one, &other], ChannelOptions::default());
    settle("both are known", async || {
        let reason = channel.serving().await.unwrap_err();
        reason.matches("not_serving").count() == 2
    })
    .await;
    call(&channel).await.unwrap();
    one.says_that_it_is(ServingStatus::Serving).await;
    settle("one is enough", async || channel.serving().await.is_ok()).await;
}

#[tokio::test]
async fn a_replica_that_dies_under_a_call_costs_an_idempotent_caller_nothing() {
    let (dying, other) = (Server::start().await, Server::start().await);
    for server in [&dying, &other] {
        server.never_answers();
    }
    let channel = channel_to(&[&dying, &other], ChannelOptions::default());
    let budget = Budget::new(&Telemetry::disabled(), "user");
    let policy = Policy::new().idempotent().random(Random::fixed(0.0));
    let calling = policy.call(&budget, |attempt| {
        let request = attempt.request(GetUserRequest::default());
        let channel = channel.clone();
        async move { call_with(&channel, request).await }
    });
    let dies = async {
        until("the call arrives", || dying.calls() + other.calls() == 1).await;
        let (first, second) = if dying.calls() == 1 { (&dying, &other) } else { (&other, &dying) };
        second.answers_with(|| Ok(User::default()));
        first.cut_connections();
    };
    let (answer, ()) = tokio::join!(calling, dies);
    answer.unwrap();
    assert_eq!((dying.calls(), other.calls()), (1, 1));
}

#[tokio::test]
async fn a_replica_that_keeps_failing_is_ejected_and_the_others_are_not() {
    let (broken, well) = (Server::start().await, Server::start().await);
    broken.answers_with(|| Err(Status::internal("broken")));
    let channel = channel_to(&[&broken, &well], nervous(FOR_GOOD));
    let mut failed = 0;
    for _ in 0..100 {
        failed += usize::from(call(&channel).await.is_err());
    }
    assert_eq!(failed, 2);
    assert_eq!((broken.calls(), well.calls()), (2, 98));
}

#[tokio::test]
async fn a_name_of_the_resolver_is_a_target_and_one_that_it_does_not_know_was_not_called() {
    let server = Server::start().await;
    let open = |target: &str| {
        let discovery = Discovery::default();
        Channel::discover_lazy(&discovery, &Telemetry::disabled(), target, ChannelOptions::default()).unwrap()
    };
    call(&open(&format!("dns:///localhost:{}", server.address.port()))).await.unwrap();
    let status = call(&open("dns:///nobody.invalid:1")).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains("dns:///nobody.invalid:1"), "{status}");
    assert!(not_sent(&status).is_some());
}

/// Names that the test gives out.
#[derive(Debug)]
struct Register(Mutex<watch::Sender<Arc<[Address]>>>);

impl Registry for Register {
    fn scheme(&self) -> &'static str {
        "register"
    }

    fn watch(&self, name: &str) -> Addresses {
        assert_eq!(name, "users");
        self.0.lock().unwrap().subscribe()
    }
}

#[tokio::test]
async fn replicas_come_and_go_while_calls_are_made() {
    let (one, other) = (Server::start().await, Server::start().await);
    let uri = |server: &Server| Address::Http(server.url().parse().unwrap());
    let register = Arc::new(Register(Mutex::new(watch::channel(Arc::from([uri(&one)])).0)));
    let discovery = Discovery::default().with_registry(Arc::clone(&register) as _);
    let open = |target| {
        Channel::discover_lazy(&discovery, &Telemetry::disabled(), target, ChannelOptions::default())
    };
    let channel = open("register:///users").unwrap();
    let ten_calls = async || {
        for _ in 0..10 {
            call(&channel).await.unwrap();
        }
        (one.calls(), other.calls())
    };
    assert_eq!(ten_calls().await, (10, 0));
    // Found no more, it is called for as long as it says that it takes calls.
    settle("its health is known", async || channel.serving().await.is_ok()).await;
    register.0.lock().unwrap().send_replace(Arc::from([uri(&other)]));
    settle("both are called", async || {
        call(&channel).await.unwrap();
        one.calls() > 10 && other.calls() > 0
    })
    .await;
    one.says_that_it_is(ServingStatus::NotServing).await;
    settle("it is given up", async || channel.breakers().len() == 1).await;
    let before = (one.calls(), other.calls());
    assert_eq!(ten_calls().await, (before.0, before.1 + 10));
    one.says_that_it_is(ServingStatus::Serving).await;
    // A registry that knows nobody any more takes nobody away.
    register.0.lock().unwrap().send_replace(Arc::from([]));
    assert_eq!(ten_calls().await, (before.0, before.1 + 20));
    assert!(matches!(open("etcd:///users"), Err(ChannelError::NoRegistry { .. })));
}
