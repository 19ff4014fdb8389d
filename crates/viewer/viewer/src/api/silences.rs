//! `POST /silences`, `DELETE /silences/{id}`: of which alerts nobody is told for a time.

use super::{
    Api, NoParameters, Path,
    alerts::{SilenceLine, answer},
    units,
};
use crate::problem::Problem;
use axum::{
    body::Bytes,
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use serde::Deserialize;
use std::collections::BTreeMap;
use waypost_trace_alerts::Silenced;
use waypost_trace_store::now;

/// Bytes of the longest text of a silence.
const MAX_TEXT: usize = 500;
const MAX_LABELS: usize = 20;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// The name of a rule.
    #[serde(default)]
    rule: Option<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    reason: String,
    /// How long, such as `2h`.
    r#for: String,
}

pub(super) async fn begin(State(api): State<Api>, _: NoParameters, body: Bytes) -> Result<Response, Problem> {
    let wanted: Wanted = serde_json::from_slice(&body).map_err(|error| Problem::body(error.to_string()))?;
    let Wanted { rule, labels, reason, r#for: length } = wanted;
    let length = units::duration(&length).map_err(|reason| Problem::parameter("for", reason))?;
    let is_too_long = |text: &String| text.len() > MAX_TEXT;
    let has_long_label = labels.iter().any(|(name, value)| is_too_long(name) || is_too_long(value));
    if labels.len() > MAX_LABELS || has_long_label || rule.iter().any(is_too_long) || is_too_long(&reason) {
        return Err(Problem::body(format!(
            "a silence has at most {MAX_LABELS} labels, and texts of at most {MAX_TEXT} bytes"
        )));
    }
    if reason.trim().is_empty() {
        return Err(Problem::parameter("reason", "must be given, so that others know why nobody is told"));
    }
    let now = now();
    let times = (now, now.saturating_add(length));
    let begun = api.alerts.change(move |engine| engine.silence(rule, labels, reason, times)).await;
    match begun.ok_or_else(Problem::internal)? {
        Ok(silence) => answer(&SilenceLine::of(&silence)),
        Err(Silenced::FitsAll) => {
            Err(Problem::parameter("labels", "or `rule` must be given: a silence of everything is none"))
        }
        Err(Silenced::Over) => Err(Problem::parameter("for", "must be more than nothing")),
        Err(Silenced::TooMany) => Err(Problem::full("there are as many silences as may be at once")),
    }
}

pub(super) async fn end(State(api): State<Api>, path: Path, _: NoParameters) -> Result<Response, Problem> {
    let id = path.text("silence").to_owned();
    match api.alerts.change(move |engine| engine.end_silence(&id)).await {
        Some(true) => Ok(StatusCode::NO_CONTENT.into_response()),
        Some(false) => Err(Problem::not_found("there is no silence of this id")),
        None => Err(Problem::internal()),
    }
}
