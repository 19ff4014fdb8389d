//! The provider's HTTP interface: requests in, charges and problem documents out, nothing else.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use waypost_api::http_bodies::{Field, Fields, PROBLEM_CONTENT_TYPE};
use waypost_api::{ErrorCode, FieldCode};
use waypost_telemetry::{Telemetry, record_error};

use crate::Error;
use crate::domain::{NewCharge, Operation, Refusal};
use crate::faults::{Call, Fault, Faults};
use crate::logic::Provider;
use crate::store::{Answer, Late};

/// Says that an answer is a repetition.
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
const LARGEST_BODY: usize = 16 * 1024;
const MAX_TEXT_LENGTH: usize = 255;

#[derive(Clone, Debug)]
struct Shared {
    provider: Provider,
    faults: Faults,
}

/// The routes of the provider. `late` is what was put off before and is not done: it is done when it is due.
pub fn router(telemetry: &Telemetry, provider: Provider, faults: Faults, late: Vec<Late>) -> Router {
    let shared = Shared { provider, faults };
    for Late { key, left } in late {
        shared.faults.begin_work(&key);
        let shared = shared.clone();
        waypost_telemetry::spawn(async move { shared.work_off_after(key, left).await });
    }
    Router::new()
        .route("/v1/charges", post(create).get(list))
        .route("/v1/charges/{id}", get(show))
        .route("/v1/charges/{id}/capture", post(capture))
        .route("/v1/charges/{id}/void", post(void))
        .route("/v1/charges/{id}/refunds", post(refund))
        .route("/v1/ledger", get(ledger))
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .layer(telemetry.http_server())
        .with_state(shared)
}

async fn create(State(shared): State<Shared>, headers: HeaderMap, body: Bytes) -> Result<Response, Problem> {
    let key = key_of(&headers)?;
    let mut new = charge_of(&body)?;
    shared.mood().await?;
    let plan = shared.faults.of_charge(&new.payment_method, fastrand::f64());
    tokio::time::sleep(plan.delay).await;
    new.decline_code = plan.decline_code.map(str::to_owned);
    let fault = shared.faults.of_new(&key, &new.payment_method, fastrand::f64());
    shared.carry_out(key, Operation::Charge(new), fault, StatusCode::CREATED).await
}

async fn capture(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    shared.change(&headers, Call::Capture, &id.clone(), Operation::Capture { id }).await
}

async fn void(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    shared.change(&headers, Call::Void, &id.clone(), Operation::Void { id }).await
}

async fn refund(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let mut fields = Fields::read(&body)?;
    let amount = fields.required("amount", Field::positive_amount);
    let amount = fields.finish(amount)?;
    shared.change(&headers, Call::Refund, &id.clone(), Operation::Refund { id, amount }).await
}

async fn show(State(shared): State<Shared>, Path(id): Path<String>) -> Result<Response, Problem> {
    shared.mood().await?;
    match shared.provider.charge(id).await? {
        Some(charge) => Ok(Json(charge).into_response()),
        None => Err(Error::from(Refusal::NotFound).into()),
    }
}

async fn list(State(shared): State<Shared>, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let reference = query.as_deref().and_then(|query| query.strip_prefix("reference=")).filter(is_reference);
    let Some(reference) = reference else {
        return Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "reference_required",
            "ask with ?reference=<the reference you gave the charge>, one parameter, not escaped",
        ));
    };
    shared.mood().await?;
    let charges = shared.provider.by_reference(reference.to_owned()).await?;
    Ok(Json(json!({ "charges": charges })).into_response())
}

async fn ledger(State(shared): State<Shared>) -> Result<Response, Problem> {
    Ok(Json(shared.provider.totals().await?).into_response())
}

impl Shared {
    async fn change(
        &self,
        headers: &HeaderMap,
        call: Call,
        charge: &str,
        operation: Operation,
    ) -> Result<Response, Problem> {
        let key = key_of(headers)?;
        self.mood().await?;
        let fault = self.faults.of_change(call, &key, charge, fastrand::f64());
        self.carry_out(key, operation, fault, StatusCode::OK).await
    }

    /// Carries a call out, as far as its fault lets it.
    async fn carry_out(
        &self,
        key: String,
        operation: Operation,
        fault: Option<Fault>,
        status: StatusCode,
    ) -> Result<Response, Problem> {
        if self.faults.still_runs(&key) {
            return Err(answered(StatusCode::CONFLICT));
        }
        match fault {
            None => Ok(shown(status, self.execute(key, operation).await?)),
            Some(Fault::LostBefore) => Err(self.lost().await),
            Some(Fault::LostAfter) => {
                let answer = self.execute(key, operation).await?;
                // A repetition is answered: it was the first answer that got lost.
                if answer.is_replay { Ok(shown(status, answer)) } else { Err(self.lost().await) }
            }
            Some(Fault::Repeated) => {
                self.execute(key.clone(), operation.clone()).await?;
                Ok(shown(status, self.execute(key, operation).await?))
            }
            Some(Fault::Late) => {
                if self.work_late(key.clone(), operation.clone()).await? {
                    return Err(self.lost().await);
                }
                Ok(shown(status, self.execute(key, operation).await?))
            }
            Some(Fault::Answered(status)) => Err(answered(status)),
        }
    }

    async fn execute(&self, key: String, operation: Operation) -> Result<Answer, Error> {
        let answer = self.provider.execute(key, operation.clone()).await?;
        self.remember(&operation, &answer);
        Ok(answer)
    }

    fn remember(&self, operation: &Operation, answer: &Answer) {
        if let Operation::Charge(new) = operation {
            self.faults.remember(&answer.charge.id, &new.payment_method);
        }
    }

