//! Rules held against figures, and what follows: states, history, queues of receivers.

use crate::{
    condition::{Reading, Source},
    finding::{Looked, Search},
    instances::{Bad, Instances, with_instance},
    machine::{Phase, Turn, Verdict, step},
    numbers::Numbers,
    place::Place,
    rule::Rule,
    saved::{Alert, Entry, Notification, Saved, Status},
    silence::Silence,
    watch::Watch,
};
use std::collections::{BTreeMap, BTreeSet};
use waypost_trace_statistics::Subject;

/// Changes that are remembered.
const MAX_HISTORY: usize = 500;
/// Notifications that wait for one receiver; beyond, the oldest is given up and counted.
const MAX_QUEUE: usize = 1_000;
/// Silences at once.
const MAX_SILENCES: usize = 200;
/// The longest time in which an instance is looked for.
const LONGEST_LOOK: u64 = 60 * 60 * 1_000_000_000;
/// Readings of one rule that are shown, the worst first.
const MAX_SHOWN: usize = 50;

/// Rules with their states.
#[derive(Debug)]
pub struct Engine {
    rules: Vec<Rule>,
    receivers: Vec<Receiver>,
    /// Example traces of one alert.
    max_examples: usize,
    /// Since when this process takes spans, in nanoseconds since 1970.
    started: u64,
    saved: Saved,
    states: Vec<RuleState>,
    /// What was found in traces, for each rule about findings.
    looked: Vec<Option<Looked>>,
    /// When it was evaluated last.
    evaluated: u64,
}

/// Whoever is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receiver {
    /// Its name.
    pub name: String,
    /// It is told of alerts of these severities; empty: of all.
    pub severities: Vec<String>,
}

impl Receiver {
    fn wants(&self, alert: &Alert) -> bool {
        let severity = alert.labels.get("severity");
        self.severities.is_empty() || severity.is_some_and(|severity| self.severities.contains(severity))
    }
}

/// A rule as it stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RuleState {
    /// What it measured, the worst first; at most 50 places.
    pub readings: Vec<(Place, Phase, Reading)>,
    /// How many places it measured.
    pub places: usize,
}

/// What an evaluation led to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evaluated {
    /// Whether what is saved changed.
    pub is_changed: bool,
    /// What fired or was resolved.
    pub changes: Vec<Change>,
}

/// An alert that fired or was resolved.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// What happened.
    pub entry: Entry,
    /// How bad it is.
    pub severity: String,
}

/// Why there is no such silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silenced {
    /// As many as there may be are there.
    TooMany,
    /// It would fit every alert.
    FitsAll,
    /// It ends before it begins.
    Over,
}

impl Engine {
    /// Rules and receivers of the configuration, with what was saved.
    ///
    /// Alerts of a rule that is gone are resolved by the next evaluation; what a receiver that is gone was to be told is
    /// dropped.
    pub fn new(
        rules: Vec<Rule>,
        receivers: Vec<Receiver>,
        max_examples: usize,
        mut saved: Saved,
        started: u64,
    ) -> Engine {
        saved.queues.retain(|name, _| receivers.iter().any(|receiver| receiver.name == *name));
        let states = rules.iter().map(|_| RuleState::default()).collect();
        let looked = rules.iter().map(|_| None).collect();
        Engine { rules, receivers, max_examples, started, saved, states, looked, evaluated: 0 }
    }

    /// What rules about findings look for. What is found is given to [`Engine::looked`] before the next evaluation.
    pub fn searches(&self) -> Vec<Search> {
        let rules = self.rules.iter().enumerate();
        rules.filter_map(|(number, rule)| rule.search(number)).collect()
    }

    /// What was found in the traces of the window up to now, for the rule of a search. It stands until something newer comes.
    pub fn looked(&mut self, rule: usize, looked: Looked) {
        if let Some(known) = self.looked.get_mut(rule) {
            *known = Some(looked);
        }
    }

