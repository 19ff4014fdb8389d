//! Asks a Jaeger collector or agent how much is sampled, again and again. For the sampler that follows what it says.

use std::time::Duration;

use bytes::BytesMut;
use http::{Request, StatusCode, Uri};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::time::{Instant, sleep_until, timeout};

use super::complaint;
use super::control::ControlReceiver;
use super::otlp::Connector;
use crate::base::config::JaegerRemoteSettings;
use crate::core::sampling::Strategies;

/// Longest time for one answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of an answer; one that is longer is none.
const MAX_ANSWER: usize = 1024 * 1024;

pub(super) struct StrategyLoop {
    address: String,
    interval: Duration,
    strategies: Strategies,
    control: ControlReceiver,
}

impl StrategyLoop {
    pub(super) fn new(
        settings: &JaegerRemoteSettings,
        service_name: &str,
        strategies: Strategies,
        control: ControlReceiver,
    ) -> Self {
        let separator = if settings.endpoint.contains('?') { '&' } else { '?' };
        let service = utf8_percent_encode(service_name, NON_ALPHANUMERIC);
        let address = format!("{}{separator}service={service}", settings.endpoint);
        Self { address, interval: settings.interval, strategies, control }
    }

    /// Ends when it is told to, or when its handle is gone; a question under way is then given up.
    pub(super) async fn run(self) {
        let Self { address, interval, strategies, mut control } = self;
        let client = Client::builder(TokioExecutor::new()).build(Connector::new(None));
        let mut next = Instant::now();
        while !control.must_stop() {
            // Nothing of this waits to be sent.
            drop(control.take_flushes());
            let answer = async {
                sleep_until(next).await;
                timeout(TIMEOUT, ask(&client, &address)).await
            };
            tokio::select! {
                () = control.recv() => {}
                answer = answer => {
                    next = Instant::now() + interval;
                    let taken = match answer {
                        Ok(Ok(answer)) => strategies.update(&answer).map_err(|error| error.to_string()),
                        Ok(Err(reason)) => Err(reason),
                        Err(_) => Err(format!("no answer within {} s", TIMEOUT.as_secs())),
                    };
                    if let Err(reason) = taken {
                        complaint::no_strategy(&address, &reason);
                    }
                }
            }
        }
    }
}

async fn ask(client: &Client<Connector, String>, address: &str) -> Result<BytesMut, String> {
    let address: Uri = address.parse().map_err(|_| "its address cannot be read".to_owned())?;
    let mut request = Request::new(String::new());
    *request.uri_mut() = address;
    let response = client.request(request).await.map_err(|error| super::otlp::told(&error))?;
    if response.status() != StatusCode::OK {
        return Err(format!("it answered {}", response.status()));
    }
    read(response.into_body()).await
}

async fn read(mut body: Incoming) -> Result<BytesMut, String> {
    let mut answer = BytesMut::new();
    while let Some(frame) = std::future::poll_fn(|task| std::pin::Pin::new(&mut body).poll_frame(task)).await
    {
        let frame = frame.map_err(|error| super::otlp::told(&error))?;
        let Some(data) = frame.data_ref() else { continue };
        if answer.len() + data.len() > MAX_ANSWER {
            return Err(format!("its answer is longer than {MAX_ANSWER} bytes"));
        }
        answer.extend_from_slice(data);
    }
    Ok(answer)
}
