//! The routers over a store in memory, and requests to them without a socket.

use axum::{Router, body::Body};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;
use std::{sync::Arc, time::Duration};
use tower::ServiceExt;
use waypost_trace_model::{Batch, Limits, otlp::traces_from_json};
use waypost_trace_query::Reads;
use waypost_trace_store::{MemoryStore, Settings, TraceStore};

/// Longer than any read here takes.
const PATIENCE: Duration = Duration::from_mins(5);

/// A store and both routers over it.
pub(crate) struct Site {
    pub(crate) store: Arc<dyn TraceStore>,
}

/// What a router answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.header("content-type"), Some("application/json"), "{}", self.text);
        serde_json::from_str(&self.text).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The JSON of an answer that must be a 200.
    pub(crate) fn ok(&self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{}", self.text);
        self.json()
    }
}

impl Site {
    /// With these messages of OTLP JSON in the store.
    pub(crate) async fn with(messages: &[Value]) -> Site {
        let site = Site { store: Arc::new(MemoryStore::new(Settings::default())) };
        for message in messages {
            let batch = traces_from_json(message.to_string().as_bytes(), &Limits::default()).unwrap();
            assert_eq!(batch.refused, []);
            site.keep(batch).await;
        }
        site
    }

    pub(crate) async fn keep(&self, batch: Batch) {
        self.store.append(Arc::new(batch)).await.unwrap();
    }

    fn reads(&self) -> Reads {
        Reads::new(Arc::clone(&self.store), 4, PATIENCE, PATIENCE)
    }

    pub(crate) async fn jaeger(&self, path: &str) -> Answer {
        ask(waypost_trace_query::jaeger(self.reads()), "GET", path, Body::empty()).await
    }

    pub(crate) async fn jaeger_post(&self, path: &str, body: impl Into<Body>) -> Answer {
        ask(waypost_trace_query::jaeger(self.reads()), "POST", path, body.into()).await
    }

    pub(crate) async fn zipkin(&self, path: &str) -> Answer {
        ask(waypost_trace_query::zipkin(self.reads()), "GET", path, Body::empty()).await
    }
}

async fn ask(router: Router, method: &str, path: &str, body: Body) -> Answer {
    let request = Request::builder().method(method).uri(path).body(body).unwrap();
    let response = router.oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    Answer { status: parts.status, headers: parts.headers, text: String::from_utf8(bytes.to_vec()).unwrap() }
}

/// A text as a value in a query string.
pub(crate) fn escaped(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
