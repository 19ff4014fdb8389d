//! A door on a port of its own, and the clients that knock.

use std::{net::SocketAddr, time::Duration};
use waypost_service::{Drain, DrainTrigger, Limits, bind, serve};

/// A router that is served until this is dropped.
pub(crate) struct Door {
    pub(crate) address: SocketAddr,
    _trigger: DrainTrigger,
}

impl Door {
    pub(crate) fn open(router: axum::Router) -> Door {
        let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.address();
        let (trigger, drain) = Drain::new();
        drop(waypost_telemetry::spawn(serve(listener, router, Limits::default(), drain)));
        Door { address, _trigger: trigger }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// Waits until something holds, for at most ten seconds.
pub(crate) async fn until<T>(what: &str, mut holds: impl FnMut() -> Option<T>) -> T {
    let found = async {
        loop {
            if let Some(found) = holds() {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), found)
        .await
        .unwrap_or_else(|_| panic!("waited in vain until {what}"))
}
