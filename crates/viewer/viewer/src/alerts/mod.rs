//! Alerts in the running viewer: the clock, the file and the network around `waypost-trace-alerts`.
//!
//! ```text
//! statistics -> Engine -> alerts.json -> receivers
//!                 |-> examples -> pins
//! ```
//!
//! Invariants:
//! - What changed is in the file before anybody is told of it.
//! - Rules are evaluated and files written on threads that may block.
//! - A receiver that is slow or away holds up neither the rules nor other receivers.

mod delivery;
mod findings;
mod instances;
mod journal;
mod mail;
mod mail_stream;
mod pins;
mod receivers;
mod settings;
mod tls;
mod webhook;

pub use receivers::{MailTls, ReceiverKind, ReceiverSettings};
pub use settings::AlertSettings;

pub(crate) use delivery::Account;
pub(crate) use pins::{Bounds as PinBounds, NoPin, Pin, PinnedBy, PinnedStore, Pins};

use crate::Bound;
use delivery::Failure;
use instances::Spans;
use journal::Journal;
use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::watch,
    task::spawn_blocking,
    time::{Instant, MissedTickBehavior, interval, sleep},
};
use waypost_service::Worker;
use waypost_telemetry::{Telemetry, with_context};
use waypost_trace_alerts::{Change, Engine, Notification, Saved, Search, Status};
use waypost_trace_query::Sample;
use waypost_trace_store::{TraceStore, now};

/// The alerts of one viewer. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Alerts(Arc<Shared>);

struct Shared {
    engine: Mutex<Engine>,
    /// `None` without a folder.
    journal: Option<Journal>,
    /// Held while the file is written, so that an older state never comes after a newer one.
    writing: Mutex<()>,
    accounts: Mutex<BTreeMap<String, Account>>,
    /// Told of each change of the queues.
    changes: watch::Sender<()>,
    pins: Pins,
    store: Arc<dyn TraceStore>,
    settings: AlertSettings,
    external_url: String,
}

impl Alerts {
    /// With what was saved in the folder of the viewer. Blocks on the disk.
    pub(crate) fn open(
        settings: &AlertSettings,
        folder: Option<&Path>,
        pins: Pins,
        store: Arc<dyn TraceStore>,
        bound: Bound,
    ) -> Alerts {
        let journal = folder.map(Journal::within);
        let saved = journal.as_ref().map_or_else(Saved::default, Journal::load);
        let engine = Engine::new(settings.rules(), settings.receivers(), settings.examples, saved, now());
        let external_url = match settings.external_url.as_str() {
            "" => format!("http://{}", bound.ui),
            url => url.to_owned(),
        };
        Alerts(Arc::new(Shared {
            engine: Mutex::new(engine),
            journal,
            writing: Mutex::new(()),
            accounts: Mutex::new(BTreeMap::new()),
            changes: watch::Sender::new(()),
            pins,
            store,
            settings: settings.clone(),
            external_url,
        }))
    }

    /// Evaluates the rules, and tells the receivers.
    pub(crate) fn workers(&self, telemetry: &Telemetry) -> Vec<Worker> {
        let (alerts, context) = (self.clone(), telemetry.context());
        let evaluating = Worker::new("viewer-alerts", move |drain| {
            with_context(context, async move {
                tokio::select! { () = drain.started() => {}, () = alerts.evaluate_for_ever() => {} }
            })
        });
        let telling = self.0.settings.receivers.iter().map(|receiver| {
            let (alerts, receiver, context) = (self.clone(), receiver.clone(), telemetry.context());
            Worker::new("viewer-alert-receiver", move |drain| {
                with_context(context, async move {
                    tokio::select! { () = drain.started() => {}, () = delivery::run(alerts, receiver) => {} }
                })
            })
        });
        let looking = self.looking(telemetry);
        std::iter::once(evaluating).chain(looking).chain(telling).collect()
    }

