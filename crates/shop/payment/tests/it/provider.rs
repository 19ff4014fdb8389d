//! A payment provider that does as it is told: it keeps charges, and misbehaves once for each order it was given to.

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode, Uri},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use futures_util::stream;
use serde_json::{Value, json};
use std::{
    collections::{HashMap, VecDeque},
    convert::Infallible,
    future::pending,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};
use tokio::sync::watch;
use waypost_service::{Drain, DrainTrigger, Limits, bind, serve};
use waypost_telemetry::Telemetry;

/// What happens to the next call that changes something.
#[derive(Clone, Debug)]
pub(crate) enum Mood {
    /// Nothing is done and no answer is given.
    SilentBefore,
    /// It is done and no answer is given.
    SilentAfter,
    /// Nothing is done and this is the answer.
    Answer(StatusCode, String),
    /// It is done and this is the answer.
    AnswerAfter(StatusCode, String),
    /// It is done and the right answer comes with so many bytes beside it.
    Padded(usize),
    /// It is done and the answer begins, but does not end.
    Endless,
}

/// A call as it came in.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) call: String,
    pub(crate) key: Option<String>,
    pub(crate) headers: HeaderMap,
}

#[derive(Default)]
struct Books {
    charges: Vec<Value>,
    answers: HashMap<String, Value>,
    moods: VecDeque<Mood>,
    seen: Vec<Seen>,
}

#[derive(Clone)]
struct Desk {
    books: Arc<Mutex<Books>>,
    calls: Arc<watch::Sender<usize>>,
}