    /// Has a call carried out after a while, whether or not somebody waits: by this process, or by the next one. False when
    /// it was carried out before. In a task of its own: a caller that leaves changes nothing.
    async fn work_late(&self, key: String, operation: Operation) -> Result<bool, Error> {
        // Before it is written: a repetition must not slip in between.
        self.faults.begin_work(&key);
        let (shared, (answer, answered)) = (self.clone(), oneshot::channel());
        waypost_telemetry::spawn(async move {
            let pause = shared.faults.late();
            let put_off = shared.provider.put_off(key.clone(), operation, pause).await;
            let is_late = matches!(put_off, Ok(true));
            // The caller may have left.
            let _ = answer.send(put_off);
            if is_late {
                shared.work_off_after(key, pause).await;
            } else {
                shared.faults.end_work(&key);
            }
        });
        // The task answers unless it panicked; then the caller hears nothing, as of anything late.
        answered.await.unwrap_or(Ok(true))
    }

    async fn work_off_after(&self, key: String, pause: Duration) {
        tokio::time::sleep(pause).await;
        match self.provider.work_off(key.clone()).await {
            Ok(Some(done)) => self.remember(&done.operation, &done.answer),
            Ok(None) => {}
            Err(error) => {
                // It stays put off, and its key is still running, until the next start.
                record_error(&error);
                return;
            }
        }
        self.faults.end_work(&key);
    }

    /// Holds an answer back, as a broken line would; what comes after nobody is waiting for.
    async fn lost(&self) -> Problem {
        tokio::time::sleep(self.faults.hang()).await;
        Problem::new(StatusCode::GATEWAY_TIMEOUT, "timeout", "the provider did not answer in time")
    }

    /// The faults that any request can meet.
    async fn mood(&self) -> Result<(), Problem> {
        let (latency, fails) = self.faults.of_request(fastrand::f64());
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        if fails { Err(Error::Injected.into()) } else { Ok(()) }
    }
}

/// The answer of a call that was not carried out.
fn answered(status: StatusCode) -> Problem {
    let (code, detail) = match status {
        StatusCode::CONFLICT => ("request_in_progress", "a request with the same key is still running"),
        StatusCode::UNAUTHORIZED => ("api_key_invalid", "the API key is not valid"),
        StatusCode::NOT_FOUND => ("route_not_found", "there is nothing here"),
        _ => ("internal", "the provider could not do it; send the same request again later"),
    };
    Problem::new(status, code, detail)
}

fn shown(status: StatusCode, answer: Answer) -> Response {
    let mut response = (status, Json(answer.charge)).into_response();
    if answer.is_replay {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    response
}

fn key_of(headers: &HeaderMap) -> Result<String, Problem> {
    let key =
        headers.get("idempotency-key").and_then(|value| value.to_str().ok()).map(|key| key.trim_matches('"'));
    match key.filter(is_reference) {
        Some(key) => Ok(key.to_owned()),
        None => Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "idempotency_key_required",
            "send an Idempotency-Key header of 1 to 255 visible ASCII characters",
        )),
    }
}

fn charge_of(body: &[u8]) -> Result<NewCharge, Problem> {
    let mut fields = Fields::read(body)?;
    let amount = fields.required("amount", Field::positive_amount);
    let currency = fields.required("currency", Field::parsed);
    let reference = fields.required("reference", visible);
    let payment_method = fields.required("payment_method", visible);
    let all = amount.zip(currency).zip(reference.zip(payment_method));
    let ((amount, currency), (reference, payment_method)) = fields.finish(all)?;
    let id = format!("ch_{}", uuid::Uuid::now_v7().simple());
    Ok(NewCharge { id, reference, payment_method, amount, currency, decline_code: None })
}

fn visible(field: Field<'_>) -> Result<String, (FieldCode, String)> {
    let text = field.text()?;
    if is_reference(&text.as_str()) {
        return Ok(text);
    }
    Err((FieldCode::BadFormat, format!("must be 1 to {MAX_TEXT_LENGTH} visible ASCII characters")))
}

fn is_reference(text: &&str) -> bool {
    (1..=MAX_TEXT_LENGTH).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// An error as an outside company shows it: a problem document with its own codes.
#[derive(Debug)]
struct Problem {
    status: StatusCode,
    body: Value,
}

impl Problem {
    fn new(status: StatusCode, code: &str, detail: &str) -> Problem {
        let title = status.canonical_reason().unwrap_or("Error");
        let body = json!({
            "type": "about:blank", "title": title, "status": status.as_u16(), "code": code, "detail": detail,
        });
        Problem { status, body }
    }
}

impl From<waypost_api::Error> for Problem {
    fn from(error: waypost_api::Error) -> Problem {
        let mut problem = Problem::new(StatusCode::BAD_REQUEST, error.code.as_str(), &error.detail);
        if let (false, Ok(errors)) = (error.fields.is_empty(), serde_json::to_value(&error.fields)) {
            problem.body["errors"] = errors;
        }
        problem
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Problem {
        match error {
            Error::Refused(refusal) => {
                let status = match refusal {
                    Refusal::NotFound => StatusCode::NOT_FOUND,
                    // Not 409, which is for a request with the same key that still runs.
                    Refusal::State(_) | Refusal::RefundTooLarge | Refusal::KeyReused => {
                        StatusCode::UNPROCESSABLE_ENTITY
                    }
                };
                Problem::new(status, refusal.code(), &refusal.to_string())
            }
            failure => {
                record_error(&failure);
                let code = match &failure {
                    Error::Database(error) => error.code(),
                    _ => ErrorCode::Internal,
                };
                Problem::new(
                    code.http_status(),
                    code.as_str(),
                    "the provider could not do it; send the same request again later",
                )
            }
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let headers = [(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_CONTENT_TYPE))];
        (self.status, headers, self.body.to_string()).into_response()
    }
}
