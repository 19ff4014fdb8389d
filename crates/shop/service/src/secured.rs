//! Mutual TLS at a listener, and certificates that are renewed while they are in use.

use crate::{Check, Worker, once::Once, one_holder, serve::CameFrom};
use std::{
    io,
    net::IpAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};
use waypost_identity::{Identity, Incoming, IncomingStream, Peer, Standing, Transport};
use waypost_telemetry::{
    Telemetry,
    opentelemetry::{KeyValue, metrics::Counter},
};

/// Takes connections of those who show a certificate. Cheap to clone; clones are one.
#[derive(Clone, Debug)]
pub struct Secured(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    incoming: Incoming,
    refused: Counter<u64>,
    /// Whom it was said of, and what.
    said: Once<(Option<IpAddr>, String)>,
}

impl Secured {
    /// For the listener of a role.
    pub fn new(identity: &Identity, telemetry: &Telemetry) -> Secured {
        let refused = telemetry
            .meter()
            .u64_counter("waypost.tls.refused")
            .with_description("Connections that ended with their TLS handshake")
            .with_unit("{connection}")
            .build();
        Secured(Arc::new(Shared { incoming: identity.incoming(), refused, said: Once::default() }))
    }

    /// Finds out who has connected; `None` when that is nobody who may.
    pub(crate) async fn accept(
        &self,
        stream: Transport,
        peer: &CameFrom,
    ) -> Option<(IncomingStream, Arc<Peer>)> {
        let Shared { incoming, refused, said } = &*self.0;
        match incoming.accept(stream).await {
            Ok(accepted) => Some(accepted),
            Err(error) => {
                refused.add(1, &[KeyValue::new("error.type", error.kind)]);
                let reason = error.reason;
                if said.is_news((peer.ip().map(one_holder), reason.clone())) {
                    let role = incoming.role();
                    tracing::warn!(role, %peer, reason, "a connection was refused; others like it are only counted");
                }
                None
            }
        }
    }
}

/// What keeps an identity up to date, and what says how it stands.
#[derive(Debug)]
pub struct Watching {
    /// Looks at the files.
    pub worker: Worker,
    /// Warns, and never makes a role unready: the certificate in use is good until it ends.
    pub check: Check,
}

/// Looks at the files of an identity at every interval, and warns when its certificate ends within `warn_before` or its
/// files have changed and cannot be used. `waypost.tls.certificate.remaining` says how long the certificate has.
pub fn watch(identity: &Identity, every: Duration, warn_before: Duration, telemetry: &Telemetry) -> Watching {
    let remaining = telemetry
        .meter()
        .f64_gauge("waypost.tls.certificate.remaining")
        .with_description("Time that the certificate in use has left; less than nothing when it has ended")
        .with_unit("s")
        .build();
    let watched = identity.clone();
    let worker = Worker::every("certificate", every, telemetry, move || {
        let (identity, remaining) = (watched.clone(), remaining.clone());
        async move {
            let looking = identity.clone();
            tokio::task::spawn_blocking(move || looking.refresh()).await.map_err(io::Error::other)?;
            remaining.record(seconds_until(identity.standing().not_after), &[]);
            Ok::<(), io::Error>(())
        }
    });
    let identity = identity.clone();
    let check = Check::advisory("certificate", move || {
        let (standing, file) = (identity.standing(), identity.files().certificate.display().to_string());
        async move { verdict(&standing, &file, warn_before) }
    });
    Watching { worker, check }
}

fn seconds_until(moment: SystemTime) -> f64 {
    match moment.duration_since(SystemTime::now()) {
        Ok(left) => left.as_secs_f64(),
        Err(over) => -over.duration().as_secs_f64(),
    }
}

fn verdict(standing: &Standing, file: &str, warn_before: Duration) -> Result<(), String> {
    let left = seconds_until(standing.not_after);
    let mut warnings = Vec::new();
    if left < 0.0 {
        warnings.push(format!("the certificate in {file} has ended: nobody accepts it"));
    } else if left < warn_before.as_secs_f64() {
        warnings.push(format!("the certificate in {file} ends in {}", approximate(left)));
    }
    if let Some(trouble) = &standing.trouble {
        warnings.push(format!("the files have changed and cannot be used: {trouble}"));
    }
    if warnings.is_empty() { Ok(()) } else { Err(warnings.join("; ")) }
}

/// A time as a person says it.
fn approximate(seconds: f64) -> String {
    const UNITS: [(f64, &str); 3] = [(86_400.0, "days"), (3600.0, "hours"), (60.0, "minutes")];
    let (size, unit) = UNITS.into_iter().find(|(size, _)| seconds >= 2.0 * size).unwrap_or((1.0, "seconds"));
    format!("{:.0} {unit}", (seconds / size).floor())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(ends_in: Duration, trouble: Option<&str>) -> Standing {
        let not_after = SystemTime::now() + ends_in;
        Standing { not_after, trouble: trouble.map(str::to_owned) }
    }

    #[test]
    fn a_certificate_is_warned_of_before_it_ends() {
        let week = Duration::from_hours(168);
        let said = |ends_in, trouble| verdict(&standing(ends_in, trouble), "order.pem", week);
        assert_eq!(said(week * 2, None), Ok(()));
        let soon = said(Duration::from_hours(73), None).unwrap_err();
        assert_eq!(soon, "the certificate in order.pem ends in 3 days");
        let kept = said(week * 2, Some("no key")).unwrap_err();
        assert_eq!(kept, "the files have changed and cannot be used: no key");
        let over = Standing { not_after: SystemTime::now() - week, trouble: None };
        assert!(verdict(&over, "order.pem", week).unwrap_err().contains("has ended"));
    }

    #[test]
    fn times_are_said_in_the_unit_that_fits() {
        assert_eq!(approximate(10.9), "10 seconds");
        assert_eq!(approximate(7300.0), "2 hours");
        assert_eq!(approximate(172_800.0), "2 days");
    }
}
