//! Stops calling a target that keeps failing, and finds out with one call at a time when it is well again.
//!
//! The words are linkerd's: *open* lets calls pass, *shut* refuses them at once, and after a wait that grows with
//! every failure ONE call goes through as a probe. [`circuit`] is the rule, without clock or lock; [`Breaker`] is
//! what the calls to one target share.
//!
//! What counts as a failure is decided by whoever makes the calls ([`Outcome`]); for gRPC that is
//! [`crate::grpc::Channel`].

pub mod circuit;

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;
use waypost_errors::ErrorCode;
use waypost_telemetry::{
    Telemetry,
    opentelemetry::{
        KeyValue,
        metrics::{Counter, Gauge},
    },
};

pub use circuit::{Outcome, Settings, State};

use crate::{TARGET, backoff::Random};
use circuit::{Circuit, Ticket};

/// The breaker of one target. Cheap to clone; clones share their state.
#[derive(Clone)]
pub struct Breaker {
    shared: Arc<Shared>,
}

struct Shared {
    circuit: Mutex<Circuit>,
    random: Random,
    attributes: [KeyValue; 1],
    state: Gauge<u64>,
    refused: Counter<u64>,
}

impl Breaker {
    /// A breaker that lets calls pass. `target` names it on metrics.
    pub fn new(telemetry: &Telemetry, target: &str, settings: Settings) -> Self {
        Self::with_random(telemetry, target, settings, Random::system())
    }

    /// As [`Breaker::new`], with the randomness of its waits handed in.
    pub fn with_random(telemetry: &Telemetry, target: &str, settings: Settings, random: Random) -> Self {
        let meter = telemetry.meter();
        let shared = Shared {
            circuit: Mutex::new(Circuit::new(settings, Instant::now())),
            random,
            attributes: [KeyValue::new(TARGET, target.to_owned())],
            state: meter
                .u64_gauge("waypost.breaker.state")
                .with_description(
                    "State of the breaker: 0 calls pass, 1 one call probes, 2 calls are refused",
                )
                .with_unit("{state}")
                .build(),
            refused: meter
                .u64_counter("waypost.breaker.refused")
                .with_description("Calls that the breaker refused")
                .with_unit("{call}")
                .build(),
        };
        shared.record(State::Open);
        Self { shared: Arc::new(shared) }
    }

    /// Asks whether a call may go through. Whoever has the permit says how the call went.
    pub fn admit(&self) -> Result<Permit, Refused> {
        let now = Instant::now();
        match self.shared.change(|circuit| circuit.admit(now)) {
            Ok(ticket) => {
                Ok(Permit { shared: Arc::clone(&self.shared), ticket: Some(ticket), admitted: now })
            }
            Err(retry_in) => {
                self.shared.refused.add(1, &self.shared.attributes);
                Err(Refused { retry_in })
            }
        }
    }

    /// Whether a call would go through now. Promises nothing: another may be faster.
    pub fn admits(&self) -> bool {
        self.shared.lock().admits(Instant::now())
    }

    /// Whether calls pass at the moment.
    pub fn state(&self) -> State {
        self.shared.lock().state()
    }
}

impl fmt::Debug for Breaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Breaker").field("state", &self.state()).finish_non_exhaustive()
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, Circuit> {
        // The circuit is whole between any two statements, so a panic elsewhere does not spoil it.
        self.circuit.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the circuit and records its state when that is another one now.
    fn change<T>(&self, change: impl FnOnce(&mut Circuit) -> T) -> T {
        let mut circuit = self.lock();
        let before = circuit.state();
        let result = change(&mut circuit);
        let after = circuit.state();
        if before != after {
            // Under the lock, so that the last value recorded is the last state.
            self.record(after);
        }
        result
    }

    fn record(&self, state: State) {
        let number = match state {
            State::Open => 0,
            State::Probing => 1,
            State::Shut => 2,
        };
        self.state.record(number, &self.attributes);
    }
}

/// One call that may go through. Dropped without a word, the call counts as given up by its caller.
#[must_use = "the call that it admits has to be made"]
pub struct Permit {
    shared: Arc<Shared>,
    ticket: Option<Ticket>,
    admitted: Instant,
}

impl Permit {
    /// Says how the call went.
    pub fn settle(mut self, outcome: Outcome) {
        self.settle_once(outcome);
    }

    /// How long ago the call was admitted.
    pub fn elapsed(&self) -> Duration {
        self.admitted.elapsed()
    }

    /// True when this call decides whether the breaker opens.
    pub fn is_probe(&self) -> bool {
        self.ticket.as_ref().is_some_and(Ticket::is_probe)
    }

    fn settle_once(&mut self, outcome: Outcome) {
        if let Some(ticket) = self.ticket.take() {
            let random = &self.shared.random;
            self.shared.change(|circuit| circuit.settle(ticket, outcome, Instant::now(), random));
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.settle_once(Outcome::Abandoned);
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("is_probe", &self.is_probe()).finish_non_exhaustive()
    }
}

/// The breaker is shut: the call was not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the target keeps failing and is not called for a while")]
pub struct Refused {
    /// When the next call may go through.
    pub retry_in: Duration,
}

impl From<Refused> for waypost_errors::Error {
    fn from(refused: Refused) -> Self {
        waypost_errors::Error::new(ErrorCode::Unavailable, refused.to_string())
            .with_retry_after(refused.retry_in)
    }
}

impl From<Refused> for tonic::Status {
    /// `UNAVAILABLE`, with the refusal as its source, by which [`crate::retry`] knows that nothing was sent.
    fn from(refused: Refused) -> Self {
        let mut status = tonic::Status::from(waypost_errors::Error::from(refused));
        status.set_source(Arc::new(refused));
        status
    }
}
