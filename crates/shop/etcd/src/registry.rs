//! Who is registered, now and from now on.

use std::{convert::Infallible, sync::Arc, time::Duration};

use tokio::sync::watch;
use waypost_resilience::{
    backoff::{Backoff, Random},
    discovery::{Addresses, Registry},
    grpc::Address,
};

use crate::{Error, Etcd, client::Client};

/// The pause before etcd is asked again that has failed.
pub(crate) const PAUSE: Backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));

impl Registry for Etcd {
    fn scheme(&self) -> &'static str {
        "etcd"
    }

    fn watch(&self, name: &str) -> Addresses {
        let (found, addresses) = watch::channel(Arc::from([]));
        waypost_telemetry::spawn(follow(self.clone(), name.to_owned(), found));
        addresses
    }
}

async fn follow(etcd: Etcd, name: String, found: watch::Sender<Arc<[Address]>>) {
    let random = Random::system();
    let (mut turn, mut failures) = (0_u32, 0);
    loop {
        let known = tokio::select! {
            () = found.closed() => return,
            ended = session(&etcd, &name, turn, &found, &mut failures) => ended,
        };
        let Err(error) = known;
        if failures == 0 {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(
                service = name,
                error,
                "cannot follow the registry; keeping the replicas that are known"
            );
        }
        tokio::select! {
            () = found.closed() => return,
            () = tokio::time::sleep(PAUSE.half_jitter(failures, &random)) => {}
        }
        failures = failures.saturating_add(1);
        turn = turn.wrapping_add(1);
    }
}

/// Follows one member of the cluster until it fails.
async fn session(
    etcd: &Etcd,
    name: &str,
    turn: u32,
    found: &watch::Sender<Arc<[Address]>>,
    failures: &mut u32,
) -> Result<Infallible, Error> {
    let client = Client::connect(&etcd.settings, turn).await?;
    let prefix = etcd.prefix(name);
    let (now, revision) = client.list(&prefix).await?;
    publish(found, now);
    let mut changes = client.watch(&prefix, revision + 1).await?;
    *failures = 0;
    loop {
        match changes.answers.message().await? {
            Some(change) if change.canceled => return Err(Error::Ended(change.cancel_reason)),
            Some(change) if change.events.is_empty() => {}
            // They are few, so all are read again, which is right whatever has changed.
            Some(_) => publish(found, client.list(&prefix).await?.0),
            None => return Err(Error::Ended("no more changes".to_owned())),
        }
    }
}

fn publish(found: &watch::Sender<Arc<[Address]>>, now: Arc<[Address]>) {
    found.send_if_modified(|before| {
        let changes = *before != now;
        *before = now;
        changes
    });
}
