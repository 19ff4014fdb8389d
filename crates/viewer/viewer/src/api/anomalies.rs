//! `GET /anomalies`: what is unusual now, and what was, each as a sentence that counts.

use super::{Api, alerts::answer, filter::KINDS, parameters::Parameters, values::Decimal};
use crate::problem::Problem;
use axum::{extract::State, response::Response};
use serde::Serialize;
use waypost_trace_alerts::{Episode, Place, What};
use waypost_trace_model::{Text, TraceId};

#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "AnomalyList"))]
pub(super) struct Anomalies {
    active: Vec<AnomalyLine>,
    ended: Vec<AnomalyLine>,
}

/// A time in which something was unusual.
#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "Anomaly"))]
pub(super) struct AnomalyLine {
    #[cfg_attr(test, ts(type = "\"errors\" | \"latency\" | \"rate\""))]
    what: What,
    #[cfg_attr(test, ts(type = "Place"))]
    place: Place,
    /// The place as a sentence names it.
    name: String,
    since: Decimal,
    until: Option<Decimal>,
    /// Of one that goes on as it is now, of one that ended as it was at its worst.
    sentence: String,
    /// A share, a 95th percentile in nanoseconds, or calls in ten minutes.
    value: f64,
    usual: f64,
    #[cfg_attr(test, ts(type = "Array<TraceId>"))]
    examples: Vec<TraceId>,
}

pub(super) async fn anomalies(
    State(api): State<Api>,
    mut parameters: Parameters,
) -> Result<Response, Problem> {
    let (from, to) = parameters.times()?;
    let text = |text: Option<String>| text.map(Text::from);
    let within = Place {
        service: text(parameters.text("service")?),
        operation: text(parameters.text("operation")?),
        kind: parameters.choice("kind", &KINDS)?,
        edge_from: text(parameters.text("edge_from")?),
        edge_to: text(parameters.text("edge_to")?),
    };
    parameters.finish()?;
    let is_wanted = |episode: &&Episode| {
        episode.place.is_within(&within)
            && to.is_none_or(|to| episode.since <= to)
            && from.zip(episode.until).is_none_or(|(from, until)| until >= from)
    };
    let found = api.alerts.look(|engine| Anomalies {
        active: engine.watch().active().filter(is_wanted).map(line).collect(),
        ended: engine.watch().ended().filter(is_wanted).map(line).collect(),
    });
    answer(&found)
}

fn line(episode: &Episode) -> AnomalyLine {
    let (sentence, value) = match episode.until {
        None => (&episode.sentence, episode.value),
        Some(_) => (&episode.worst, episode.worst_value),
    };
    AnomalyLine {
        what: episode.what,
        name: episode.place.words(),
        place: episode.place.clone(),
        since: Decimal(episode.since),
        until: episode.until.map(Decimal),
        sentence: sentence.clone(),
        value,
        usual: episode.usual,
        examples: episode.examples.clone(),
    }
}