    async fn evaluate_for_ever(&self) {
        let mut ticks = interval(self.0.settings.every.get().max(Duration::from_millis(10)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let alerts = self.clone();
            if spawn_blocking(move || alerts.evaluate()).await.is_err() {
                tracing::error!("the rules of the alerts could not be evaluated");
            }
        }
    }

    /// Looks for what the rules about findings are about, when there are such.
    fn looking(&self, telemetry: &Telemetry) -> Option<Worker> {
        let searches = self.look(Engine::searches);
        let (alerts, context) = (self.clone(), telemetry.context());
        let worker = Worker::new("viewer-alert-findings", move |drain| {
            with_context(context, async move {
                tokio::select! { () = drain.started() => {}, () = alerts.look_for_ever(&searches) => {} }
            })
        });
        self.look(|engine| !engine.searches().is_empty()).then_some(worker)
    }

    async fn look_for_ever(&self, searches: &[Search]) {
        loop {
            let begun = Instant::now();
            for search in searches {
                let (alerts, search) = (self.clone(), search.clone());
                if spawn_blocking(move || alerts.look_for(&search)).await.is_err() {
                    tracing::error!("traces could not be looked at for a rule about findings");
                }
            }
            sleep((begun.elapsed() * 9).max(self.0.settings.every.get())).await;
        }
    }

    fn look_for(&self, search: &Search) {
        match findings::look(&*self.0.store, search, now()) {
            Ok(looked) => self.engine().looked(search.rule, looked),
            Err(error) => tracing::warn!(%error, "traces cannot be looked at for a rule about findings"),
        }
    }

    fn evaluate(&self) {
        let instances = Spans::of(&*self.0.store);
        let evaluated = self.engine().evaluate(self.0.store.statistics(), &instances, now());
        for Change { entry, severity } in &evaluated.changes {
            let (rule, sentence) = (&entry.rule, &entry.sentence);
            match entry.status {
                Status::Firing => tracing::info!(rule, severity, "an alert fires: {sentence}"),
                Status::Resolved => tracing::info!(rule, severity, "an alert is resolved: {sentence}"),
            }
            if entry.status == Status::Firing {
                for trace in &entry.examples {
                    let reason = format!("{rule}: {sentence}");
                    // One that cannot be kept is still named.
                    if let Err(why) = self.0.pins.add(&*self.0.store, *trace, PinnedBy::Alert, reason) {
                        tracing::info!(%trace, %why, "an example trace of an alert is not pinned");
                    }
                }
            }
        }
        self.0.pins.refresh(&*self.0.store);
        if evaluated.is_changed {
            self.save();
            self.0.changes.send_replace(());
        }
    }

    /// Writes what outlives the process.
    fn save(&self) {
        let Some(journal) = &self.0.journal else { return };
        let _writing = self.0.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let saved = self.engine().saved().clone();
        if let Err(error) = journal.save(&saved) {
            tracing::error!(%error, "the alerts' file cannot be written: after a restart receivers may be told again");
        }
    }

    /// Changes the engine and, when the change says so, saves.
    pub(crate) async fn change<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Engine) -> T + Send + 'static,
    ) -> Option<T> {
        let alerts = self.clone();
        let changing = spawn_blocking(move || {
            let outcome = change(&mut alerts.engine());
            alerts.save();
            alerts.0.changes.send_replace(());
            outcome
        });
        changing.await.ok()
    }

    /// Looks at the engine.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&Engine) -> T) -> T {
        look(&self.engine())
    }

    fn engine(&self) -> MutexGuard<'_, Engine> {
        self.0.engine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn accounts(&self) -> MutexGuard<'_, BTreeMap<String, Account>> {
        self.0.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How a receiver fared.
    pub(crate) fn account(&self, receiver: &str) -> Account {
        self.accounts().get(receiver).cloned().unwrap_or_default()
    }

    /// Alerts by state, and how receivers fared, for `/metrics`.
    pub(crate) fn samples(&self) -> Vec<Sample> {
        let states = self.look(|engine| {
            let firing = engine.alerts().filter(|(_, alert)| alert.phase.is_firing()).count();
            let pending = engine.alerts().count() - firing;
            [("firing", firing), ("pending", pending), ("anomaly", engine.watch().active().count())]
        });
        let help = "Alerts of the viewer's rules that fire or are about to, and anomalies that it sees.";
        let state = |(state, count): (&str, usize)| Sample {
            family: "waypost_viewer_alerts",
            is_counter: false,
            help,
            labels: vec![("state", state.to_owned())],
            value: count as u64,
        };
        let mut samples: Vec<Sample> = states.into_iter().map(state).collect();
        let names: Vec<&str> =
            self.0.settings.receivers.iter().map(|receiver| receiver.name.as_str()).collect();
        for name in &names {
            let waiting = self.look(|engine| engine.waiting(name));
            samples.push(Sample {
                family: "waypost_viewer_notifications_waiting",
                is_counter: false,
                help: "Notifications that wait for a receiver.",
                labels: vec![("receiver", (*name).to_owned())],
                value: waiting as u64,
            });
        }
        for name in &names {
            let Account { delivered, failed, refused, .. } = self.account(name);
            for (outcome, value) in
                [("delivered", delivered), ("failed", failed - refused), ("refused", refused)]
            {
                samples.push(Sample {
                    family: "waypost_viewer_notification_attempts",
                    is_counter: true,
                    help: "Attempts to tell a receiver, by their outcome, since the viewer started.",
                    labels: vec![("receiver", (*name).to_owned()), ("outcome", outcome.to_owned())],
                    value,
                });
            }
        }
        samples
    }

    pub(crate) fn settings(&self) -> &AlertSettings {
        &self.0.settings
    }

    pub(crate) fn pins(&self) -> &Pins {
        &self.0.pins
    }

    /// The store without its pinned traces.
    pub(crate) fn store(&self) -> &Arc<dyn TraceStore> {
        &self.0.store
    }

    fn external_url(&self) -> &str {
        &self.0.external_url
    }

    fn changes(&self) -> watch::Receiver<()> {
        self.0.changes.subscribe()
    }

    fn next_for(&self, receiver: &str) -> Option<Notification> {
        self.engine().next(receiver).cloned()
    }

    /// What became of an attempt to tell a receiver. What is over leaves the queue before it is counted, so that nobody reads it as both
    /// delivered and waiting.
    async fn attempted(&self, receiver: &str, id: &str, outcome: Result<(), Failure>) {
        let is_over = outcome.as_ref().map_or_else(|failure| failure.is_final, |()| true);
        if is_over {
            let (receiver, id) = (receiver.to_owned(), id.to_owned());
            self.change(move |engine| engine.delivered(&receiver, &id)).await;
        }
        let mut accounts = self.accounts();
        let account = accounts.entry(receiver.to_owned()).or_default();
        match outcome {
            Ok(()) => {
                account.delivered += 1;
                account.trouble = None;
                account.last = Some(now());
            }
            Err(Failure { reason, is_final }) => {
                account.failed += 1;
                account.refused += u64::from(is_final);
                account.trouble = Some(reason);
            }
        }
    }
}

impl std::fmt::Debug for Alerts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Alerts").finish_non_exhaustive()
    }
}
