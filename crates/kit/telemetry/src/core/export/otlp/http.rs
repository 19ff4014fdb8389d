//! OTLP as protobuf over HTTP/1.1.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderValue, StatusCode};
use reqwest::{Client, Response, Url};
use rustls::crypto::ring;

use super::Refusal;

/// Bytes of an answer that are read.
const MAX_ANSWER: usize = 64 * 1024;

pub(crate) struct HttpTransport {
    client: Client,
    url: Url,
    headers: HeaderMap,
}

impl HttpTransport {
    /// `headers` were checked with the settings.
    pub(crate) fn new(url: Url, mut headers: HeaderMap) -> reqwest::Result<Self> {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        headers.entry(USER_AGENT).or_insert(HeaderValue::from_static(super::USER_AGENT));
        let builder = Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .pool_max_idle_per_host(1)
            .http1_only();
        let client = tls(builder, &url).build()?;
        Ok(Self { client, url, headers })
    }

    pub(super) fn receiver(&self) -> &str {
        self.url.as_str()
    }

    pub(super) async fn post(&self, body: Bytes) -> Result<Bytes, Refusal> {
        let request = self.client.post(self.url.clone()).headers(self.headers.clone()).body(body);
        let response = request.send().await.map_err(|error| broken(&error))?;
        if response.status().is_success() {
            return read(response).await;
        }
        let status = response.status();
        let may_retry = matches!(
            status,
            StatusCode::TOO_MANY_REQUESTS
                | StatusCode::BAD_GATEWAY
                | StatusCode::SERVICE_UNAVAILABLE
                | StatusCode::GATEWAY_TIMEOUT
        );
        let wait = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        Err(Refusal {
            reason: format!("the receiver answered {status}"),
            may_retry,
            wait: wait.map(Duration::from_secs),
        })
    }
}

/// Over plain HTTP no roots are loaded and no process-wide provider is needed.
fn tls(builder: reqwest::ClientBuilder, url: &Url) -> reqwest::ClientBuilder {
    if url.scheme() == "https" {
        // Fails only if the program has chosen a provider already, which is then the one to use.
        let _ = ring::default_provider().install_default();
        return builder;
    }
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions();
    match config {
        Ok(config) => builder.tls_backend_preconfigured(
            config.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth(),
        ),
        Err(_) => builder,
    }
}

async fn read(mut response: Response) -> Result<Bytes, Refusal> {
    let mut answer = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| broken(&error))? {
        if answer.len() + chunk.len() > MAX_ANSWER {
            break;
        }
        answer.extend_from_slice(&chunk);
    }
    Ok(answer.freeze())
}

fn broken(error: &reqwest::Error) -> Refusal {
    let mut reason = error.to_string();
    let causes = std::iter::successors(std::error::Error::source(error), |cause| (*cause).source());
    if let Some(cause) = causes.last() {
        reason = format!("{reason}: {cause}");
    }
    Refusal { reason, may_retry: !error.is_builder(), wait: None }
}
