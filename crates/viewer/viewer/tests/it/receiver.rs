//! A receiver of notifications that can be away and come back.

use axum::{
    Router,
    body::Bytes,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use serde_json::Value;
use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU16, Ordering},
    },
};
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
    _drain: DrainTrigger,
}

impl Receiver {
    /// Answers with this status; what it answers with 503 it does not take.
    pub(crate) fn answering(status: u16) -> Receiver {
        let (told, status) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicU16::new(status)));
        let (kept, answer) = (Arc::clone(&told), Arc::clone(&status));
        let take = move |headers: HeaderMap, raw: Bytes| async move {
            let status = StatusCode::from_u16(answer.load(Ordering::SeqCst)).unwrap();
            if status != StatusCode::SERVICE_UNAVAILABLE {
                let body = serde_json::from_slice(&raw).unwrap();
                kept.lock().unwrap().push(Told { headers, raw, body });
            }
            status
        };
        let router = Router::new().route("/alerts", post(take));
        let (drain, draining) = Drain::new();
        let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = listener.address();
        waypost_telemetry::spawn(serve(listener, router, Limits::default(), draining));
        Receiver { address, status, told, _drain: drain }
    }

    pub(crate) fn comes_back(&self) {
        self.status.store(200, Ordering::SeqCst);
    }

    pub(crate) fn told(&self) -> Vec<Told> {
        self.told.lock().unwrap().clone()
    }
}
