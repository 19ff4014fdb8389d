//! Who may ask: by which name, from which site, with which token.
//!
//! A listener on loopback belongs to whoever may use this machine. What is left to fear there is a page of another
//! origin in the user's browser, so requests under a foreign name (DNS rebinding) and from foreign sites are refused. A
//! listener beyond loopback asks for the token on every path.
//!
//! Left out: users and roles, and TLS, which ends in front of the viewer.

mod attempts;
mod login;
mod token;

use self::{
    attempts::Attempts,
    token::{Credentials, Token},
};
use crate::{Bound, Config, Error, problem::Problem};
use axum::{
    Router,
    extract::{ConnectInfo, Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::{Next, from_fn, from_fn_with_state},
    response::{IntoResponse as _, Response},
};
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};
use tokio::time::Instant;
use waypost_service::browser::{Names, is_foreign};

/// The rules of all listeners. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Access(Arc<Rules>);

struct Rules {
    token: Option<Token>,
    names: Vec<String>,
    attempts: Attempts,
    is_intake_open: bool,
    bound: Bound,
    base_path: String,
}

/// One listener as its layer sees it.
#[derive(Clone)]
struct Door {
    rules: Arc<Rules>,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The page and every query API.
    Page,
    /// Zipkin: queries, and spans by POST.
    Zipkin,
    OtlpHttp,
    OtlpGrpc,
}

impl Access {
    /// Makes a token when one is needed and none is configured.
    pub(crate) fn new(config: &Config, bound: Bound) -> Result<Access, Error> {
        let is_intake_open = config.open_intake;
        let reads = [bound.ui, bound.zipkin].into_iter().any(is_beyond_loopback);
        let takes = [bound.otlp_grpc, bound.otlp_http].into_iter().any(is_beyond_loopback);
        let is_needed = reads || (takes && !is_intake_open);
        let token = match (&config.token, is_needed) {
            (_, false) => None,
            (Some(token), true) => Some(Token::new(token.expose().clone())?),
            (None, true) => Some(Token::random()?),
        };
        let (names, attempts) = (config.hosts.clone(), Attempts::default());
        let base_path = config.base_path.clone();
        Ok(Access(Arc::new(Rules { token, names, attempts, is_intake_open, bound, base_path })))
    }

    /// The token, when one is asked for.
    pub(crate) fn token(&self) -> Option<String> {
        self.0.token.as_ref().map(|token| token.text().to_owned())
    }

    /// Around the page and the query APIs.
    pub(crate) fn page(&self, router: Router) -> Router {
        let router = if is_beyond_loopback(self.0.bound.ui) {
            self.with_token(router, Kind::Page)
        } else {
            self.with_names(router, Kind::Page, self.0.bound.ui)
        };
        router.layer(from_fn(refuse_foreign))
    }

    /// Around Zipkin's intake and queries.
    pub(crate) fn zipkin(&self, router: Router) -> Router {
        if is_beyond_loopback(self.0.bound.zipkin) {
            self.with_token(router, Kind::Zipkin)
        } else {
            self.with_names(router, Kind::Zipkin, self.0.bound.zipkin)
        }
    }

    /// Around OTLP over HTTP.
    pub(crate) fn otlp_http(&self, router: Router) -> Router {
        self.intake(router, Kind::OtlpHttp, self.0.bound.otlp_http)
    }

    /// Around OTLP over gRPC.
    pub(crate) fn otlp_grpc(&self, router: Router) -> Router {
        self.intake(router, Kind::OtlpGrpc, self.0.bound.otlp_grpc)
    }

    /// What only takes spans answers under any name: senders such as Envoy put the name of their cluster there.
    fn intake(&self, router: Router, kind: Kind, bound: SocketAddr) -> Router {
        let asks = is_beyond_loopback(bound) && !self.0.is_intake_open;
        if asks { self.with_token(router, kind) } else { router }
    }

    fn with_token(&self, router: Router, kind: Kind) -> Router {
        router.layer(from_fn_with_state(Door { rules: Arc::clone(&self.0), kind }, ask_for_token))
    }

