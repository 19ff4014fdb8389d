//! The entry of one replica.

use std::{convert::Infallible, future::Future, time::Duration};

use http::Uri;
use tokio::time::{MissedTickBehavior, interval, timeout};
use waypost_resilience::backoff::Random;

use crate::{Error, Etcd, client::Client, proto::LeaseKeepAliveRequest, registry::PAUSE};

/// How long etcd is waited for at the end. The lease ends the entry otherwise.
const LAST_WORD: Duration = Duration::from_secs(2);

/// One replica of a service, to be registered.
#[derive(Debug)]
pub struct Registration {
    etcd: Etcd,
    name: String,
    address: Uri,
}

impl Etcd {
    /// The entry of the replica of this service that is called at this address, `http://host:port`.
    pub fn registration(&self, name: &str, address: Uri) -> Registration {
        Registration { etcd: self.clone(), name: name.to_owned(), address }
    }
}

impl Registration {
    /// Keeps the replica registered until `end`, whatever happens to etcd, and takes the entry back then.
    ///
    /// Cancel safe: dropped, the entry ends with its lease.
    pub async fn keep(self, end: impl Future<Output = ()>) {
        let mut held = None;
        let keeping = self.keep_for_ever(&mut held);
        tokio::select! {
            () = end => {}
            never = keeping => match never {},
        }
        if let Some((client, lease)) = held {
            // Otherwise the lease does it.
            let _ = timeout(LAST_WORD, client.revoke(lease)).await;
        }
    }

    async fn keep_for_ever(&self, held: &mut Option<(Client, i64)>) -> Infallible {
        let random = Random::system();
        let (mut turn, mut failures) = (0_u32, 0);
        loop {
            let Err(error) = self.session(turn, held, &mut failures).await;
            if failures == 0 {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(
                    service = self.name,
                    error,
                    "cannot keep the entry in the registry; trying again"
                );
            }
            tokio::time::sleep(PAUSE.half_jitter(failures, &random)).await;
            failures = failures.saturating_add(1);
            turn = turn.wrapping_add(1);
        }
    }

    /// Registers with one member of the cluster and renews the lease until that fails.
    async fn session(
        &self,
        turn: u32,
        held: &mut Option<(Client, i64)>,
        failures: &mut u32,
    ) -> Result<Infallible, Error> {
        let settings = &self.etcd.settings;
        let client = Client::connect(settings, turn).await?;
        let authority = self.address.authority().map_or("", |authority| authority.as_str());
        let key = format!("{}{authority}", self.etcd.prefix(&self.name));
        let value = format!("http://{authority}");
        let seconds = i64::try_from(settings.lease.as_secs()).unwrap_or(i64::MAX);
        let id = client.put_leased(&key, &value, seconds).await?;
        let (client, _) = held.insert((client, id));
        tracing::info!(service = self.name, address = value, "registered");
        *failures = 0;

        let lease = settings.lease.get();
        let mut beat = interval(lease / 3);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut renewals = client.renewals().await?;
        loop {
            beat.tick().await;
            // An end of the requests shows as an end of the answers.
            let _ = renewals.requests.send(LeaseKeepAliveRequest { id }).await;
            let late = |_| Error::Ended("the lease is not renewed in time".to_owned());
            match timeout(lease, renewals.answers.message()).await.map_err(late)?? {
                Some(renewed) if renewed.ttl > 0 => {}
                Some(_) => return Err(Error::LeaseLost),
                None => return Err(Error::Ended("no more renewals".to_owned())),
            }
        }
    }
}
