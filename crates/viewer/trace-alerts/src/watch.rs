//! Anomalies over time: from when to when something was unusual.

use crate::{
    anomaly::{Look, What},
    instances::{Instances, with_instance},
    machine::{Phase, Timing, Turn, Verdict, step},
    numbers::Numbers,
    place::Place,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, VecDeque};
use waypost_trace_model::TraceId;
use waypost_trace_statistics::Subject;

const MINUTE: u64 = 60_000_000_000;
/// What had no call for longer is not watched any more, unless it is unusual already.
const BUSY: u64 = 80 * MINUTE;
/// Calls within that time below which nothing is watched.
const MIN_CALLS: u64 = 20;
/// An anomaly that goes on for longer is the new usual.
const LONGEST: u64 = 6 * 60 * MINUTE;
/// It must be there twice, a minute apart.
const TIMING: Timing = Timing { hold: MINUTE, forget: 15 * MINUTE };
/// Anomalies at once, and over that are remembered.
const MAX_ACTIVE: usize = 200;
const MAX_ENDED: usize = 200;

/// A time in which something was unusual. Times are nanoseconds since 1970.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Episode {
    /// What is unusual.
    pub what: What,
    /// Of what.
    pub place: Place,
    /// Since when.
    pub since: u64,
    /// Until when; `None` while it goes on.
    pub until: Option<u64>,
    /// What is the matter now, or was last.
    pub sentence: String,
    /// What was the matter when it was worst.
    pub worst: String,
    /// The figure: a share, a 95th percentile in nanoseconds, or calls in ten minutes.
    pub value: f64,
    /// The figure when it was worst.
    pub worst_value: f64,
    /// What is usual.
    pub usual: f64,
    /// Calls in ten minutes.
    pub calls: u64,
    /// Traces to look at.
    pub examples: Vec<TraceId>,
    /// The instance that had most of what was wrong when it began, as a sentence; it is a part of the sentences above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    phase: Phase,
}

/// What is unusual now, and what was.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Watch {
    open: Vec<Episode>,
    ended: VecDeque<Episode>,
    /// The minute that was looked at last.
    minute: u64,
}

impl Watch {
    /// What is unusual now, the latest first.
    pub fn active(&self) -> impl Iterator<Item = &Episode> {
        self.open.iter().rev().filter(|episode| episode.phase.is_firing())
    }

    /// What was, the latest first.
    pub fn ended(&self) -> impl Iterator<Item = &Episode> {
        self.ended.iter().rev()
    }

    /// Looks at everything once a minute; answers whether anything began or ended.
    pub fn evaluate(
        &mut self,
        numbers: &dyn Numbers,
        instances: &dyn Instances,
        now: u64,
        started: u64,
    ) -> bool {
        if now / MINUTE == self.minute {
            return false;
        }
        self.minute = now / MINUTE;
        let busy = numbers.busy(&(now.saturating_sub(BUSY)..now.saturating_add(1)), MIN_CALLS);
        let open = self.open.iter().filter_map(|episode| episode.place.subject());
        let subjects: BTreeSet<Subject> = busy.into_iter().chain(open).collect();
        let mut is_changed = false;
        for subject in &subjects {
            let place = Place::from(subject);
            for what in What::ALL {
                is_changed |= self.look((numbers, instances), subject, &place, what, (now, started));
            }
        }
        is_changed
    }

    fn look(
        &mut self,
        (numbers, instances): (&dyn Numbers, &dyn Instances),
        subject: &Subject,
        place: &Place,
        what: What,
        (now, started): (u64, u64),
    ) -> bool {
        let at = self.open.iter().position(|episode| episode.what == what && episode.place == *place);
        let phase = at.and_then(|at| self.open.get(at)).map(|episode| episode.phase).unwrap_or_default();
        let since = phase.since().filter(|since| now.saturating_sub(*since) < LONGEST);
        let (verdict, anomaly) = Look { numbers, subject, now, started, since }.at(what);
        let (next, turn) = step(phase, verdict, now, TIMING);
        match (at, next) {
            (None, Phase::Inactive) => {}
            (None, _) => {
                if let Some(anomaly) = anomaly.filter(|_| self.open.len() < MAX_ACTIVE) {
                    self.open.push(Episode {
                        what,
                        place: place.clone(),
                        since: now,
                        until: None,
                        worst: anomaly.sentence.clone(),
                        sentence: anomaly.sentence,
                        value: anomaly.value,
                        worst_value: anomaly.value,
                        usual: anomaly.usual,
                        calls: anomaly.calls,
                        examples: anomaly.examples,
                        instance: None,
                        phase: next,
                    });
                }
            }
            (Some(at), Phase::Inactive) => {
                let episode = self.open.remove(at);
                if phase.is_firing() {
                    self.ended.push_back(Episode { until: Some(now), phase: next, ..episode });
                    if self.ended.len() > MAX_ENDED {
                        self.ended.pop_front();
                    }
                }
            }
            (Some(at), _) => {
                if let Some(episode) = self.open.get_mut(at) {
                    episode.phase = next;
                    if let Some(anomaly) = anomaly.filter(|_| verdict == Verdict::Beyond) {
                        if turn == Some(Turn::Fired)
                            && let Some((bad, window)) = anomaly.bad_within(now)
                        {
                            let worst = instances.worst(subject, bad, &window);
                            episode.instance = worst.map(|worst| worst.sentence(&bad.words()));
                        }
                        let sentence = with_instance(anomaly.sentence, episode.instance.as_ref());
                        let is_worse = (anomaly.value > episode.worst_value) != (what == What::Rate);
                        if is_worse || turn == Some(Turn::Fired) {
                            episode.worst.clone_from(&sentence);
                            episode.worst_value = anomaly.value;
                            episode.examples.clone_from(&anomaly.examples);
                        }
                        episode.sentence = sentence;
                        episode.value = anomaly.value;
                        episode.calls = anomaly.calls;
                    }
                }
            }
        }
        matches!(turn, Some(Turn::Fired | Turn::Resolved | Turn::Forgotten))
    }
}
