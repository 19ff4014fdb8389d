//! The signal to finish, and the later one to close.

use tokio_util::sync::CancellationToken;

/// Sees the drain of what it was handed to. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Drain {
    started: CancellationToken,
    parked: CancellationToken,
    closing: CancellationToken,
}

/// Starts a drain. Dropping it starts nothing.
#[derive(Clone, Debug)]
pub struct DrainTrigger {
    started: CancellationToken,
    parked: CancellationToken,
    closing: CancellationToken,
}

impl Drain {
    /// A drain and what starts it.
    pub fn new() -> (DrainTrigger, Drain) {
        let drain = Drain {
            started: CancellationToken::new(),
            parked: CancellationToken::new(),
            closing: CancellationToken::new(),
        };
        let trigger = DrainTrigger {
            started: drain.started.clone(),
            parked: drain.parked.clone(),
            closing: drain.closing.clone(),
        };
        (trigger, drain)
    }

    /// Completes when work is to be finished: no new work from here on. Cancel safe.
    pub async fn started(&self) {
        self.started.cancelled().await;
    }

    /// True from the moment [`Drain::started`] completes.
    pub fn is_draining(&self) -> bool {
        self.started.is_cancelled()
    }

    /// Completes when everything else has stopped: the moment to close a database. Asking says that the asker has
    /// nothing else left to do, so it is asked last. Cancel safe.
    pub async fn closing(&self) {
        self.parked.cancel();
        self.closing.cancelled().await;
    }
}

impl DrainTrigger {
    /// Work is to be finished. Repeating it changes nothing.
    pub fn start(&self) {
        self.started.cancel();
    }

    /// Completes when somebody waits in [`Drain::closing`]. Cancel safe.
    pub(crate) async fn parked(&self) {
        self.parked.cancelled().await;
    }

    /// Everything else has stopped. Implies [`DrainTrigger::start`].
    pub fn close(&self) {
        self.started.cancel();
        self.closing.cancel();
    }
}
