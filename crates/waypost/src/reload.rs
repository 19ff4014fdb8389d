//! The configuration read again while the process runs: on SIGHUP, and when its file has changed, as a mounted `ConfigMap` does.
//!
//! What can change without a restart ([`LIVE`]) does; what cannot is named in a warning. A file with problems changes nothing:
//! they are logged, and what is in effect stays. Certificates and token keys have files and watches of their own.

use std::convert::Infallible;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep_until};
use waypost_telemetry::logs::FilterHandle;

use crate::exit::{Exit, Failure, OrExit as _};
use crate::roles::System;
use crate::settings::{Effective, Layers, Settings};

/// Settings that take effect while the process runs, and sections of which all do.
const LIVE: [&str; 6] = [
    "telemetry.logs.filter",
    "telemetry.traces.sampler",
    "telemetry.traces.ratio",
    "gateway.rate_limit.",
    "gateway.login_limit.",
    "provider.faults.",
];

/// How long it is until the next look when there is none.
const NEVER: Duration = Duration::from_hours(24 * 365);

/// Watches the configuration of a running process.
#[derive(Debug)]
pub(crate) struct Reload {
    hang_up: Signal,
    layers: Layers,
    interval: Option<Duration>,
    /// The file as it was read last, right or wrong.
    text: Option<String>,
    settings: Settings,
    filter: FilterHandle,
}

impl Reload {
    /// Listens for SIGHUP from now on. Must be called inside a tokio runtime.
    pub(crate) fn listen(effective: &Effective, filter: FilterHandle) -> Result<Reload, Failure> {
        let hang_up = signal(SignalKind::hangup()).or_exit(Exit::Internal, "listening for SIGHUP")?;
        let layers = effective.layers();
        // Without what was filled in since: ports, and where the roles find each other.
        let settings = layers.load()?;
        let interval = Some(settings.runtime.reload_interval.get()).filter(|interval| !interval.is_zero());
        Ok(Reload { hang_up, text: layers.text(), layers, interval, settings, filter })
    }

    /// Has changes take effect in a running system. Never ends. Cancel safe.
    pub(crate) async fn keep(&mut self, system: &System) -> Infallible {
        loop {
            let look = Instant::now() + self.interval.unwrap_or(NEVER);
            let is_asked = tokio::select! {
                _ = self.hang_up.recv() => true,
                () = sleep_until(look) => false,
            };
            let text = self.layers.text();
            if is_asked || text != self.text {
                self.text = text;
                self.reload(system);
            }
        }
    }

    fn reload(&mut self, system: &System) {
        let settings = match self.layers.load() {
            Ok(settings) => settings,
            Err(problems) => {
                tracing::error!(%problems, "the configuration cannot be used; the one before it stays in effect");
                return;
            }
        };
        let (live, waiting): (Vec<String>, Vec<String>) =
            differences(&self.settings, &settings).into_iter().partition(|key| is_live(key));
        if settings.telemetry.logs.filter != self.settings.telemetry.logs.filter
            && let Err(problem) = self.filter.change(&settings.telemetry.logs.filter)
        {
            tracing::error!(%problem, "the log filter stays as it is");
        }
        system.change(&settings);
        self.settings = settings;
        if !waiting.is_empty() {
            let settings = waiting.join(", ");
            tracing::warn!(settings, "these settings take effect at the next start");
        }
        let changed = live.join(", ");
        tracing::info!(changed, "the configuration was read again");
    }
}

fn is_live(key: &str) -> bool {
    LIVE.iter().any(|live| if live.ends_with('.') { key.starts_with(live) } else { key == *live })
}

/// The keys whose values differ.
fn differences(before: &Settings, after: &Settings) -> Vec<String> {
    let values = |settings: &Settings| {
        let fields = settings.documented_values().into_iter().filter(|field| !field.is_section);
        fields.map(|field| (field.key, format!("{:?}", field.default))).collect::<Vec<_>>()
    };
    let before = values(before);
    let is_new = |field: &(String, String)| !before.contains(field);
    values(after).into_iter().filter(is_new).map(|(key, _)| key).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_named_and_told_apart_by_whether_it_can_take_effect() {
        let before = Settings::default();
        let mut after = before.clone();
        after.gateway.rate_limit.requests += 1;
        after.telemetry.logs.filter = "debug".to_owned();
        after.order.max_wait = waypost_settings::Duration::from_secs(1);
        assert_eq!(differences(&before, &before), Vec::<String>::new());
        let differing = differences(&before, &after);
        assert_eq!(differing, ["telemetry.logs.filter", "gateway.rate_limit.requests", "order.max_wait"]);
        let live: Vec<bool> = differing.iter().map(|key| is_live(key)).collect();
        assert_eq!(live, [true, true, false]);
    }

    #[test]
    fn every_live_setting_is_one_that_there_is() {
        let documented = Settings::documented();
        for live in LIVE {
            assert!(
                documented
                    .iter()
                    .any(|field| !field.is_section && is_live(&field.key) && field.key.starts_with(live)),
                "{live}"
            );
        }
    }
}
