//! A viewer that runs in this process, alone or beside the roles.
//!
//! It has a health and a drain of its own: the readiness of the shop does not depend on it, and in `up` it ends after
//! the roles have sent their last spans. Its listeners carry no telemetry: looking at traces makes no traces.

use std::net::SocketAddr;

use tokio::runtime::Handle;
use waypost_service::health::Health;
use waypost_service::{App, Drain, DrainTrigger, Drained, Limits, Listener, Pacing, Process, Tasks};
use waypost_settings::Duration;
use waypost_telemetry::Telemetry;
use waypost_telemetry::config::{Headers, OtlpProtocol, OtlpReceiver};
use waypost_viewer::{Bound, Memory, Parts};

use crate::exit::{Exit, Failure, OrExit as _};
use crate::roles::{exit_of, named, prepare, url_of};
use crate::settings::{Listen, Settings};

/// Spans wait at most this long before they are sent to the viewer of the same process, so that a trace is shown
/// within a second of its last span.
const DELAY: std::time::Duration = std::time::Duration::from_millis(100);

/// How the viewer returns memory.
const MEMORY: Memory =
    Memory { give_back: waypost_allocator::give_back, on_idle: waypost_allocator::on_park };

/// Bound sockets of a viewer that nobody accepts from yet.
#[derive(Debug)]
pub(crate) struct ViewerSockets {
    ui: Listener,
    otlp_grpc: Listener,
    otlp_http: Listener,
    zipkin: Listener,
}

impl ViewerSockets {
    /// Binds them all, or names every address that cannot be had. Must be called inside a tokio runtime.
    pub(crate) fn bind(listen: &Listen) -> Result<ViewerSockets, Failure> {
        let bound = (
            named(listen.viewer, "viewer"),
            named(listen.otlp_grpc, "otlp_grpc"),
            named(listen.otlp_http, "otlp_http"),
            named(listen.zipkin, "zipkin"),
        );
        match bound {
            (Ok(ui), Ok(otlp_grpc), Ok(otlp_http), Ok(zipkin)) => {
                Ok(ViewerSockets { ui, otlp_grpc, otlp_http, zipkin })
            }
            (ui, otlp_grpc, otlp_http, zipkin) => {
                let problems: Vec<String> =
                    [ui, otlp_grpc, otlp_http, zipkin].into_iter().filter_map(Result::err).collect();
                Err(Failure::message(Exit::Unavailable, problems.join("\n  ")))
            }
        }
    }
}

/// A running viewer.
#[derive(Debug)]
pub(crate) struct Viewer {
    process: Process,
    health: Health,
    stop: DrainTrigger,
    addresses: Vec<(&'static str, SocketAddr)>,
    url: String,
    otlp: String,
    token: Option<String>,
    pacing: Pacing,
}

impl Viewer {
    /// Opens its store and serves its four listeners.
    pub(crate) async fn start(settings: &Settings, sockets: ViewerSockets) -> Result<Viewer, Failure> {
        let data = settings.data_dir();
        prepare(&data)?;
        let ViewerSockets { ui, otlp_grpc, otlp_http, zipkin } = sockets;
        let bound = Bound {
            ui: ui.address(),
            otlp_grpc: otlp_grpc.address(),
            otlp_http: otlp_http.address(),
            zipkin: zipkin.address(),
        };
        let addresses = vec![
            ("viewer", bound.ui),
            ("otlp-grpc", bound.otlp_grpc),
            ("otlp-http", bound.otlp_http),
            ("zipkin", bound.zipkin),
        ];
        let (url, otlp) = (url_of(bound.ui), url_of(bound.otlp_http));
        // Its log lines are the process's; it has no spans.
        let telemetry = Telemetry::disabled();
        let built = built(settings.viewer.clone(), Parts { telemetry, data, bound, memory: MEMORY }).await?;

        let health = Health::new(settings.health.clone());
        let (stop, drain) = Drain::new();
        let mut process = Process::new(health.clone());
        // Drained first: live tails are requests that end only when they are told to.
        let workers = App { workers: built.workers, ..App::default() };
        process.start("viewer-workers", &Telemetry::disabled(), Tasks::new(), workers, None);
        let limits = &settings.limits.viewer;
        let page = App { router: built.ui, checks: built.checks, ..App::default() };
        serve(&mut process, "viewer", page, ui, limits);
        serve(&mut process, "otlp-grpc", routes(built.otlp_grpc), otlp_grpc, limits);
        serve(&mut process, "otlp-http", routes(built.otlp_http), otlp_http, limits);
        serve(&mut process, "zipkin", routes(built.zipkin), zipkin, limits);
        health.started();
        health.check_once().await;
        waypost_telemetry::spawn(health.clone().watch(drain));

        // Nobody is told to go elsewhere: there is one viewer.
        let pacing = Pacing { notice: Duration::from_secs(0), ..settings.drain.clone() };
        Ok(Viewer { process, health, stop, addresses, url, otlp, token: built.token, pacing })
    }

