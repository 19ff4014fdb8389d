//! A real gRPC server on loopback whose one method does as the test says.

use std::{
    future::Future,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::net::TcpListener;
use tonic::{Request, Response, Status, metadata::MetadataMap, service::Routes};
use tonic_health::{
    ServingStatus,
    server::{HealthReporter, health_reporter},
};
use tower::ServiceBuilder;
use waypost_api::user::v1::{
    AuthenticateRequest, GetUserRequest, User,
    user_service_client::UserServiceClient,
    user_service_server::{UserService, UserServiceServer},
};
use waypost_resilience::{
    backoff::Backoff,
    breaker, deadline,
    grpc::{Channel, ChannelOptions},
};
use waypost_telemetry::Telemetry;

pub(crate) type Answer = Pin<Box<dyn Future<Output = Result<User, Status>> + Send>>;
type Behaviour = dyn Fn(MetadataMap) -> Answer + Send + Sync;

/// What a test may see of the server, and change while it runs.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    behaviour: Arc<Mutex<Arc<Behaviour>>>,
    calls: Arc<AtomicUsize>,
    connections: Arc<Mutex<Vec<tokio::task::AbortHandle>>>,
    health: HealthReporter,
}

impl Server {
    /// Starts a server that answers every call with a user.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (health, answers) = health_reporter();
        let server = Self {
            address: listener.local_addr().unwrap(),
            behaviour: Arc::new(Mutex::new(Arc::new(|_| answer(Ok(User::default()))))),
            calls: Arc::default(),
            connections: Arc::default(),
            health,
        };
        let routes = Routes::new(UserServiceServer::new(server.clone())).add_service(answers);
        waypost_telemetry::spawn(server.clone().accept(listener, routes));
        server
    }

    async fn accept(self, listener: TcpListener, routes: Routes) {
        let router = routes.into_axum_router();
        let app = ServiceBuilder::new().layer(deadline::ServerLayer::new()).service(router);
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let service = TowerToHyperService::new(app.clone());
            let connection = waypost_telemetry::spawn(async move {
                // A connection that breaks is part of the tests.
                let _ = auto::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
            self.connections.lock().unwrap().push(connection.abort_handle());
        }
    }

    pub(crate) fn answers(&self, behaviour: impl Fn(MetadataMap) -> Answer + Send + Sync + 'static) {
        *self.behaviour.lock().unwrap() = Arc::new(behaviour);
    }

    pub(crate) fn answers_with(&self, status: impl Fn() -> Result<User, Status> + Send + Sync + 'static) {
        self.answers(move |_| answer(status()));
    }

    /// What the server says of itself from now on.
    pub(crate) async fn says_that_it_is(&self, status: ServingStatus) {
        self.health.set_service_status("", status).await;
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn never_answers(&self) {
        self.answers(|_| Box::pin(std::future::pending()));
    }

    /// Cuts all connections, as a process that is killed does.
    pub(crate) fn cut_connections(&self) {
        for connection in self.connections.lock().unwrap().drain(..) {
            connection.abort();
        }
    }

    /// How many connections were accepted since they were last cut.
    pub(crate) fn connections(&self) -> usize {
        self.connections.lock().unwrap().len()
    }

    /// How many calls reached the service.
    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    pub(crate) fn channel(&self, options: ChannelOptions) -> Channel {
        self.traced_channel(&Telemetry::disabled(), options)
    }

    pub(crate) fn traced_channel(&self, telemetry: &Telemetry, options: ChannelOptions) -> Channel {
        Channel::connect_lazy(telemetry, &self.url(), options).unwrap()
    }
}

pub(crate) fn answer(result: Result<User, Status>) -> Answer {
    Box::pin(std::future::ready(result))
}

#[tonic::async_trait]
impl UserService for Server {
    async fn get_user(&self, request: Request<GetUserRequest>) -> Result<Response<User>, Status> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let behaviour = Arc::clone(&self.behaviour.lock().unwrap());
        behaviour(request.into_parts().0).await.map(Response::new)
    }

    async fn authenticate(&self, _: Request<AuthenticateRequest>) -> Result<Response<User>, Status> {
        Err(Status::unimplemented("not part of the tests"))
    }
}

/// Calls the server once.
pub(crate) async fn call(channel: &Channel) -> Result<User, Status> {
    call_with(channel, Request::new(GetUserRequest::default())).await
}

pub(crate) async fn call_with(channel: &Channel, request: Request<GetUserRequest>) -> Result<User, Status> {
    let mut client = UserServiceClient::new(channel.clone());
    client.get_user(request).await.map(Response::into_inner)
}

/// Longer than any test takes.
pub(crate) const FOR_GOOD: Duration = Duration::from_hours(1);
/// A time that a test can wait out.
pub(crate) const BRIEFLY: Duration = Duration::from_millis(20);

/// A breaker that shuts after two failures, for about the time given.
pub(crate) fn nervous(shut: Duration) -> ChannelOptions {
    let backoff = Backoff::new(shut, shut);
    let settings = breaker::Settings { consecutive_failures: 2, backoff, ..Default::default() };
    ChannelOptions { breaker: settings, ..Default::default() }
}

/// Waits until something is so, or fails after ten seconds of the real clock, also where time is paused.
pub(crate) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = std::time::Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(10), "timed out: {what}");
        tokio::task::yield_now().await;
    }
}
