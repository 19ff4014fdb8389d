//! Carries one saga to its end: asks [`decide`], does what it says, writes the journal.

mod tries;

use self::tries::Round;
use super::{
    AppendError, Batch, Direction, Entry, Error, Journal, Loaded, Log, Next, Node, Phase, Plan, PlanError,
    Policy, Saga, Shape, decide::decide,
};
use crate::Epoch;
use futures_util::future::join_all;
use std::{
    collections::HashSet,
    ops::ControlFlow::{self, Break, Continue},
    sync::Arc,
};
use tokio_util::sync::CancellationToken;
use waypost_telemetry::span;

/// Names the saga on the span around what it undoes.
const SAGA_NAME: &str = "waypost.saga.name";

/// What a run ended with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finished {
    /// The saga is at its end.
    Ended,
    /// It is parked: something that must succeed keeps failing. It can be resumed.
    Stuck,
    /// The process is about to stop and the saga would have had to wait. It can be resumed.
    Draining,
    /// Another runner has it.
    Fenced,
}

/// How a runner is told things while it runs.
#[derive(Debug, Clone, Default)]
pub struct Signals {
    /// The process is about to stop: do not wait for better times.
    pub stop: CancellationToken,
    /// Another runner has the saga: no further call, no further word.
    pub replaced: CancellationToken,
    /// A request to cancel was written to the journal: look at it before trying anything again.
    pub cancel_requested: CancellationToken,
}

/// Runs the sagas of one kind.
#[derive(Debug)]
pub struct Runner<S: Saga> {
    pub(super) saga: S,
    plan: Plan<S>,
    pub(super) shape: Shape,
    policy: Policy,
}

impl<S: Saga> Runner<S> {
    /// A runner of this plan.
    pub fn new(saga: S, plan: Plan<S>, policy: Policy) -> Result<Self, PlanError> {
        plan.check()?;
        let shape = plan.shape();
        Ok(Runner { saga, plan, shape, policy })
    }

    /// The first entries of a new saga, to be written by the unit that creates its state.
    pub fn opening(&self) -> Vec<Entry<S::Output, S::Reason>> {
        self.shape.opening()
    }

    /// Runs a saga from where its journal stands. `id` becomes part of every key. Unless this is the first run of the
    /// saga, the journal says that it was resumed ([`Entry::Resumed`]) after anything that may have been tried before.
    ///
    /// Dropping the future is like a crash: nothing durable is lost and the saga can be resumed.
    pub async fn run(
        &self,
        id: &str,
        journal: &dyn Journal<S>,
        start: Loaded<S>,
        signals: &Signals,
    ) -> Result<Finished, Error> {
        self.refuse_unknown_steps(id, &start.log)?;
        let Loaded { state, log, epoch } = start;
        let mut run = Run {
            runner: self,
            id: id.into(),
            journal,
            signals,
            state,
            log,
            epoch,
            pending: Vec::new(),
            open: HashSet::new(),
            failed_rounds: 0,
            cancel_seen: false,
        };
        tokio::select! {
            biased;
            // Calls under way are given up with it; what they may still do is refused to this epoch.
            () = signals.replaced.cancelled() => Ok(Finished::Fenced),
            finished = run.drive() => finished,
        }
    }

    fn refuse_unknown_steps(&self, id: &str, log: &Log<S::Output, S::Reason>) -> Result<(), Error> {
        let unknown = log.entries().iter().filter_map(Entry::step).find(|name| !self.shape.knows(name));
        match unknown {
            Some(step) => Err(Error::UnknownStep { saga: id.to_owned(), step: step.to_string() }),
            None => Ok(()),
        }
    }
}

struct Run<'a, S: Saga> {
    runner: &'a Runner<S>,
    id: Arc<str>,
    journal: &'a dyn Journal<S>,
    signals: &'a Signals,
    state: S::State,
    log: Log<S::Output, S::Reason>,
    epoch: Epoch,
    /// Facts that are known but not durable yet.
    pending: Vec<Entry<S::Output, S::Reason>>,
    /// Steps that this run has tried with an outcome that is not known.
    open: HashSet<&'static str>,
    failed_rounds: u32,
    cancel_seen: bool,
}

type Flow = Result<ControlFlow<Finished>, Error>;

impl<'a, S: Saga> Run<'a, S> {
    fn next(&self) -> Next {
        decide(&self.runner.shape, self.log.entries(), &self.pending)
    }

    async fn drive(&mut self) -> Result<Finished, Error> {
        loop {
            let flow = match self.next() {
                Next::Finished => return Ok(Finished::Ended),
                Next::Park => return Ok(Finished::Stuck),
                Next::Run(steps) => self.round(&steps).await?,
                Next::Commit { ending: None, .. } | Next::Undo(_) | Next::MakeUp(_) if self.has_turned() => {
                    let compensate = self.runner.plan.span_names().compensate;
                    span(compensate)
                        .attr(SAGA_NAME, self.runner.plan.name())
                        .run(Box::pin(self.go_back()))
                        .await?
                }
                Next::Commit { locals, intents, ending } => self.commit(locals, intents, ending).await?,
                // Unreachable: only a turned saga undoes. Asking again is the harmless answer.
                Next::Undo(_) | Next::MakeUp(_) => Continue(()),
            };
            if let Break(finished) = flow {
                return Ok(finished);
            }
        }
    }

