//! The gRPC interface over a real socket.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tonic::Code;
use waypost_api::user::v1::{AuthenticateRequest, GetUserRequest, user_service_client::UserServiceClient};
use waypost_api::{Error, ErrorCode};
use waypost_cache::Memory;
use waypost_durable::Storage;
use waypost_resilience::throttle::Failures;
use waypost_service::{Drain, DrainTrigger, Limits, bind, serve};
use waypost_telemetry::grpc::TracedChannel;
use waypost_telemetry::opentelemetry::trace::SpanKind;
use waypost_telemetry::testing::{SpanTree, TestTelemetry, wait_for};
use waypost_telemetry::{FinishedSpan, span, with_context};
use waypost_user::{Config, DEMO_PASSWORD, Parts, build};

struct Running {
    telemetry: TestTelemetry,
    client: UserServiceClient<TracedChannel>,
    _trigger: DrainTrigger,
}

async fn start(config: Config) -> Running {
    let telemetry = TestTelemetry::new("user-service");
    let cache = Arc::new(Memory::new(config.cache_capacity, config.cache_time.get()));
    let failures = Arc::new(Failures::new(config.login_rule()));
    let parts =
        Parts { telemetry: telemetry.handle().clone(), storage: Storage::ephemeral(), cache, failures };
    let app = build(&Config { seed: true, ..config }, parts).await.unwrap();
    let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let target = format!("http://{}", listener.address());
    let (trigger, drain) = Drain::new();
    waypost_telemetry::spawn(serve(listener, app.router, Limits::default(), drain));
    let client = UserServiceClient::new(telemetry.handle().grpc_channel(&target).unwrap());
    Running { telemetry, client, _trigger: trigger }
}

impl Running {
    async fn login(&mut self, user: &str, password: &str) -> Result<String, Error> {
        self.login_from("192.0.2.1", user, password).await
    }

    async fn login_from(&mut self, address: &str, user: &str, password: &str) -> Result<String, Error> {
        let request = attempt(address, user, password);
        let answer = self.client.authenticate(request).await;
        answer.map(|user| user.into_inner().name).map_err(|status| Error::from_status(&status))
    }
}

fn attempt(address: &str, user: &str, password: &str) -> AuthenticateRequest {
    AuthenticateRequest { user_id: user.into(), password: password.into(), client_address: address.into() }
}

#[tokio::test]
async fn a_user_is_looked_up_once_and_then_comes_from_the_cache() {
    let mut running = start(Config::default()).await;
    let context = running.telemetry.handle().context();
    let get = async {
        span("check-user")
            .observe(async {
                for _ in 0..2 {
                    let request = GetUserRequest { user_id: "user123".into() };
                    let user = running.client.get_user(request).await.unwrap().into_inner();
                    assert_eq!((user.name.as_str(), user.payment_method.as_str()), ("Ada", "pm_card_ok"));
                }
            })
            .await;
    };
    with_context(context, get).await;
    let is_ended = |spans: &[FinishedSpan]| {
        spans.iter().filter(|span| span.kind() == SpanKind::Server).count() == 2
            && spans.iter().any(|span| span.name() == "check-user")
    };
    let spans = wait_for(&[running.telemetry.handle()], Duration::from_secs(20), is_ended).await.unwrap();
    let root = spans.iter().find(|span| span.name() == "check-user").unwrap();
    SpanTree::of(&spans, &root.trace_id().to_string()).assert_matches(
        "
check-user INTERNAL user-service
  waypost.user.v1.UserService/GetUser CLIENT user-service
    waypost.user.v1.UserService/GetUser SERVER user-service user.id=user123
      cache get INTERNAL user-service cache.hit=false
      SELECT users CLIENT user-service
  waypost.user.v1.UserService/GetUser CLIENT user-service
    waypost.user.v1.UserService/GetUser SERVER user-service
      cache get INTERNAL user-service cache.hit=true
",
    );
}