    /// Its listeners with their addresses.
    pub(crate) fn addresses(&self) -> &[(&'static str, SocketAddr)] {
        &self.addresses
    }

    /// Whether it can take spans in and answer.
    pub(crate) fn health(&self) -> &Health {
        &self.health
    }

    /// How it is drained; whoever serves beside it ends likewise.
    pub(crate) fn pacing(&self) -> &Pacing {
        &self.pacing
    }

    /// A page of it, with the token when it asks for one.
    pub(crate) fn link(&self, path: &str) -> String {
        let Viewer { url, token, .. } = self;
        match token {
            Some(token) => {
                let token: String = form_urlencoded::byte_serialize(token.as_bytes()).collect();
                format!("{url}{path}?token={token}")
            }
            None => format!("{url}{path}"),
        }
    }

    /// How the roles of this process send to it: over the network, like any other program.
    pub(crate) fn receiver(&self) -> OtlpReceiver {
        let authorization = |token: &String| ("authorization".to_owned(), format!("Bearer {token}"));
        OtlpReceiver {
            endpoint: self.otlp.clone(),
            protocol: OtlpProtocol::Http,
            headers: Headers(self.token.iter().map(authorization).collect()),
            logs: true,
            delay: Some(DELAY),
            ..OtlpReceiver::default()
        }
    }

    /// Finishes what is being taken in and closes the store.
    pub(crate) async fn stop(self) -> Vec<Drained> {
        self.health.drain();
        self.stop.start();
        self.process.drain(&self.pacing).await
    }
}

/// Opens the store on a thread that may wait for the disk.
async fn built(config: waypost_viewer::Config, parts: Parts) -> Result<waypost_viewer::Viewer, Failure> {
    let runtime = Handle::current();
    let build = tokio::task::spawn_blocking(move || {
        let _inside = runtime.enter();
        waypost_viewer::build(&config, parts)
    });
    build.await.or_exit(Exit::Internal, "starting the viewer")?.map_err(|error| {
        let by_kind = match &error {
            error if error.is_in_use() => Exit::Unavailable,
            error if error.is_of_files() => Exit::CannotCreate,
            _ => Exit::Internal,
        };
        let error = anyhow::Error::new(error).context("starting the viewer");
        // A full disk is told apart by the cause.
        let exit = Some(exit_of(&error)).filter(|exit| *exit == Exit::Io).unwrap_or(by_kind);
        Failure::new(exit, error)
    })
}

fn routes(router: axum::Router) -> App {
    App { router, ..App::default() }
}

fn serve(process: &mut Process, name: &'static str, app: App, listener: Listener, limits: &Limits) {
    process.start(name, &Telemetry::disabled(), Tasks::new(), app, Some((listener.into(), limits.clone())));
}
