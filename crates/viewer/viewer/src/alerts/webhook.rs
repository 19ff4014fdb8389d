//! Telling a receiver by HTTP, signed.
//!
//! A connection of its own for each notification: they are few, and nothing can be left half-read on it.

use super::{
    delivery::Failure,
    journal::hex,
    receivers::ReceiverSettings,
    tls::{connector, secret},
};
use axum::body::Bytes;
use futures_util::FutureExt as _;
use hmac::{Hmac, Mac as _};
use http::{HeaderValue, Request, Uri, header};
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use sha2::Sha256;
use std::pin::pin;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use waypost_trace_alerts::Notification;

/// Tells one receiver.
#[derive(Clone, Debug)]
pub(crate) struct Webhook {
    settings: ReceiverSettings,
}

impl Webhook {
    pub(crate) fn new(settings: ReceiverSettings) -> Webhook {
        Webhook { settings }
    }

    /// One attempt; `now` is in seconds since 1970. Dropping the future ends the connection.
    pub(crate) async fn tell(
        &self,
        notification: &Notification,
        external_url: &str,
        now: u64,
    ) -> Result<(), Failure> {
        let body = waypost_trace_alerts::webhook(notification, &self.settings.name, external_url);
        let body = Bytes::from(body.to_string());
        let url: Uri = self.settings.url.parse().map_err(|_| Failure::later("the address is not valid"))?;
        let request = self.request(&url, &notification.id, body, now).await?;
        let host = url.host().unwrap_or_default();
        let is_secure = url.scheme_str() == Some("https");
        let port = url.port_u16().unwrap_or(if is_secure { 443 } else { 80 });
        let stream = TcpStream::connect((host.trim_matches(['[', ']']), port)).await;
        let stream = stream.map_err(|error| Failure::later(format!("cannot connect: {error}")))?;
        if !is_secure {
            return send(stream, request).await;
        }
        let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned());
        let name = name.map_err(|_| Failure::later("the host's name is not valid"))?;
        let stream = connector(self.settings.ca_file.clone()).await?.connect(name, stream).await;
        send(stream.map_err(|error| Failure::later(format!("no TLS: {error}")))?, request).await
    }

    async fn request(
        &self,
        url: &Uri,
        id: &str,
        body: Bytes,
        now: u64,
    ) -> Result<Request<Full<Bytes>>, Failure> {
        let path = url.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        let host = url.authority().map_or("", http::uri::Authority::as_str);
        let mut request = Request::post(path)
            .header(header::HOST, host)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::USER_AGENT, concat!("waypost/", env!("CARGO_PKG_VERSION")))
            .header("x-waypost-delivery", id)
            .header("x-waypost-timestamp", now);
        if let Some(file) = &self.settings.secret_file {
            let signature = signature(secret(file).await?.as_bytes(), now, &body)?;
            request = request.header("x-waypost-signature", format!("sha256={signature}"));
        }
        if let Some(file) = &self.settings.bearer_file {
            let mut value = HeaderValue::from_str(&format!("Bearer {}", secret(file).await?))
                .map_err(|_| Failure::later("the token cannot stand in a header"))?;
            value.set_sensitive(true);
            request = request.header(header::AUTHORIZATION, value);
        }
        request.body(Full::new(body)).map_err(|_| Failure::later("the address is not valid"))
    }
}

/// What is signed is the time in seconds, a point and the body.
fn signature(key: &[u8], now: u64, body: &[u8]) -> Result<String, Failure> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).map_err(|_| Failure::later("the key cannot sign"))?;
    mac.update(format!("{now}.").as_bytes());
    mac.update(body);
    Ok(hex(&mac.finalize().into_bytes()))
}

async fn send(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
) -> Result<(), Failure> {
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| lost(&error))?;
    let mut answer = pin!(sender.send_request(request));
    // The connection is driven here, so that it ends with this attempt.
    let ended = tokio::select! {
        biased;
        answer = &mut answer => return read(answer),
        ended = connection => ended,
    };
    // It may have brought the answer before it ended.
    match (answer.now_or_never(), ended) {
        (Some(answer), _) => read(answer),
        (None, Err(error)) => Err(lost(&error)),
        (None, Ok(())) => Err(Failure::later("no answer: the connection was closed")),
    }
}

fn lost(error: &hyper::Error) -> Failure {
    Failure::later(format!("no answer: {error}"))
}

fn read(answer: hyper::Result<http::Response<hyper::body::Incoming>>) -> Result<(), Failure> {
    let status = answer.map_err(|error| lost(&error))?.status();
    match status.as_u16() {
        200..300 => Ok(()),
        408 | 425 | 429 | 500.. => Err(Failure::later(format!("answered {status}"))),
        _ => Err(Failure::never(format!("answered {status}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_that_of_the_time_and_the_body() {
        // openssl dgst -sha256 -hmac key, of "1790000000.{}"
        let signature = signature(b"key", 1_790_000_000, b"{}");
        assert_eq!(
            signature.ok().as_deref(),
            Some("099d33989336226b12c85da813adf6100e1bbab1e91bede9a41ddeb7882d66b8")
        );
    }
}