    /// Undoes all that is to be undone. The last unit is left to the caller, as the end of the saga.
    async fn go_back(&mut self) -> Flow {
        loop {
            let flow = match self.next() {
                Next::Undo(name) => {
                    let undo = self.node(name)?.undo.as_ref();
                    self.take_back(name, undo, Entry::Undone(name.into())).await?
                }
                Next::MakeUp(name) => {
                    let otherwise = self.node(name)?.otherwise.as_ref();
                    self.take_back(name, otherwise, Entry::MadeUp(name.into())).await?
                }
                Next::Commit { locals, intents, ending: None } => self.commit(locals, intents, None).await?,
                Next::Commit { .. } | Next::Run(_) | Next::Park | Next::Finished => return Ok(Continue(())),
            };
            if flow.is_break() {
                return Ok(flow);
            }
        }
    }

    /// Runs these steps side by side, one round each.
    async fn round(&mut self, steps: &[&'static str]) -> Flow {
        let others_refused = CancellationToken::new();
        let nodes = steps.iter().map(|name| self.node(name)).collect::<Result<Vec<_>, _>>()?;
        let rounds = join_all(nodes.into_iter().map(|node| self.try_step(node, &others_refused))).await;

        if rounds.iter().any(|round| round.is_fenced) {
            return Ok(Break(Finished::Fenced));
        }
        let mut is_unsettled = false;
        for (name, Round { end, is_open, .. }) in steps.iter().copied().zip(rounds) {
            if is_open {
                self.open.insert(name);
            }
            match self.runner.shape.fact(name, end, is_open) {
                Some(fact) => self.pending.push(fact),
                None => is_unsettled = true,
            }
        }

        if self.signals.cancel_requested.is_cancelled() && !self.cancel_seen {
            self.cancel_seen = true;
            return self.reload().await;
        }
        if !is_unsettled || self.has_turned() {
            self.failed_rounds = 0;
            return Ok(Continue(()));
        }
        self.failed_rounds += 1;
        let pause = self.runner.policy.round_pause.delay(self.failed_rounds);
        Ok(if self.wait(pause).await { Continue(()) } else { Break(Finished::Draining) })
    }

    /// Writes one unit. After a conflict nothing is lost: the journal is read anew and the next decision counts
    /// in what is pending.
    async fn commit(
        &mut self,
        locals: Vec<&'static str>,
        intents: Vec<&'static str>,
        ending: Option<Direction>,
    ) -> Flow {
        let runner = self.runner;
        let shape = &runner.shape;
        let view = shape.view(self.log.entries(), &self.pending);
        let ending = ending.map(|_| view.ending());
        let name = runner.plan.unit_span(ending.as_ref(), &locals);

        let mut entries = self.pending.clone();
        entries.extend(locals.into_iter().map(|local| Entry::Done(local.into(), None)));
        entries.extend(intents.into_iter().map(|intent| Entry::Intended(intent.into())));
        if ending.is_some() {
            entries.push(Entry::Ended);
        }
        let phase: Phase = shape.view(self.log.entries(), &entries).phase();
        let batch = Batch { rows_before: self.log.rows(), entries: entries.clone(), phase, ending };
        let append = self.journal.append(batch);
        let appended = match name {
            Some(name) => span(name).run(append).await,
            None => append.await,
        };
        match appended {
            Ok(state) => {
                self.state = state;
                self.log.append(entries);
                self.pending.clear();
                Ok(Continue(()))
            }
            Err(AppendError::Conflict) => self.reload().await,
            Err(error) => self.stopped_by(error),
        }
    }

    async fn reload(&mut self) -> Flow {
        match self.journal.reload().await {
            Ok(Loaded { state, log, epoch }) => {
                self.runner.refuse_unknown_steps(&self.id, &log)?;
                self.epoch = epoch;
                self.state = state;
                self.log = log;
                Ok(Continue(()))
            }
            Err(error) => self.stopped_by(error),
        }
    }

    fn stopped_by(&self, source: AppendError) -> Flow {
        match source {
            AppendError::Fenced => Ok(Break(Finished::Fenced)),
            source => Err(Error::Journal { saga: self.id.to_string(), source }),
        }
    }

    fn has_turned(&self) -> bool {
        self.runner.shape.view(self.log.entries(), &self.pending).has_turned()
    }

    /// True when a try of the step may have had its effect, or may still have it.
    fn is_open(&self, name: &'static str) -> bool {
        let view = self.runner.shape.view(self.log.entries(), &self.pending);
        self.open.contains(name) || view.may_have_been_tried(name)
    }

    fn node(&self, name: &str) -> Result<&'a Node<S>, Error> {
        let runner = self.runner;
        runner.plan.node(name).ok_or_else(|| self.unknown_step(name))
    }

    fn unknown_step(&self, name: &str) -> Error {
        Error::UnknownStep { saga: self.id.to_string(), step: name.to_owned() }
    }
}
