//! The routers over a store in memory, and requests to them without a socket.

use bytes::Bytes;
use http::StatusCode;
use serde_json::Value;
use std::{sync::Arc, time::Duration};
pub(crate) use waypost_test_client::Answer;
use waypost_test_client::Request;
use waypost_trace_model::{Batch, Limits, otlp::traces_from_json};
use waypost_trace_query::Reads;
use waypost_trace_store::{MemoryStore, Settings, TraceStore};

/// Longer than any read here takes.
const PATIENCE: Duration = Duration::from_mins(5);

/// A store and both routers over it.
pub(crate) struct Site {
    pub(crate) store: Arc<dyn TraceStore>,
}

/// What this crate's tests ask of answers.
pub(crate) trait AnswerExt {
    /// The JSON of an answer that must be one.
    fn as_json(&self) -> Value;
    /// The JSON of an answer that must be a 200.
    fn ok(&self) -> Value;
}

impl AnswerExt for Answer {
    fn as_json(&self) -> Value {
        assert_eq!(self.header("content-type"), "application/json", "{}", self.text());
        self.json.clone()
    }

    fn ok(&self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{}", self.text());
        self.as_json()
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
        Request::get(path).call(waypost_trace_query::jaeger(self.reads())).await
    }

    pub(crate) async fn jaeger_post(&self, path: &str, body: impl Into<Bytes>) -> Answer {
        Request::post(path).body(body).call(waypost_trace_query::jaeger(self.reads())).await
    }

    pub(crate) async fn prometheus(&self, path: &str, accept: &str) -> Answer {
        let router = waypost_trace_query::prometheus(self.reads(), Vec::new);
        Request::get(path).header("accept", accept).call(router).await
    }

    pub(crate) async fn zipkin(&self, path: &str) -> Answer {
        Request::get(path).call(waypost_trace_query::zipkin(self.reads())).await
    }
}

/// A text as a value in a query string.
pub(crate) fn escaped(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
