//! Telling receivers: one at a time and in order for each, with pauses after failures.
//!
//! Invariant: a notification leaves the queue, and the file, after its receiver took it; so after a crash in between it is sent
//! once more, under the same id.

use super::{
    Alerts,
    mail::Mail,
    receivers::{ReceiverKind, ReceiverSettings},
    webhook::Webhook,
};
use std::time::Duration;
use tokio::time::{sleep, timeout};
use waypost_trace_alerts::{Notification, Status};
use waypost_trace_store::now;

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(5);

/// Why a receiver was not told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(super) reason: String,
    /// Whether another attempt makes sense.
    pub(super) is_final: bool,
}

impl Failure {
    /// It may work later.
    pub(super) fn later(reason: impl Into<String>) -> Failure {
        Failure { reason: reason.into(), is_final: false }
    }

    /// The receiver does not take it.
    pub(super) fn never(reason: impl Into<String>) -> Failure {
        Failure { reason: reason.into(), is_final: true }
    }
}

/// How a receiver fared since the process began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Account {
    /// Notifications that it took.
    pub(crate) delivered: u64,
    /// Attempts that failed.
    pub(crate) failed: u64,
    /// Notifications that it did not want.
    pub(crate) refused: u64,
    /// Why the last attempt failed; `None` after one that did not.
    pub(crate) trouble: Option<String>,
    /// When it was last told, in nanoseconds since 1970.
    pub(crate) last: Option<u64>,
}

/// Tells one receiver for as long as the process lives. Dropping the future ends an attempt, which is made again later.
pub(crate) async fn run(alerts: Alerts, settings: ReceiverSettings) {
    let name = settings.name.clone();
    let (kind, limit) = (settings.kind, settings.timeout.get());
    let (webhook, mail) = (Webhook::new(settings.clone()), Mail::new(settings));
    let (mut changes, mut pause) = (alerts.changes(), FIRST_PAUSE);
    loop {
        changes.mark_unchanged();
        let Some(notification) = alerts.next_for(&name) else {
            if changes.changed().await.is_err() {
                return;
            }
            continue;
        };
        let attempt = async {
            match kind {
                ReceiverKind::Log => {
                    say(&name, &notification);
                    Ok(())
                }
                ReceiverKind::Mail => mail.tell(&notification, alerts.external_url()).await,
                ReceiverKind::Webhook => {
                    webhook.tell(&notification, alerts.external_url(), now() / 1_000_000_000).await
                }
            }
        };
        let outcome = timeout(limit, attempt).await;
        let outcome = outcome.unwrap_or_else(|_| Err(Failure::later("no answer in time")));
        let is_over = outcome.as_ref().err().is_none_or(|failure| failure.is_final);
        if let Err(failure) = &outcome {
            let Failure { reason, is_final } = failure;
            tracing::warn!(
                receiver = name,
                reason,
                is_final,
                id = notification.id,
                "a receiver was not told"
            );
        }
        alerts.attempted(&name, &notification.id, outcome).await;
        if is_over {
            pause = FIRST_PAUSE;
        } else {
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

fn say(receiver: &str, notification: &Notification) {
    let Notification { rule, sentence, id, .. } = notification;
    match notification.status {
        Status::Firing => tracing::warn!(receiver, rule, id, "alert: {sentence}"),
        Status::Resolved => tracing::info!(receiver, rule, id, "alert resolved: {sentence}"),
    }
}
