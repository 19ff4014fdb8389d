//! Replicas by the addresses of a name.

use std::{collections::BTreeSet, io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{net::lookup_host, sync::watch};

use super::Addresses;
use crate::grpc::Address;

/// How soon a lookup is repeated that failed, while no address is known.
const FIRST_RETRY: Duration = Duration::from_millis(500);

/// Looks the name up now and then every `refresh`, by the system's resolver: hosts file, search domains and all.
pub(super) fn watch(host: String, port: u16, refresh: Duration) -> Addresses {
    let (found, addresses) = watch::channel(Arc::from([]));
    waypost_telemetry::spawn(async move {
        let mut was_found = true;
        loop {
            let looked_up = look_up(&host, port).await;
            let is_found = looked_up.is_ok();
            match looked_up {
                Ok(now) => {
                    found.send_if_modified(|before| {
                        let changes = **before != *now;
                        *before = now;
                        changes
                    });
                }
                Err(error) if was_found => {
                    tracing::warn!(host, port, %error, "cannot look replicas up; keeping those that are known");
                }
                Err(_) => {}
            }
            was_found = is_found;
            let pause = if found.borrow().is_empty() { refresh.min(FIRST_RETRY) } else { refresh };
            tokio::select! {
                () = found.closed() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    });
    addresses
}

async fn look_up(host: &str, port: u16) -> io::Result<Arc<[Address]>> {
    // The brackets of an IPv6 address belong to the URI.
    let host = host.trim_start_matches('[').trim_end_matches(']');
    // In an order of its own, so that the same addresses are no change.
    let addresses: BTreeSet<SocketAddr> = lookup_host((host, port)).await?.collect();
    if addresses.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
    }
    let uris = addresses.into_iter().map(|address| format!("http://{address}").parse().map(Address::Http));
    uris.collect::<Result<_, _>>().map_err(io::Error::other)
}