    /// Holds every rule against the figures of now (nanoseconds since 1970). `instances` is asked where something begins.
    pub fn evaluate(&mut self, numbers: &dyn Numbers, instances: &dyn Instances, now: u64) -> Evaluated {
        let mut evaluated = Evaluated {
            is_changed: self.saved.watch.evaluate(numbers, instances, now, self.started),
            changes: Vec::new(),
        };
        let silences = self.saved.silences.len();
        self.saved.silences.retain(|silence| silence.until > now);
        evaluated.is_changed |= silences != self.saved.silences.len();

        let mut seen = BTreeSet::new();
        for (number, rule) in self.rules.clone().iter().enumerate() {
            let subjects = rule.scope.subjects(numbers);
            let looked = self.looked.get(number).and_then(Option::as_ref);
            let source = Source { numbers, watch: &self.saved.watch, now, started: self.started, looked };
            let measured: Vec<(Subject, Reading)> = subjects
                .into_iter()
                .map(|subject| {
                    let reading = rule.measure(&subject, &source);
                    (subject, reading)
                })
                .collect();
            let mut state = RuleState { places: measured.len(), readings: Vec::new() };
            for (subject, reading) in measured {
                let place = Place::from(&subject);
                seen.insert(fingerprint(&labels(rule, &place)));
                let worst = |bad, window: u64| {
                    let window = now.saturating_sub(window)..now.saturating_add(1);
                    Some(instances.worst(&subject, bad, &window)?.sentence(&bad.words()))
                };
                let phase = self.turn(rule, &place, &reading, (now, &worst), &mut evaluated);
                state.readings.push((place, phase, reading));
            }
            state.readings.sort_by(|left, right| order(left).cmp(&order(right)));
            state.readings.truncate(MAX_SHOWN);
            if let Some(known) = self.states.get_mut(number) {
                *known = state;
            }
        }
        self.end_unseen(&seen, now, &mut evaluated);
        self.evaluated = now;
        evaluated
    }

    fn turn(
        &mut self,
        rule: &Rule,
        place: &Place,
        reading: &Reading,
        (now, worst): (u64, &dyn Fn(Bad, u64) -> Option<String>),
        evaluated: &mut Evaluated,
    ) -> Phase {
        let labels = labels(rule, place);
        let key = fingerprint(&labels);
        let known = self.saved.alerts.remove(&key);
        let phase = known.as_ref().map(|alert| alert.phase).unwrap_or_default();
        let (next, turn) = step(phase, reading.verdict, now, rule.timing);
        evaluated.is_changed |= next != phase;
        let examples = known.as_ref().map(|alert| alert.examples.clone()).unwrap_or_default();
        let instance = match turn {
            Some(Turn::Fired) => {
                rule.condition.bad().and_then(|bad| worst(bad, rule.window.min(LONGEST_LOOK)))
            }
            _ => known.as_ref().and_then(|alert| alert.instance.clone()),
        };
        let mut alert = Alert {
            rule: rule.name.clone(),
            place: place.clone(),
            labels,
            phase: next,
            value: reading.value,
            sentence: reading.sentence.clone(),
            examples,
            is_told: known.is_some_and(|alert| alert.is_told),
            instance,
        };
        if next.is_firing() {
            alert.sentence = with_instance(alert.sentence, alert.instance.as_ref());
        }
        if reading.verdict == Verdict::Unknown && next.is_firing() {
            alert.sentence = format!("{} (too few calls now)", reading.sentence);
        }
        let is_silenced = self.silence_of(&rule.name, &alert.labels).is_some();
        let fired = next.fired().or_else(|| phase.fired()).unwrap_or(now);
        if turn == Some(Turn::Fired) {
            alert.examples = reading.examples.iter().copied().take(self.max_examples).collect();
        }
        if next.is_firing() && !alert.is_told && !is_silenced {
            alert.is_told = true;
            evaluated.is_changed = true;
            self.enqueue(&key, &alert, Status::Firing, (fired, now), Some(rule));
        }
        if let Some(turn) = turn {
            let status = if turn == Turn::Fired { Status::Firing } else { Status::Resolved };
            if turn == Turn::Forgotten {
                alert.sentence = format!("{}: nothing could be said for long", place.words());
            }
            if status == Status::Resolved && alert.is_told {
                self.enqueue(&key, &alert, status, (fired, now), Some(rule));
            }
            self.remember(&alert, status, (fired, now), is_silenced, &rule.severity, evaluated);
        }
        if next != Phase::Inactive {
            self.saved.alerts.insert(key, alert);
        }
        next
    }

