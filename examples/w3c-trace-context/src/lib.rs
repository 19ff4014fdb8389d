//! The service that the public test suite of W3C Trace Context drives, made of the kit's two HTTP layers.
//!
//! `POST /test` takes a JSON array of `{url, arguments}` and sends each `arguments` to its `url`. The suite looks at
//! the `traceparent` and `tracestate` that arrive there. Nothing here knows these headers: the server layer reads
//! them, the client layer writes them.

use std::error::Error;

use axum::extract::State;
use axum::http::{Request, StatusCode, header};
use axum::routing::post;
use axum::{Json, Router};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::{self, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;
use serde_json::Value;
use tower::{Layer as _, ServiceExt as _};
use waypost_telemetry::Telemetry;
use waypost_telemetry::http::ClientService;

type Client = ClientService<legacy::Client<HttpConnector, Full<Bytes>>>;

/// One request that the suite asks for.
#[derive(Debug, Deserialize)]
struct Callback {
    url: String,
    #[serde(default)]
    arguments: Value,
}

/// The whole service.
pub fn app(telemetry: &Telemetry) -> Router {
    let client = telemetry.http_client().layer(legacy::Client::builder(TokioExecutor::new()).build_http());
    Router::new().route("/test", post(call_back)).with_state(client).layer(telemetry.http_server())
}

/// Answers with the status of each callback, in order.
async fn call_back(
    State(client): State<Client>,
    Json(callbacks): Json<Vec<Callback>>,
) -> Result<Json<Vec<u16>>, (StatusCode, String)> {
    let mut answers = Vec::with_capacity(callbacks.len());
    for callback in callbacks {
        let answer = send(&client, &callback).await;
        answers.push(answer.map_err(|error| (StatusCode::BAD_GATEWAY, error.to_string()))?);
    }
    Ok(Json(answers))
}

async fn send(client: &Client, callback: &Callback) -> Result<u16, Box<dyn Error + Send + Sync>> {
    let body = Full::from(serde_json::to_vec(&callback.arguments)?);
    let request = Request::post(&callback.url).header(header::CONTENT_TYPE, "application/json").body(body)?;
    let (head, body) = client.clone().oneshot(request).await?.into_parts();
    body.collect().await?;
    Ok(head.status.as_u16())
}
