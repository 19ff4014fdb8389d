//! A receiver of notifications that can be away and come back.

use crate::tls::Identity;
use axum::{
    Router,
    body::Bytes,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use hyper::server::conn::http1;
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use serde_json::Value;
use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU16, Ordering},
    },
};
use tokio::net::TcpListener;
use waypost_service::{Drain, DrainTrigger, Limits, bind, serve};

/// A notification that was taken.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) headers: HeaderMap,
    pub(crate) raw: Bytes,
    pub(crate) body: Value,
}

pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    status: Arc<AtomicU16>,
    told: Arc<Mutex<Vec<Told>>>,
    _drain: Option<DrainTrigger>,
}

impl Receiver {
    /// Answers with this status; what it answers with 503 it does not take.
    pub(crate) fn answering(status: u16) -> Receiver {
        let (told, status) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicU16::new(status)));
        let router = router(&told, &status);
        let (drain, draining) = Drain::new();
        let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = listener.address();
        waypost_telemetry::spawn(serve(listener, router, Limits::default(), draining));
        Receiver { address, status, told, _drain: Some(drain) }
    }

    /// Takes everything, in TLS.
    pub(crate) async fn in_tls(identity: &Identity) -> Receiver {
        let (told, status) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicU16::new(200)));
        let (router, acceptor) = (router(&told, &status), identity.acceptor.clone());
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        waypost_telemetry::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(stream) = acceptor.accept(stream).await else { continue };
                let service = TowerToHyperService::new(router.clone());
                http1::Builder::new().serve_connection(TokioIo::new(stream), service).await.ok();
            }
        });
        Receiver { address, status, told, _drain: None }
    }

    pub(crate) fn comes_back(&self) {
        self.status.store(200, Ordering::SeqCst);
    }

    pub(crate) fn told(&self) -> Vec<Told> {
        self.told.lock().unwrap().clone()
    }
}

fn router(told: &Arc<Mutex<Vec<Told>>>, status: &Arc<AtomicU16>) -> Router {
    let (kept, answer) = (Arc::clone(told), Arc::clone(status));
    let take = move |headers: HeaderMap, raw: Bytes| async move {
        let status = StatusCode::from_u16(answer.load(Ordering::SeqCst)).unwrap();
        if status != StatusCode::SERVICE_UNAVAILABLE {
            let body = serde_json::from_slice(&raw).unwrap();
            kept.lock().unwrap().push(Told { headers, raw, body });
        }
        status
    };
    Router::new().route("/alerts", post(take))
}