#[tokio::test]
async fn an_unknown_user_is_not_found_and_a_bad_id_is_named() {
    let mut running = start(Config::default()).await;
    let status = running.client.get_user(GetUserRequest { user_id: "nobody".into() }).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    assert_eq!(Error::from_status(&status).code, ErrorCode::UserNotFound);
    let status = running.client.get_user(GetUserRequest { user_id: "no body".into() }).await.unwrap_err();
    assert_eq!(Error::from_status(&status).fields[0].pointer, "/user_id");
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_user_get_the_same_answer() {
    let mut running = start(Config::default()).await;
    assert_eq!(running.login("user123", DEMO_PASSWORD).await.unwrap(), "Ada");
    let wrong = running.login("user123", "wrong").await.unwrap_err();
    let unknown = running.login("nobody", DEMO_PASSWORD).await.unwrap_err();
    assert_eq!(wrong.code, ErrorCode::BadCredentials);
    assert_eq!(wrong, unknown);
}

#[tokio::test]
async fn whoever_guesses_has_to_wait_and_the_owner_elsewhere_has_not() {
    let mut running = start(Config { login_failures: 2, ..Config::default() }).await;
    for _ in 0..2 {
        assert_eq!(running.login("user123", "wrong").await.unwrap_err().code, ErrorCode::BadCredentials);
    }
    let refused = running.login("user123", DEMO_PASSWORD).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::RateLimited);
    assert!(refused.retry_after.is_some_and(|wait| wait <= Duration::from_secs(1)), "{refused:?}");
    assert_eq!(running.login_from("192.0.2.2", "user123", DEMO_PASSWORD).await.unwrap(), "Ada");
    assert_eq!(running.login("user-admin", DEMO_PASSWORD).await.unwrap(), "Grace");

    // Slowed down and not locked: the wait ends.
    let waited = tokio::time::timeout(Duration::from_secs(20), async {
        while running.login("user123", DEMO_PASSWORD).await.is_err() {
            tokio::task::yield_now().await;
        }
    });
    waited.await.unwrap();
}

#[tokio::test]
async fn right_passwords_side_by_side_are_all_taken() {
    let running = start(Config { login_failures: 2, ..Config::default() }).await;
    let mut logins = tokio::task::JoinSet::new();
    for _ in 0..11 {
        let mut client = running.client.clone();
        logins
            .spawn(async move { client.authenticate(attempt("192.0.2.1", "user123", DEMO_PASSWORD)).await });
    }
    for login in logins.join_all().await {
        login.unwrap();
    }
}

#[tokio::test]
async fn guesses_side_by_side_are_counted_like_guesses_one_after_the_other() {
    let running = start(Config { login_failures: 3, ..Config::default() }).await;
    let mut guesses = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let mut client = running.client.clone();
        guesses.spawn(async move {
            let request = attempt("192.0.2.1", "user123", "wrong");
            Error::from_status(&client.authenticate(request).await.unwrap_err()).code
        });
    }
    let answers = guesses.join_all().await;
    assert_eq!(answers.iter().filter(|code| **code == ErrorCode::BadCredentials).count(), 3, "{answers:?}");
    assert_eq!(answers.iter().filter(|code| **code == ErrorCode::RateLimited).count(), 7, "{answers:?}");
}

#[tokio::test]
async fn lookups_of_one_user_side_by_side_ask_the_database_once() {
    let running = start(Config::default()).await;
    let mut lookups = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let mut client = running.client.clone();
        lookups.spawn(
            async move { client.get_user(GetUserRequest { user_id: "user123".into() }).await.is_ok() },
        );
    }
    assert!(lookups.join_all().await.into_iter().all(|found| found));
    let spans = running.telemetry.handle().finished_spans();
    let hits = spans
        .iter()
        .filter(|span| span.attribute("cache.hit").is_some_and(|hit| hit.as_str() == "true"))
        .count();
    let asked = spans.iter().filter(|span| span.name() == "SELECT users").count();
    assert!(asked <= 20 - hits, "{asked} queries, {hits} hits");
    assert!(asked < 20, "nobody shared a lookup");
}

#[tokio::test]
async fn neither_password_nor_hash_reaches_a_span() {
    let mut running = start(Config::default()).await;
    running.login("user123", DEMO_PASSWORD).await.unwrap();
    running.login("user123", "a-wrong-canary").await.unwrap_err();
    let spans = format!("{:?}", running.telemetry.handle().finished_spans());
    for secret in [DEMO_PASSWORD, "a-wrong-canary", "argon2id"] {
        assert!(!spans.contains(secret), "{secret} is on a span");
    }
}
