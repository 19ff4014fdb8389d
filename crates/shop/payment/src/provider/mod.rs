//! The payment provider as this service calls it: HTTP with a time limit, answers that are bounded and checked.
//!
//! For [`crate::logic`]. Every call that has an effect carries our key as `Idempotency-Key`, so it may be repeated.
//! What comes back is one of three: a [`Charge`], a definite no ([`ProviderError::Refused`]), or anything else, after
//! which the outcome is not known. A provider that does not take our requests at all ([`ProviderError::OurFault`]) is
//! logged as an error and counted, because somebody has to put our key or address right.
//!
//! Trace context leaves, baggage does not. Left out: retries (the order's saga has them).

mod answer;
pub(crate) mod connect;
mod error;
mod timed;

pub use self::error::ProviderError;

use self::answer::{ChargeBody, ChargesBody};
use self::timed::{TimeLimit, Timed};
use crate::{Error, config::ProviderConfig, domain::Charge};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use serde::{Serialize, de::DeserializeOwned};
use std::time::Duration;
use tower::{BoxError, Layer as _, ServiceExt as _, timeout::error::Elapsed};
use waypost_api::attributes::PAYMENT_PROVIDER_CODE;
use waypost_api::{Amount, Currency, Money, PaymentId, TransactionId};
use waypost_resilience::deadline;
use waypost_telemetry::{
    Telemetry,
    http::{ClientService, UrlTemplate},
    opentelemetry::{KeyValue, metrics::Counter},
};

/// Who asks, as the provider's access log has it.
const USER_AGENT: HeaderValue =
    HeaderValue::from_static(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")));

/// The status of an answer, on the counter of calls that were not taken on.
const HTTP_RESPONSE_STATUS_CODE: &str = "http.response.status_code";

/// The provider. Cheap to clone; all clones share one pool of connections.
#[derive(Clone, Debug)]
pub struct Provider {
    client: ClientService<Timed<Client<HttpsConnector<HttpConnector>, Full<Bytes>>>>,
    base: String,
    timeout: Duration,
    margin: Duration,
    answer_size: usize,
    denied: Counter<u64>,
    declined: Counter<u64>,
}

#[derive(Serialize)]
struct NewCharge<'a> {
    amount: Amount,
    currency: Currency,
    reference: &'a PaymentId,
    payment_method: &'a str,
}

#[derive(Serialize)]
struct NewRefund {
    amount: Amount,
}

/// One call before it is sent.
struct Call<'a> {
    method: Method,
    /// Names the span.
    template: &'static str,
    path: String,
    key: Option<&'a str>,
    body: Vec<u8>,
}

impl Provider {
    /// The provider at the configured address. Connects when it is first called.
    ///
    /// # Errors
    /// When the address is none, or nobody can be trusted to sign for an `https://` one.
    pub fn new(config: &ProviderConfig, telemetry: &Telemetry) -> Result<Provider, Error> {
        let base = connect::address(&config.url).ok_or_else(|| Error::ProviderUrl(config.url.clone()))?;
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(config.idle_timeout.get())
            .pool_max_idle_per_host(config.idle_connections)
            .build(connect::connector(config)?);
        Ok(Provider {
            client: telemetry.http_client().user_agent(USER_AGENT).layer(Timed(client)),
            base: base.to_owned(),
            timeout: config.timeout.get(),
            margin: config.margin.get(),
            answer_size: config.answer_size.as_usize(),
            denied: telemetry
                .meter()
                .u64_counter("waypost.payment.provider.denied")
                .with_description(
                    "Calls that the payment provider did not take on because of our key, address or request.",
                )
                .with_unit("{call}")
                .build(),
            declined: telemetry
                .meter()
                .u64_counter("waypost.payment.declined")
                .with_description("Payments that the provider declined, by its code.")
                .with_unit("{payment}")
                .build(),
        })
    }

    /// Counts a payment that ended without a charge because the provider said no. The codes are the provider's; how many
    /// are told apart is bounded by `telemetry.metrics.cardinality_limit`.
    pub(crate) fn count_declined(&self, code: &str) {
        self.declined.add(1, &[KeyValue::new(PAYMENT_PROVIDER_CODE, code.to_owned())]);
    }

