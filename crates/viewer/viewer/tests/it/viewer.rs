//! A viewer on port 0.

use crate::http::{Reply, Request};
use serde_json::Value;
use std::{future::Future, net::SocketAddr, time::Duration};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use waypost_service::{DataDir, Drain, DrainTrigger, Limits, Listener, Served, bind, serve};
use waypost_telemetry::Telemetry;
use waypost_viewer::{Bound, Config, Memory, Parts, build};

/// Longest wait for anything that must happen.
const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it did not happen in time")
}

pub(crate) struct Viewer {
    pub(crate) ui: SocketAddr,
    pub(crate) otlp_grpc: SocketAddr,
    pub(crate) otlp_http: SocketAddr,
    pub(crate) zipkin: SocketAddr,
    pub(crate) token: Option<String>,
    listeners: DrainTrigger,
    serving: Vec<JoinHandle<Served>>,
    background: DrainTrigger,
    workers: Vec<JoinHandle<()>>,
}

impl Viewer {
    /// In memory, on loopback.
    pub(crate) fn open() -> Viewer {
        Viewer::with(|_| {}, |_| {}, DataDir::Ephemeral)
    }

    pub(crate) fn configured(change: impl FnOnce(&mut Config)) -> Viewer {
        Viewer::with(change, |_| {}, DataDir::Ephemeral)
    }

    /// In files, as blocks from the first span on.
    pub(crate) fn kept_in(folder: &TempDir) -> Viewer {
        let as_blocks = |config: &mut Config| config.store.head_spans = 1;
        Viewer::with(as_blocks, |_| {}, DataDir::Folder(folder.path().to_owned()))
    }

    /// In files, as blocks from the first span on, with these settings.
    pub(crate) fn kept_and_configured(folder: &TempDir, change: impl FnOnce(&mut Config)) -> Viewer {
        let as_blocks = |config: &mut Config| {
            config.store.head_spans = 1;
            change(config);
        };
        Viewer::with(as_blocks, |_| {}, DataDir::Folder(folder.path().to_owned()))
    }

    /// As if every listener were bound to all addresses of this machine.
    pub(crate) fn beyond_loopback(change: impl FnOnce(&mut Config)) -> Viewer {
        let everywhere = |bound: &mut Bound| {
            for address in [&mut bound.ui, &mut bound.otlp_grpc, &mut bound.otlp_http, &mut bound.zipkin] {
                address.set_ip([0, 0, 0, 0].into());
            }
        };
        Viewer::with(change, everywhere, DataDir::Ephemeral)
    }

    fn with(change: impl FnOnce(&mut Config), rebind: impl FnOnce(&mut Bound), data: DataDir) -> Viewer {
        let mut config = Config::default();
        change(&mut config);
        assert_eq!(config.check(), []);
        let listener = || bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let sockets = [listener(), listener(), listener(), listener()];
        let [ui, otlp_grpc, otlp_http, zipkin] = [0, 1, 2, 3].map(|place: usize| sockets[place].address());
        let mut bound = Bound { ui, otlp_grpc, otlp_http, zipkin };
        rebind(&mut bound);
        let telemetry = Telemetry::disabled();
        let built = build(&config, Parts { telemetry, data, bound, memory: Memory::default() }).unwrap();

        let (listeners, drain) = Drain::new();
        let serve = |listener: Listener, router| {
            waypost_telemetry::spawn(serve(listener, router, Limits::default(), drain.clone()))
        };
        let routers = [built.ui, built.otlp_grpc, built.otlp_http, built.zipkin];
        let serving =
            sockets.into_iter().zip(routers).map(|(socket, router)| serve(socket, router)).collect();
        let (background, drain) = Drain::new();
        let workers =
            built.workers.into_iter().map(|worker| waypost_telemetry::spawn((worker.run)(drain.clone())));
        let workers = workers.collect();
        let token = built.token;
        Viewer { ui, otlp_grpc, otlp_http, zipkin, token, listeners, serving, background, workers }
    }

    pub(crate) async fn send(&self, request: Request) -> Reply {
        in_time(request.send(self.ui)).await
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.send(Request::get(path)).await
    }

    /// The answer of the API to a request that must succeed.
    pub(crate) async fn api(&self, path: &str) -> Value {
        let reply = self.get(&format!("/api/v1{path}")).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
        assert_eq!(reply.header("content-type"), "application/json");
        assert_eq!(reply.header("cache-control"), "no-store");
        reply.json
    }

    /// Asks the API until the answer is what is waited for.
    pub(crate) async fn api_until(&self, path: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        in_time(async {
            loop {
                let answer = self.api(path).await;
                if is_so(&answer) {
                    return answer;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await
    }

    /// Imports a document, all of which must be kept.
    pub(crate) async fn import(&self, document: &Value) -> Value {
        let reply = self.send(Request::post("/api/v1/traces").json(document.to_string())).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let answer = reply.json;
        assert_eq!(answer["refused"], serde_json::json!({}));
        answer
    }

    /// Ends its live tails.
    pub(crate) fn end_tails(&self) {
        self.background.start();
    }

    /// Ends in order, and proves that nothing was cut.
    pub(crate) async fn close(self) {
        self.background.start();
        self.listeners.start();
        for serving in self.serving {
            assert_eq!(in_time(serving).await.unwrap().cut_requests, 0);
        }
        self.background.close();
        for worker in self.workers {
            in_time(worker).await.unwrap();
        }
    }
}