    /// Ends alerts of rules and places that are not measured any more.
    fn end_unseen(&mut self, seen: &BTreeSet<String>, now: u64, evaluated: &mut Evaluated) {
        let gone: Vec<String> =
            self.saved.alerts.keys().filter(|key| !seen.contains(*key)).cloned().collect();
        for key in gone {
            let Some(mut alert) = self.saved.alerts.remove(&key) else { continue };
            evaluated.is_changed = true;
            let Phase::Firing { fired, .. } = alert.phase else { continue };
            let rule = self.rules.iter().find(|rule| rule.name == alert.rule).cloned();
            let why = if rule.is_some() { "it is not measured any more" } else { "its rule was removed" };
            alert.sentence = format!("{}: {why}", alert.place.words());
            if alert.is_told {
                self.enqueue(&key, &alert, Status::Resolved, (fired, now), rule.as_ref());
            }
            let severity = alert.labels.get("severity").cloned().unwrap_or_default();
            self.remember(&alert, Status::Resolved, (fired, now), false, &severity, evaluated);
        }
    }

    fn enqueue(
        &mut self,
        fingerprint: &str,
        alert: &Alert,
        status: Status,
        (fired, at): (u64, u64),
        rule: Option<&Rule>,
    ) {
        let notification = Notification {
            id: format!("{}-{fingerprint}", self.next_id(at)),
            at,
            status,
            fingerprint: fingerprint.to_owned(),
            labels: alert.labels.clone(),
            rule: alert.rule.clone(),
            sentence: alert.sentence.clone(),
            summary: rule.map(|rule| rule.summary.clone()).unwrap_or_default(),
            runbook: rule.map(|rule| rule.runbook.clone()).unwrap_or_default(),
            fired,
            examples: alert.examples.clone(),
        };
        for receiver in self.receivers.iter().filter(|receiver| receiver.wants(alert)) {
            let queue = self.saved.queues.entry(receiver.name.clone()).or_default();
            queue.push_back(notification.clone());
            if queue.len() > MAX_QUEUE {
                queue.pop_front();
                *self.saved.given_up.entry(receiver.name.clone()).or_default() += 1;
            }
        }
    }

    fn remember(
        &mut self,
        alert: &Alert,
        status: Status,
        (fired, at): (u64, u64),
        is_silenced: bool,
        severity: &str,
        evaluated: &mut Evaluated,
    ) {
        let entry = Entry {
            at,
            status,
            rule: alert.rule.clone(),
            place: alert.place.clone(),
            sentence: alert.sentence.clone(),
            fired,
            is_silenced,
            examples: alert.examples.clone(),
        };
        self.saved.history.push_back(entry.clone());
        if self.saved.history.len() > MAX_HISTORY {
            self.saved.history.pop_front();
        }
        evaluated.is_changed = true;
        evaluated.changes.push(Change { entry, severity: severity.to_owned() });
    }

    fn next_id(&mut self, now: u64) -> String {
        self.saved.sequence += 1;
        format!("{:x}-{}", now / 1_000_000, self.saved.sequence)
    }

    /// What a receiver is to be told next.
    pub fn next(&self, receiver: &str) -> Option<&Notification> {
        self.saved.queues.get(receiver)?.front()
    }

    /// How many notifications wait for a receiver.
    pub fn waiting(&self, receiver: &str) -> usize {
        self.saved.queues.get(receiver).map_or(0, std::collections::VecDeque::len)
    }

    /// A receiver was told, or never will be.
    pub fn delivered(&mut self, receiver: &str, id: &str) {
        if let Some(queue) = self.saved.queues.get_mut(receiver) {
            queue.retain(|notification| notification.id != id);
        }
    }

    /// Notifications that a receiver will never be told, because too many waited.
    pub fn given_up(&self, receiver: &str) -> u64 {
        self.saved.given_up.get(receiver).copied().unwrap_or_default()
    }