    fn with_names(&self, router: Router, kind: Kind, bound: SocketAddr) -> Router {
        let names = Arc::new(Names::new(bound, &self.0.names));
        router.layer(from_fn(move |request: Request, next: Next| {
            let names = Arc::clone(&names);
            async move {
                let is_intake = kind == Kind::Zipkin && takes_spans(request.method());
                match names.check(&request) {
                    Err(unknown) if !is_intake => Problem::misdirected(unknown.to_string()).into_response(),
                    _ => next.run(request).await,
                }
            }
        }))
    }
}

async fn refuse_foreign(request: Request, next: Next) -> Response {
    if is_foreign(&request) { Problem::cross_site().into_response() } else { next.run(request).await }
}

fn is_beyond_loopback(address: SocketAddr) -> bool {
    !address.ip().to_canonical().is_loopback()
}

/// Of Zipkin's methods: POST sends spans, OPTIONS asks whether a page may; the others read.
fn takes_spans(method: &Method) -> bool {
    matches!(*method, Method::POST | Method::OPTIONS)
}

async fn ask_for_token(State(door): State<Door>, request: Request, next: Next) -> Response {
    let Door { rules, kind } = door;
    // Every listener that asks has one: see `Access::new`.
    let Some(token) = &rules.token else { return Problem::internal().into_response() };
    let is_open = kind == Kind::Zipkin && rules.is_intake_open && takes_spans(request.method());
    // A browser asks whether it may send before it sends, and without a token: the intake's answer tells nothing.
    let is_preflight = kind != Kind::Page && request.method() == Method::OPTIONS;
    if is_open || is_preflight {
        return next.run(request).await;
    }
    let peer = peer(&request);
    let cookie = login::cookie_name(rules.bound.ui.port());
    let credentials = Credentials::of(request.headers(), &cookie);
    let is_claim = credentials.is_claim() || (kind == Kind::Page && login::is_attempt(&request));
    // A right token is never held back: one sender with an old token must not lock out those behind the same address.
    let is_valid = token.admits(&credentials);
    if is_valid && !(kind == Kind::Page && login::has_token(request.uri())) {
        return next.run(request).await;
    }
    // Only what claims to be right is held back: a browser still gets the page to log in with.
    if is_claim && let Some(seconds) = rules.attempts.wait(peer, Instant::now()) {
        return refuse(kind, Problem::too_many_attempts(seconds), "too many wrong tokens");
    }
    let answer = if kind == Kind::Page && login::is_attempt(&request) {
        login::answer(request, token, &cookie, &rules.base_path).await
    } else if kind == Kind::Page && !is_claim && wants_html(request.headers()) {
        Err(login::page(login::Note::None))
    } else {
        let detail = if is_claim {
            "the token is not the one that the viewer printed when it started"
        } else {
            "send the token that the viewer printed when it started, as a bearer token"
        };
        Err(refuse(kind, Problem::unauthorized(detail), detail))
    };
    answer.unwrap_or_else(|refusal| {
        if is_claim {
            rules.attempts.failed(peer, Instant::now());
        }
        refusal
    })
}

fn refuse(kind: Kind, problem: Problem, reason: &'static str) -> Response {
    if kind != Kind::OtlpGrpc {
        return problem.into_response();
    }
    // gRPC over HTTP/2, "Trailers-Only": UNAUTHENTICATED is 16.
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/grpc")),
        (header::HeaderName::from_static("grpc-status"), HeaderValue::from_static("16")),
        (header::HeaderName::from_static("grpc-message"), HeaderValue::from_static(reason)),
    ];
    (StatusCode::OK, headers).into_response()
}

/// Whether a browser navigates, rather than a program asks.
pub(crate) fn wants_html(headers: &HeaderMap) -> bool {
    let accepts = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepts.flat_map(|value| value.split(',')).any(|range| {
        range.split(';').next().is_some_and(|media_type| media_type.trim().eq_ignore_ascii_case("text/html"))
    })
}

fn peer(request: &Request) -> IpAddr {
    let connected = request.extensions().get::<ConnectInfo<SocketAddr>>();
    connected.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |ConnectInfo(address)| address.ip())
}
