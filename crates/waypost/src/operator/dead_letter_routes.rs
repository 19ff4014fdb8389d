//! The dead letters of a process on its admin listener, and as a metric and a check that is shown.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use waypost_durable::Error;
use waypost_durable::dead_letters::{DeadLetters, Replayed};
use waypost_service::Check;
use waypost_service::operator::{Asked, Body, Refusal};
use waypost_telemetry::{Telemetry, record_error};

use super::dead_letter_report::{Letter, Letters, ReplayBody, ReplayedLetters};

/// Letters of one page.
const PAGE_SIZE: usize = 50;
/// Most letters that are named in one request.
const MAX_NAMED: usize = 1000;

type Source = Arc<dyn DeadLetters>;

/// The routes, to be put behind [`waypost_service::operator::guarded`].
pub(crate) fn routes(source: Source) -> Router {
    Router::new()
        .route("/operator/dead-letters", get(list))
        .route("/operator/dead-letters/replay", post(replay))
        .route("/operator/dead-letters/letters/{*reference}", get(show))
        .with_state(source)
}

/// How many wait: a metric, and a check that is shown and does not count.
pub(crate) fn check(source: Source, telemetry: &Telemetry) -> Check {
    let gauge = telemetry
        .meter()
        .u64_gauge("waypost.messaging.dead_letters")
        .with_description("Events that could not be delivered and wait for an operator.")
        .with_unit("{message}")
        .build();
    Check::advisory("dead-letters", move || {
        let (source, gauge) = (Arc::clone(&source), gauge.clone());
        async move {
            let count = source.count().await.map_err(|error| error.to_string())?;
            gauge.record(count, &[]);
            match count {
                0 => Ok(()),
                count => Err(format!("{count} wait; see `waypost dead-letters list`")),
            }
        }
    })
}

/// Where a page begins.
#[derive(Debug, Deserialize)]
struct After {
    after: Option<String>,
}

async fn list(
    State(source): State<Source>,
    Query(After { after }): Query<After>,
) -> Result<Json<Letters>, Refusal> {
    // One more than is shown tells whether there is a next page.
    let mut letters =
        source.waiting(after.as_deref(), PAGE_SIZE + 1).await.map_err(|error| failed(&error))?;
    let has_more = letters.len() > PAGE_SIZE;
    letters.truncate(PAGE_SIZE);
    // A page that shows all of them is counted itself: one that is parked meanwhile would be in the number alone.
    let total = if after.is_none() && !has_more {
        letters.len() as u64
    } else {
        source.count().await.map_err(|error| failed(&error))?
    };
    let next = letters.last().filter(|_| has_more).map(|letter| letter.reference.clone());
    Ok(Json(Letters { letters: letters.iter().map(Letter::from).collect(), total, next }))
}

async fn show(State(source): State<Source>, Path(reference): Path<String>) -> Result<Json<Letter>, Refusal> {
    let letter = source.find(&reference).await.map_err(|error| failed(&error))?;
    let letter = letter.ok_or_else(|| Refusal::not_found(format!("there is no dead letter {reference}")))?;
    Ok(Json(Letter::whole(&letter)))
}

async fn replay(
    State(source): State<Source>,
    Body(ReplayBody { by, reason, letters, all }): Body<ReplayBody>,
) -> Result<Json<ReplayedLetters>, Refusal> {
    let asked = Asked { by, reason };
    asked.check()?;
    if all != letters.is_empty() || letters.len() > MAX_NAMED {
        let detail = format!("name 1 to {MAX_NAMED} `letters`, or ask for `all`");
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "invalid_request", detail));
    }
    let letters = if all { waiting(&source).await.map_err(|error| failed(&error))? } else { letters };
    let mut answer = ReplayedLetters::default();
    for letter in letters {
        let place =
            match source.replay(&letter, &asked.by, &asked.reason).await.map_err(|error| failed(&error))? {
                Replayed::Now => &mut answer.replayed,
                Replayed::Before => &mut answer.before,
                Replayed::Unknown => &mut answer.unknown,
            };
        place.push(letter);
    }
    tracing::warn!(
        replayed = answer.replayed.len(),
        by = asked.by,
        reason = asked.reason,
        "an operator had dead letters published again"
    );
    Ok(Json(answer))
}

/// All that wait now. Known before the first is published again: one that fails at once is parked anew, and would be
/// met again and again.
async fn waiting(source: &Source) -> Result<Vec<String>, Error> {
    let mut references: Vec<String> = Vec::new();
    loop {
        let page = source.waiting(references.last().map(String::as_str), PAGE_SIZE).await?;
        let is_last = page.len() < PAGE_SIZE;
        references.extend(page.into_iter().map(|letter| letter.reference));
        if is_last {
            return Ok(references);
        }
    }
}

fn failed(error: &Error) -> Refusal {
    record_error(error);
    let code = error.code();
    Refusal::new(code.http_status(), code.as_str(), error.to_string())
}