    /// Begins a silence.
    ///
    /// # Errors
    /// It says too little or too much, or there are too many.
    pub fn silence(
        &mut self,
        rule: Option<String>,
        labels: BTreeMap<String, String>,
        reason: String,
        (now, until): (u64, u64),
    ) -> Result<Silence, Silenced> {
        if until <= now {
            return Err(Silenced::Over);
        }
        if rule.is_none() && labels.is_empty() {
            return Err(Silenced::FitsAll);
        }
        if self.saved.silences.len() >= MAX_SILENCES {
            return Err(Silenced::TooMany);
        }
        let silence = Silence { id: self.next_id(now), rule, labels, reason, created: now, until };
        self.saved.silences.push(silence.clone());
        Ok(silence)
    }

    /// Ends a silence; false when there is none of this id.
    pub fn end_silence(&mut self, id: &str) -> bool {
        let before = self.saved.silences.len();
        self.saved.silences.retain(|silence| silence.id != id);
        self.saved.silences.len() != before
    }

    /// Silences that are not over.
    pub fn silences(&self) -> &[Silence] {
        &self.saved.silences
    }

    /// The silence that an alert of this rule at this place is under.
    pub fn silence_of(&self, rule: &str, labels: &BTreeMap<String, String>) -> Option<&Silence> {
        self.saved.silences.iter().find(|silence| silence.fits(rule, labels))
    }

    /// Every rule with its state, in the order of the configuration.
    pub fn rules(&self) -> impl Iterator<Item = (&Rule, &RuleState)> {
        self.rules.iter().zip(&self.states)
    }

    /// Alerts that are pending or firing, with their fingerprints.
    pub fn alerts(&self) -> impl Iterator<Item = (&str, &Alert)> {
        self.saved.alerts.iter().map(|(key, alert)| (key.as_str(), alert))
    }

    /// What fired and was resolved, the latest first.
    pub fn history(&self) -> impl Iterator<Item = &Entry> {
        self.saved.history.iter().rev()
    }

    /// Anomalies.
    pub fn watch(&self) -> &Watch {
        &self.saved.watch
    }

    /// Whoever is told.
    pub fn receivers(&self) -> &[Receiver] {
        &self.receivers
    }

    /// When the rules were last held against figures, in nanoseconds since 1970; 0 before the first time.
    pub fn evaluated(&self) -> u64 {
        self.evaluated
    }

    /// What is to be saved.
    pub fn saved(&self) -> &Saved {
        &self.saved
    }
}

/// Firing first, then by how far a figure is beyond its threshold.
fn order((place, phase, reading): &(Place, Phase, Reading)) -> (u8, u8, std::cmp::Reverse<u64>, &Place) {
    let phase = match phase {
        Phase::Firing { .. } => 0,
        Phase::Pending { .. } => 1,
        Phase::Inactive => 2,
    };
    let verdict = match reading.verdict {
        Verdict::Beyond => 0,
        Verdict::Between => 1,
        Verdict::Within => 2,
        Verdict::Unknown => 3,
    };
    // The bits of numbers that are not negative are in their order.
    let value = reading.value.filter(|value| *value >= 0.0).unwrap_or_default().to_bits();
    (phase, verdict, std::cmp::Reverse(value), place)
}

impl Rule {
    /// Labels of an alert of this rule: those of the rule and the place, `alertname` and `severity`.
    pub fn labels_at(&self, place: &Place) -> BTreeMap<String, String> {
        labels(self, place)
    }
}

fn labels(rule: &Rule, place: &Place) -> BTreeMap<String, String> {
    let mut labels = rule.labels.clone();
    labels.extend(place.labels());
    labels.insert("alertname".to_owned(), rule.name.clone());
    labels.insert("severity".to_owned(), rule.severity.clone());
    labels
}

/// 16 hexadecimal digits that stand for labels (FNV-1a, 64 bits).
fn fingerprint(labels: &BTreeMap<String, String>) -> String {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for text in labels.iter().flat_map(|(name, value)| [name, value]) {
        for byte in text.bytes().chain([0xff]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
    format!("{hash:016x}")
}
