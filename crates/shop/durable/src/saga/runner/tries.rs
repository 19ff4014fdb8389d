//! The tries of one step or undo: how often, for how long, and what is known when they are over.

use super::{Finished, Flow, Run};
use crate::saga::{Call, Entry, Failure, Node, Saga, decide::RoundEnd, step::UndoNode};
use std::{
    ops::ControlFlow::{Break, Continue},
    sync::Arc,
    time::Duration,
};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use waypost_resilience::deadline;
use waypost_telemetry::{set, span};

/// How often a step was tried, on the step's span, when it was more than once.
const SAGA_ATTEMPTS: &str = "waypost.saga.attempts";

/// A round's end, and whether a try of the step is open after it.
pub(super) struct Round<S: Saga> {
    pub(super) end: RoundEnd<S::Output, S::Reason>,
    pub(super) is_open: bool,
    /// Another runner was seen by the other side.
    pub(super) is_fenced: bool,
}

impl<S: Saga> Run<'_, S> {
    /// One step, tried until it is known how it went or the round is over.
    pub(super) async fn try_step(&self, node: &Node<S>, others_refused: &CancellationToken) -> Round<S> {
        let policy = &self.runner.policy;
        let round_end = Instant::now() + policy.budget;
        let mut is_open = self.is_open(node.name);
        let mut is_left = false;
        let tries = async {
            let (mut attempt, mut held_back) = (1, 0);
            loop {
                let call = self.call(node.name, attempt);
                let run = node.work.run(&self.runner.saga, &self.state, &call);
                let failure = match self.within_attempt(run).await {
                    Ok(output) => return Ok(output),
                    Err(failure) => failure,
                };
                let pause = match &failure {
                    Failure::Refused(_) | Failure::RefusedForGood(_) | Failure::Fenced(_) => {
                        others_refused.cancel();
                        return Err(failure);
                    }
                    Failure::Malformed(_) => {
                        is_open = true;
                        return Err(failure);
                    }
                    Failure::Unknown(_) => {
                        is_open = true;
                        attempt += 1;
                        policy.pause.delay(attempt - 1)
                    }
                    Failure::NotSent { retry_in, .. } => {
                        held_back += 1;
                        policy.pause.delay(held_back).max(*retry_in)
                    }
                };
                if attempt > policy.attempts || Instant::now() + pause >= round_end {
                    return Err(failure);
                }
                if !self.wait_unless_pointless(pause, others_refused).await {
                    is_left = true;
                    return Err(failure);
                }
            }
        };
        let mut is_fenced = false;
        let end = match span(node.span).run(tries).await {
            Ok(output) => RoundEnd::Done(output),
            Err(Failure::Refused(reason)) => RoundEnd::Refused(reason),
            Err(Failure::RefusedForGood(reason)) => RoundEnd::RefusedForGood(reason),
            Err(Failure::Unknown(_) | Failure::NotSent { .. }) if is_left => RoundEnd::LeftOpen,
            Err(Failure::Fenced(_)) => {
                is_fenced = true;
                RoundEnd::LeftOpen
            }
            Err(Failure::Unknown(reason) | Failure::Malformed(reason) | Failure::NotSent { reason, .. }) => {
                RoundEnd::Spent(reason)
            }
        };
        Round { end, is_open, is_fenced }
    }

    /// Undoes or makes up for one step; what keeps failing is parked.
    pub(super) async fn take_back(
        &mut self,
        name: &'static str,
        undo: Option<&UndoNode<S>>,
        fact: Entry<S::Output, S::Reason>,
    ) -> Flow {
        let Some(undo) = undo else { return Err(self.unknown_step(name)) };
        let policy = &self.runner.policy;
        let round_end = Instant::now() + policy.budget;
        let mut is_draining = false;
        let tries = async {
            let (mut attempt, mut held_back) = (1, 0);
            loop {
                let call = self.call(undo.name, attempt);
                let run = undo.work.undo(&self.runner.saga, &self.state, &call);
                let Err(failure) = self.within_attempt(run).await else { return Ok(()) };
                let pause = match failure {
                    Failure::Fenced(_) => return Err(failure),
                    Failure::NotSent { retry_in, .. } => {
                        held_back += 1;
                        policy.pause.delay(held_back).max(retry_in)
                    }
                    Failure::Refused(_)
                    | Failure::RefusedForGood(_)
                    | Failure::Unknown(_)
                    | Failure::Malformed(_) => {
                        attempt += 1;
                        policy.pause.delay(attempt - 1)
                    }
                };
                let is_held_back_too_long = held_back > 0 && Instant::now() + pause >= round_end;
                if attempt > policy.undo_attempts || is_held_back_too_long {
                    return Err(failure);
                }
                if !self.wait(pause).await {
                    is_draining = true;
                    return Err(failure);
                }
            }
        };
        match span(undo.span).run(tries).await {
            Ok(()) => self.pending.push(fact),
            Err(Failure::Fenced(_)) => return Ok(Break(Finished::Fenced)),
            Err(_) if is_draining => return Ok(Break(Finished::Draining)),
            Err(failure) => self.pending.push(Entry::Stuck(name.into(), failure.into_reason())),
        }
        Ok(Continue(()))
    }

    fn call(&self, name: &'static str, attempt: u32) -> Call {
        if attempt > 1 {
            set(SAGA_ATTEMPTS, i64::from(attempt));
        }
        Call::new(Arc::clone(&self.id), name, attempt, self.epoch)
    }

    /// A try has a deadline of its own, whatever the deadline of the request that began the saga.
    async fn within_attempt<F: Future>(&self, run: F) -> F::Output {
        let until = Instant::now() + self.runner.policy.attempt_timeout;
        deadline::scope(Some(until), run).await
    }

    /// False when the process is about to stop.
    pub(super) async fn wait(&self, pause: Duration) -> bool {
        tokio::select! {
            () = sleep(pause) => true,
            () = self.signals.stop.cancelled() => false,
        }
    }

    /// The same, and false as well when trying again has become pointless.
    async fn wait_unless_pointless(&self, pause: Duration, others_refused: &CancellationToken) -> bool {
        tokio::select! {
            waited = self.wait(pause) => waited,
            () = others_refused.cancelled() => false,
            () = self.signals.cancel_requested.cancelled(), if !self.cancel_seen => false,
        }
    }
}