/// A no of the provider: status and body.
type Refusal = (StatusCode, &'static str);

/// The provider, until it is dropped.
pub(crate) struct FakeProvider {
    desk: Desk,
    url: String,
    trigger: DrainTrigger,
}

impl FakeProvider {
    pub(crate) fn start() -> FakeProvider {
        Self::traced(&Telemetry::disabled())
    }

    pub(crate) fn traced(telemetry: &Telemetry) -> FakeProvider {
        let desk = Desk { books: Arc::default(), calls: Arc::new(watch::Sender::new(0)) };
        let router = Router::new()
            .route("/v1/charges", post(create).get(find))
            .route("/v1/charges/{id}/capture", post(capture))
            .route("/v1/charges/{id}/void", post(void))
            .route("/v1/charges/{id}/refunds", post(refund))
            .route("/v1/charges/{id}", get(|| async { StatusCode::NOT_FOUND }))
            .layer(telemetry.http_server())
            .with_state(desk.clone());
        let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let url = listener.url();
        let (trigger, drain) = Drain::new();
        waypost_telemetry::spawn(serve(listener, router, Limits::default(), drain));
        FakeProvider { desk, url, trigger }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The next call that changes something meets this.
    pub(crate) fn is_next(&self, mood: Mood) {
        self.desk.books().moods.push_back(mood);
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.desk.books().seen.clone()
    }

    /// How many calls of a kind came in, such as `POST /v1/charges`.
    pub(crate) fn count(&self, call: &str) -> usize {
        self.seen().iter().filter(|seen| seen.call == call).count()
    }

    pub(crate) fn charges(&self) -> Vec<Value> {
        self.desk.books().charges.clone()
    }

    /// Puts a charge in, as if a request that was long on its way had arrived at last.
    pub(crate) fn receive_late(&self, reference: &str, amount: &str) {
        let body = format!(
            r#"{{"amount":{amount},"currency":"USD","reference":"{reference}","payment_method":"pm_card_ok"}}"#
        );
        let _late = self.desk.books().create("late", &serde_json::from_str(&body).unwrap());
    }

    /// Takes the amount of a charge, as if a request that was long on its way had arrived at last.
    pub(crate) fn capture_late(&self, charge: usize) {
        let charge = &mut self.desk.books().charges[charge];
        charge["status"] = json!("captured");
        charge["captured"] = charge["amount"].clone();
    }

    /// Waits until so many calls have come in.
    pub(crate) async fn wait_for_calls(&self, calls: usize) {
        let mut seen = self.desk.calls.subscribe();
        let waited =
            tokio::time::timeout(Duration::from_secs(10), seen.wait_for(|seen| *seen >= calls)).await;
        waited.expect("the calls did not come in time").unwrap();
    }
}

impl Drop for FakeProvider {
    fn drop(&mut self) {
        self.trigger.close();
    }
}

impl Desk {
    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap()
    }

    /// Notes a call that changes something, then does it, answers it or keeps silent, as the mood is.
    async fn change(
        &self,
        call: String,
        headers: HeaderMap,
        change: impl FnOnce(&mut Books, &str) -> Result<Value, Refusal>,
    ) -> Response {
        let key = headers["idempotency-key"].to_str().unwrap().to_owned();
        let (mood, done) = {
            let mut books = self.books();
            books.seen.push(Seen { call, key: Some(key.clone()), headers });
            let mood = books.moods.pop_front();
            let acts = !matches!(mood, Some(Mood::SilentBefore | Mood::Answer(..)));
            let done = acts.then(|| match books.answers.get(&key) {
                Some(answer) => Ok(answer.clone()),
                None => change(&mut books, &key),
            });
            (mood, done)
        };
        self.calls.send_modify(|calls| *calls += 1);
        match (mood, done) {
            (Some(Mood::SilentBefore | Mood::SilentAfter), _) => pending().await,
            (Some(Mood::Answer(status, body) | Mood::AnswerAfter(status, body)), _) => {
                (status, body).into_response()
            }
            (Some(Mood::Padded(bytes)), Some(Ok(mut charge))) => {
                charge["padding"] = "a".repeat(bytes).into();
                (StatusCode::OK, charge.to_string()).into_response()
            }
            (Some(Mood::Endless), _) => {
                Body::from_stream(stream::pending::<Result<Bytes, Infallible>>()).into_response()
            }
            (None, Some(Ok(charge))) => (StatusCode::OK, charge.to_string()).into_response(),
            (_, Some(Err(refusal))) => refusal.into_response(),
            (_, None) => unreachable!("in every other mood it is done"),
        }
    }
}

impl Books {
    fn create(&mut self, key: &str, body: &Value) -> Value {
        let is_declined = body["payment_method"] == "pm_card_declined";
        let charge = json!({
            "id": format!("ch_{}", self.charges.len() + 1),
            "status": if is_declined { "declined" } else { "authorized" },
            "amount": body["amount"], "captured": 0, "refunded": 0, "currency": body["currency"],
            "reference": body["reference"],
            "decline_code": if is_declined { json!("insufficient_funds") } else { Value::Null },
        });
        self.charges.push(charge.clone());
        self.answers.insert(key.to_owned(), charge.clone());
        charge
    }

    /// Changes a charge that is in this state, and keeps the answer under the key.
    fn update(
        &mut self,
        key: &str,
        id: &str,
        expected: &str,
        change: impl FnOnce(&mut Value),
    ) -> Result<Value, Refusal> {
        let charge = self.charges.iter_mut().find(|charge| charge["id"] == id);
        let Some(charge) = charge else { return Err((StatusCode::NOT_FOUND, "")) };
        if charge["status"] != expected {
            return Err((StatusCode::UNPROCESSABLE_ENTITY, r#"{"code":"charge_state"}"#));
        }
        change(charge);
        self.answers.insert(key.to_owned(), charge.clone());
        Ok(charge.clone())
    }
}

async fn create(State(desk): State<Desk>, headers: HeaderMap, body: Bytes) -> Response {
    let body: Value = serde_json::from_slice(&body).unwrap();
    desk.change("POST /v1/charges".into(), headers, |books, key| Ok(books.create(key, &body))).await
}

async fn capture(State(desk): State<Desk>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    let change = |charge: &mut Value| {
        charge["status"] = json!("captured");
        charge["captured"] = charge["amount"].clone();
    };
    desk.change("capture".into(), headers, |books, key| books.update(key, &id, "authorized", change)).await
}

async fn void(State(desk): State<Desk>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    let change = |charge: &mut Value| charge["status"] = json!("voided");
    desk.change("void".into(), headers, |books, key| books.update(key, &id, "authorized", change)).await
}

async fn refund(
    State(desk): State<Desk>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let body: Value = serde_json::from_slice(&body).unwrap();
    let change = |charge: &mut Value| {
        let sum = charge["refunded"].as_f64().unwrap() + body["amount"].as_f64().unwrap();
        charge["refunded"] = json!((sum * 10_000.0).round() / 10_000.0);
    };
    desk.change("refund".into(), headers, |books, key| books.update(key, &id, "captured", change)).await
}

async fn find(
    State(desk): State<Desk>,
    Query(query): Query<HashMap<String, String>>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let found = {
        let mut books = desk.books();
        books.seen.push(Seen { call: "find".to_owned(), key: None, headers });
        let of_reference = |charge: &&Value| charge["reference"] == query["reference"].as_str();
        books.charges.iter().filter(of_reference).cloned().collect::<Vec<_>>()
    };
    assert_eq!(uri.path(), "/v1/charges");
    desk.calls.send_modify(|calls| *calls += 1);
    json!({ "charges": found }).to_string().into_response()
}