    /// Asks for an amount to be set aside.
    pub async fn charge(
        &self,
        reference: &PaymentId,
        amount: Money,
        payment_method: &str,
        key: &str,
    ) -> Result<Charge, ProviderError> {
        let body =
            NewCharge { amount: amount.amount(), currency: amount.currency(), reference, payment_method };
        let call = Call {
            method: Method::POST,
            template: "/v1/charges",
            path: "/v1/charges".to_owned(),
            key: Some(key),
            body: encode(&body),
        };
        Ok(self.send::<ChargeBody>(call).await?.into_charge())
    }

    /// Asks for the amount of a charge to be taken.
    pub async fn capture(&self, charge: &TransactionId, key: &str) -> Result<Charge, ProviderError> {
        let template = "/v1/charges/{id}/capture";
        self.change(template, format!("/v1/charges/{charge}/capture"), key, Vec::new()).await
    }

    /// Asks for a charge to be given up.
    pub async fn void(&self, charge: &TransactionId, key: &str) -> Result<Charge, ProviderError> {
        let template = "/v1/charges/{id}/void";
        self.change(template, format!("/v1/charges/{charge}/void"), key, Vec::new()).await
    }

    /// Asks for part of a charge, in ten-thousandths, to be given back.
    pub async fn refund(
        &self,
        charge: &TransactionId,
        amount: i64,
        key: &str,
    ) -> Result<Charge, ProviderError> {
        let template = "/v1/charges/{id}/refunds";
        let body = encode(&NewRefund { amount: Amount::from_ten_thousandths(amount) });
        self.change(template, format!("/v1/charges/{charge}/refunds"), key, body).await
    }

    /// Looks for the charge with our reference.
    pub async fn find(&self, reference: &PaymentId) -> Result<Option<Charge>, ProviderError> {
        let call = Call {
            method: Method::GET,
            template: "/v1/charges",
            path: format!("/v1/charges?reference={reference}"),
            key: None,
            body: Vec::new(),
        };
        self.send::<ChargesBody>(call).await?.into_charge()
    }

    async fn change(
        &self,
        template: &'static str,
        path: String,
        key: &str,
        body: Vec<u8>,
    ) -> Result<Charge, ProviderError> {
        let call = Call { method: Method::POST, template, path, key: Some(key), body };
        Ok(self.send::<ChargeBody>(call).await?.into_charge())
    }

    /// Sends a call and reads its answer, within the time that the caller has left.
    async fn send<T: DeserializeOwned>(&self, call: Call<'_>) -> Result<T, ProviderError> {
        let left = deadline::remaining().map_or(self.timeout, |left| left.saturating_sub(self.margin));
        let limit = left.min(self.timeout);
        // The head of the answer is timed below the span; this one, a little later, is for a body that does not end.
        let answer = match tokio::time::timeout(limit + self.margin / 2, self.exchange(call, limit)).await {
            Ok(answer) => answer,
            Err(_) => Err(ProviderError::Timeout),
        };
        if let Err(ProviderError::OurFault { status, code }) = &answer {
            self.denied.add(1, &[KeyValue::new(HTTP_RESPONSE_STATUS_CODE, i64::from(status.as_u16()))]);
            tracing::error!(
                http.response.status_code = status.as_u16(),
                payment.provider_code = code,
                "the payment provider does not take our requests: key, address or request is wrong"
            );
        }
        answer
    }

    async fn exchange<T: DeserializeOwned>(
        &self,
        call: Call<'_>,
        limit: Duration,
    ) -> Result<T, ProviderError> {
        let mut request = Request::builder()
            .method(call.method)
            .uri(format!("{}{}", self.base, call.path))
            .header(header::ACCEPT, "application/json")
            .extension(UrlTemplate::new(call.template))
            .extension(TimeLimit(limit));
        if let Some(key) = call.key {
            request = request.header("idempotency-key", key);
        }
        if !call.body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let request = request
            .body(Full::new(Bytes::from(call.body)))
            .map_err(|error| ProviderError::Unsendable(Box::new(error)))?;
        let response = self.client.clone().oneshot(request).await.map_err(unanswered)?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, self.answer_size)
            .collect()
            .await
            .map_err(ProviderError::Unreadable)?
            .to_bytes();
        answer::read(head.status, &body)
    }
}

fn unanswered(error: BoxError) -> ProviderError {
    if error.is::<Elapsed>() { ProviderError::Timeout } else { ProviderError::Connection(error) }
}

/// Our own bodies are numbers and texts, which always encode.
fn encode(body: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(body).unwrap_or_default()
}
