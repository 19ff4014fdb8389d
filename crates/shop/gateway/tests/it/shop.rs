//! A gateway with fake services behind it, each on port 0.

use crate::{
    http::{Reply, Request, send},
    services::Services,
};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use std::{
    future::Future,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::task::JoinHandle;
use waypost_gateway::{Auth, Config, Parts, Rates, SigningKey, TokenSettings, build};
use waypost_resilience::discovery::Discovery;
use waypost_resilience::rate_limit::{Buckets, RateStore, Rule};
use waypost_service::{Drain, DrainTrigger, GrpcLimits, Limits, Served, bind, grpc_app, serve};
use waypost_settings::Secret;
use waypost_telemetry::testing::TestTelemetry;

/// Longest wait for anything that must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
pub(crate) const SECRET: &str = "a secret of thirty-two bytes or more";

pub(crate) async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it did not happen in time")
}

pub(crate) struct Shop {
    pub(crate) address: SocketAddr,
    pub(crate) services: Services,
    pub(crate) telemetry: TestTelemetry,
    /// Of the fake services.
    pub(crate) behind: TestTelemetry,
    trigger: DrainTrigger,
    serving: JoinHandle<Served>,
}

impl Shop {
    /// In demo.
    pub(crate) fn open() -> Shop {
        Shop::with(|_| {}, Limits::default())
    }

    pub(crate) fn configured(change: impl FnOnce(&mut Config)) -> Shop {
        Shop::with(change, Limits::default())
    }

    pub(crate) fn with(change: impl FnOnce(&mut Config), limits: Limits) -> Shop {
        Shop::over(change, limits, |rule| Arc::new(Buckets::new(rule)))
    }

    /// With rates in stores that a test opens.
    pub(crate) fn over(
        change: impl FnOnce(&mut Config),
        limits: Limits,
        open_rate: impl Fn(Rule) -> Arc<dyn RateStore>,
    ) -> Shop {
        let services = Services::new();
        let (telemetry, behind) = (TestTelemetry::new("api-gateway"), TestTelemetry::new("services"));
        let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let target = listener.url();
        let app = grpc_app(&behind, services.routes(), &GrpcLimits::default());
        let (_, never) = Drain::new();
        drop(waypost_telemetry::spawn(serve(listener, app, Limits::default(), never)));

        let mut config = Config {
            order_service: target.clone(),
            user_service: target.clone(),
            inventory_service: target,
            auth: Auth::Demo,
            require_idempotency_key: false,
            hosts: vec!["test".to_owned()],
            tokens: token_settings(),
            ..Config::default()
        };
        change(&mut config);
        assert_eq!(config.check(), []);
        let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = listener.address();
        let rates = Rates::open(&config, open_rate);
        let parts = Parts {
            telemetry: telemetry.handle().clone(),
            bound: address,
            rates,
            discovery: Discovery::default(),
            identity: None,
        };
        let app = build(&config, &parts).unwrap();
        let (trigger, drain) = Drain::new();
        let serving = waypost_telemetry::spawn(serve(listener, app.router, limits, drain));
        Shop { address, services, telemetry, behind, trigger, serving }
    }

    pub(crate) async fn send(&self, request: Request) -> Reply {
        in_time(send(request, self.address)).await
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.send(Request::get(path)).await
    }

    /// The order of the seed, with some members replaced (or, by null, left out).
    pub(crate) async fn order(&self, changes: &Value) -> Reply {
        self.send(Request::post("/api/orders").json(order_body(changes))).await
    }

    pub(crate) fn drain(&self) {
        self.trigger.start();
    }

    pub(crate) async fn drained(self) -> Served {
        self.trigger.start();
        in_time(self.serving).await.unwrap()
    }
}

pub(crate) fn order_body(changes: &Value) -> Value {
    let mut body = json!({"user_id": "user123", "product_id": "prod456", "quantity": 2, "amount": 99.99});
    let members = body.as_object_mut().unwrap();
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            members.remove(name);
        } else {
            members.insert(name.clone(), value.clone());
        }
    }
    body
}

fn token_settings() -> TokenSettings {
    let key = |kid: &str, secret: String| SigningKey { kid: kid.to_owned(), secret: Secret::new(secret) };
    TokenSettings {
        keys: vec![key("new", SECRET.to_owned()), key("old", SECRET.to_uppercase())],
        ..TokenSettings::default()
    }
}

fn now() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs()
}

/// The claims of a good token.
pub(crate) fn claims(user_id: &str, role: &str) -> Value {
    json!({
        "iss": "waypost-gateway", "aud": "waypost", "sub": user_id, "role": role,
        "iat": now(), "nbf": now(), "exp": now() + 900,
    })
}

pub(crate) fn sign(kid: &str, claims: &Value, secret: &str) -> String {
    let header = Header { kid: Some(kid.to_owned()), ..Header::new(Algorithm::HS256) };
    jsonwebtoken::encode(&header, claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
}

pub(crate) fn token(user_id: &str, role: &str) -> String {
    sign("new", &claims(user_id, role), SECRET)
}

pub(crate) fn expired_token() -> String {
    let mut claims = claims("user123", "user");
    claims["exp"] = json!(now() - 60);
    sign("new", &claims, SECRET)
}
