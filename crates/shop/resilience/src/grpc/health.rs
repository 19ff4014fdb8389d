//! What replicas say of themselves, by `grpc.health.v1`.
//!
//! A replica that drains says so before it refuses calls, one that is killed breaks the connection, and one that stands
//! still does not answer pings: all three are known here before a call finds out.

use std::time::Duration;

use tonic::{Code, Status};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use waypost_telemetry::grpc::Connection;

use super::{
    Address, ChannelOptions,
    replica::{Kept, Standing},
    secured::{self, Dial},
};
use crate::backoff::{Backoff, Random};

/// How long a replica has to show a sign of life when it is asked for one, and how often it is.
const PING: Duration = Duration::from_secs(2);

/// The pause before a replica that cannot be reached is asked again.
const PAUSE: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));

/// Watches a replica for ever. A replica that does not know the protocol gets calls as long as it can be reached.
pub(super) async fn watch(address: Address, options: ChannelOptions, kept: std::sync::Arc<Kept>) {
    let endpoint = secured::endpoint(&address, options.tls.as_ref())
        .connect_timeout(options.connect_timeout)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(PING)
        .keep_alive_timeout(PING);
    let dial = Dial::new(endpoint, &address, options.tls);
    let random = Random::system();
    let mut failures = 0;
    loop {
        let standing = follow(&dial, &kept, &mut failures).await;
        kept.set(standing);
        tokio::select! {
            () = kept.doubt.notified() => {}
            () = tokio::time::sleep(PAUSE.half_jitter(failures, &random)) => {}
        }
        failures = failures.saturating_add(1);
    }
}

/// Keeps what the replica says until it says no more. Gives how it stands then.
async fn follow(dial: &Dial, kept: &Kept, failures: &mut u32) -> Standing {
    let mut client = HealthClient::new(dial.connection());
    let mut answers = match client.watch(HealthCheckRequest::default()).await {
        Ok(answers) => answers.into_inner(),
        Err(status) if status.code() == Code::Unimplemented => return Standing::Serving,
        Err(_) => return Standing::Unreachable,
    };
    let mut last = Standing::Unreachable;
    loop {
        tokio::select! {
            answer = answers.message() => match answer {
                Ok(Some(answer)) => {
                    last = match answer.status() {
                        ServingStatus::Serving => Standing::Serving,
                        _ => Standing::NotServing,
                    };
                    *failures = 0;
                    kept.set(last);
                }
                // It has said its last word, as one does that drains.
                Ok(None) if last == Standing::NotServing => return last,
                Ok(None) | Err(_) => return Standing::Unreachable,
            },
            // Asked again over a connection of its own, since this one may be good while no other can be made.
            () = kept.doubt.notified() => return Standing::Unreachable,
        }
    }
}

/// Asks once.
pub(super) async fn ask(connection: Connection) -> Result<ServingStatus, Status> {
    let mut client = HealthClient::new(connection);
    client.check(HealthCheckRequest::default()).await.map(|answer| answer.into_inner().status())
}
